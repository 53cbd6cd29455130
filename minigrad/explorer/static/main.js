"use strict";
/* Where the reader is, and the ways to go elsewhere: buttons, slider, keys, search, links. */

let at = 0; // the place in `steps`

const byId = (id) => document.getElementById(id);

/** Go to a step; `chosen` is the output pixel to open there, if there is one to open. */
function goTo(place, chosen = null) {
  at = Math.max(0, Math.min(steps.length - 1, place));
  pixel = chosen;
  const { operation, backward } = steps[at];
  byId("slider").value = at;
  const drawnAs = visible(operation);
  const folded = drawnAs.operation === null ? `, inside ${drawnAs.id}` : "";
  byId("where").textContent = `step ${at + 1} of ${steps.length}, ${backward ? "backward" : "forward"}${folded}`;
  byId("previous").disabled = byId("first").disabled = at === 0;
  byId("next").disabled = byId("last").disabled = at === steps.length - 1;
  light(steps[at]);
  showPanel(steps[at]);
  writeHash();
  document.body.dataset.operation = operation;
}

/** The step of an operation in that direction, or forward, if it has no other. */
function stepOf(operation, backward) {
  const there = steps.findIndex((each) => each.operation === operation && each.backward === backward);
  return there < 0 ? operation : there;
}

/** Go to an operation in the direction in which the reader is going. */
function goToOperation(operation) {
  goTo(stepOf(operation, steps[at].backward));
}

function toggle(node) {
  if (!unfolded.delete(node.id)) unfolded.add(node.id);
  redraw();
  drawnNodes.get(node.id)?.focus();
}

function redraw() {
  drawGraph();
  drawLegend();
  light(steps[at]);
}

function writeHash() {
  const where = `#step=${at}${pixel ? `&pixel=${pixel}` : ""}`;
  if (location.hash !== where) history.replaceState(null, "", where);
}

function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  const chosen = given.get("pixel")?.split(",").map(Number);
  const place = Math.max(0, Math.min(steps.length - 1, Math.trunc(Number(given.get("step"))) || 0));
  if (given.has("step") && reveal(steps[place].operation)) redraw();
  goTo(place, chosen?.length === 2 && chosen.every(Number.isInteger) ? chosen : null);
}

/** Operations that have all the words in their name, the shortest first, or else in what is said of them. */
function search(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (!wanted.length) return [];
  const isCalled = (operation) => Number(operations[operation].path.toLowerCase() === wanted.join(" "));
  const having = (textOf) =>
    operations
      .map((_, operation) => operation)
      .filter((operation) => wanted.every((word) => textOf(operation).toLowerCase().includes(word)))
      .sort((a, b) => isCalled(b) - isCalled(a) || nameOf(a).length - nameOf(b).length || a - b);
  const named = having(nameOf);
  return named.length ? named : having((operation) => saidOf(operations[operation]) + nameOf(operation));
}

const saidOf = ({ doc, formula, sources }) =>
  [doc, ...formula, ...sources.map((place) => step.texts[place].place)].join(" ");

function find() {
  const found = search(byId("search").value);
  byId("found").textContent = byId("search").value.trim() ? `${found.length} found` : "";
  if (!found.length) return;
  byId("found").textContent += found.length > 1 ? ", Enter: the next" : "";
  const hit = found[(found.indexOf(steps[at].operation) + 1) % found.length]; // the first, and then one after the other
  if (reveal(hit)) redraw();
  goToOperation(hit);
}

const turn = () => goTo(operations.length);
const actions = {
  ArrowRight: () => goTo(at + 1),
  ArrowLeft: () => goTo(at - 1),
  Home: () => goTo(0),
  End: () => goTo(steps.length - 1),
  t: turn,
  T: turn,
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target.id === "search") event.target.blur();
  else if (event.key === "/" && event.target.id !== "search") {
    event.preventDefault();
    byId("search").focus();
  } else if (actions[event.key] && !event.target.matches("input, select")) {
    event.preventDefault();
    actions[event.key]();
  }
}

function start() {
  byId("about").textContent = `${step.about} The loss is ${number(step.loss)}.`;
  byId("slider").max = steps.length - 1;
  byId("slider").oninput = (event) => goTo(Number(event.target.value));
  byId("first").onclick = actions.Home;
  byId("previous").onclick = actions.ArrowLeft;
  byId("next").onclick = actions.ArrowRight;
  byId("turn").onclick = turn;
  byId("last").onclick = actions.End;
  byId("search").onkeydown = (event) => {
    if (event.key === "Enter") find();
  };
  byId("names").replaceChildren(...operations.map((_, operation) => element("option", { value: nameOf(operation) })));
  byId("unfold").onclick = () => (modules.forEach(({ id }) => unfolded.add(id)), redraw());
  byId("fold").onclick = () => (unfolded.clear(), redraw());
  const choices = ["of this step", ...step.others.map(({ name }) => name)];
  byId("other").replaceChildren(...choices.map((name, value) => element("option", { value }, name)));
  byId("other").onchange = redraw;
  byId("compared").hidden = choices.length < 2;
  addEventListener("keydown", onKey);
  addEventListener("hashchange", readHash);
  darkScheme.addEventListener("change", () => goTo(at, pixel)); // pictures have the colours of the scheme they were drawn in
  drawGraph();
  drawLegend();
  readHash();
  document.body.dataset.ready = Math.round(performance.now());
}

start();
