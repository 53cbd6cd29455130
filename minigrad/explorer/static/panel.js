"use strict";
/* Everything about the operation at hand: what flows, what it computes, saves and costs, its proof and its code. */

const panel = document.getElementById("panel");

function showPanel({ operation, backward }) {
  const it = operations[operation];
  const parts = [
    element("h2", { tabindex: -1 }, nameOf(operation), element("small", {}, backward ? " backward" : " forward")),
    it.doc ? element("p", { class: "note" }, it.doc) : null,
    ...(backward ? backwardFlow(it) : forwardFlow(it)),
    closerLook(operation),
    formulas(it, backward),
    facts(it),
    proof(it),
    sources(it),
  ];
  panel.replaceChildren(...parts.filter((part) => part !== null));
  panel.scrollTo(0, 0);
}

function forwardFlow(it) {
  const inputs = it.inputs.map((input) => element("li", {}, inputName(input), ...valueOf(input)));
  return [
    element("h3", {}, "What comes in"),
    element("ul", { class: "inputs" }, ...inputs),
    element("h3", {}, "What goes out"),
    it.output ? array(it.output, "output") : element("p", {}, "Forward was over before anybody watched."),
  ];
}

function backwardFlow(it) {
  const going = it.inputs.filter((input) => input.gradient);
  const other = step.others.map(({ name, norms }) => {
    const norm = norms[operations.indexOf(it)];
    return element("p", { class: "note" }, `${name}: ${norm === null ? "nothing comes here" : `norm ${number(norm)}`}`);
  });
  return [
    element("h3", {}, "The gradient that comes in: of the output"),
    array(it.gradient, "gradient of the output"),
    comesFrom(operations.indexOf(it)),
    ...other,
    element("h3", {}, going.length > 1 ? "The gradients that go on" : "The gradient that goes on"),
    ...going.flatMap((input) => [
      element("h4", {}, inputName(input)),
      array(input.gradient, `gradient of ${input.argument}`),
      ...wholeOf(input),
    ]),
  ];
}

const linkTo = (operation) =>
  element("a", { href: `#step=${stepOf(operation, steps[at].backward)}` }, nameOf(operation));

/** Whose gradients add up to the one that comes to an operation. */
function comesFrom(operation) {
  const parts = operations.flatMap((user, index) =>
    user.inputs
      .filter(({ source, gradient }) => source === operation && gradient)
      .map(({ gradient }) => element("li", {}, linkTo(index), `, norm ${number(gradient.norm)}`)),
  );
  if (!parts.length)
    return element("p", { class: "note" }, "The walk begins here: the loss moves by as much as itself.");
  const what =
    parts.length > 1 ? `The sum of ${parts.length} gradients, for so often was the output used:` : "It comes from";
  return element("div", { class: "note" }, what, element("ul", { class: "inputs" }, ...parts));
}

/** Where else a leaf is used, and what it receives altogether. */
function wholeOf({ leaf }) {
  if (leaf === null || !step.leaves[leaf]) return [];
  const uses = operations.flatMap((user, index) =>
    user.inputs.filter((input) => input.leaf === leaf && input.gradient).map(() => index),
  );
  const links = uses.flatMap((use, place) => [place ? ", " : "", linkTo(use)]);
  return [
    element(
      "p",
      { class: "note" },
      `It is used ${uses.length} times (`,
      ...links,
      "), and its gradient is the sum of all:",
    ),
    array(step.leaves[leaf], "the leaf's gradient"),
  ];
}

/** What an input is called, with a link to the operation that made it. */
function inputName({ argument, source, leaf }) {
  if (source === null) return element("span", {}, element("b", {}, argument), leaf === null ? "" : ", a leaf");
  return element("span", {}, element("b", {}, argument), ", from ", linkTo(source));
}

function valueOf({ source, value }) {
  if (source !== null) return operations[source].output ? [` ${shapeOf(operations[source].output)}`] : [];
  if (value === null) return [": none"];
  if (typeof value === "number") return [`: ${number(value)}`];
  if (typeof value === "string") return [`: ${value}`];
  if (sizeOf(value) === 1) return [`: ${number(value.low)}, ${shapeOf(value)}`];
  return [element("details", {}, element("summary", {}, shapeOf(value)), array(value, "value"))];
}

const shapeOf = ({ shape, dtype }) => `(${shape.join(", ")}) ${dtype}`;
const sizeOf = ({ shape }) => shape.reduce((product, side) => product * side, 1);

/** An array's figures, histogram and maps. */
function array(it, label) {
  const rows = [["shape", shapeOf(it)]];
  if (it.not_finite) rows.push(["not finite", number(it.not_finite)]);
  const size = sizeOf(it);
  if (size === 1 && it.low !== undefined) rows.push(["value", number(it.low)]);
  for (const figure of size === 1 ? [] : ["mean", "std", "norm", "low", "high"]) {
    if (it[figure] !== undefined) rows.push([figure, number(it[figure])]);
  }
  if (it.zeros && size > 1) rows.push(["zeros", `${(100 * it.zeros).toFixed(1)} %`]);
  const table = element(
    "table",
    {},
    ...rows.map(([name, value]) =>
      element("tr", {}, element("th", { scope: "row" }, name), element("td", { "data-figure": name }, value)),
    ),
  );
  return element(
    "div",
    { class: "array" },
    element("div", { class: "figures" }, table, size > 1 && it.histogram ? histogram(it.histogram) : null),
    size > 1 && it.maps !== undefined ? picture(it.maps, label) : null,
  );
}

function formulas({ formula: [forward, backward] }, isBackward) {
  if (!forward) return null;
  const part = (name, text, lit) => [
    element("dt", {}, name),
    element("dd", lit ? { class: "lit" } : {}, element("pre", {}, text)),
  ];
  return element(
    "section",
    {},
    element("h3", {}, "Formula"),
    element(
      "dl",
      {},
      ...part("forward", forward, !isBackward),
      ...(backward ? part("backward", backward, isBackward) : []),
    ),
  );
}

function facts({ saved, multiply_adds, milliseconds: [forward, backward] }) {
  const total = saved.reduce((sum, each) => sum + each.bytes, 0);
  const items = saved
    .filter((each) => each.bytes)
    .map((each) => element("li", {}, element("code", {}, each.name), ` ${shapeOf(each)}, ${bytes(each.bytes)}`));
  const rows = [
    ["saved for backward", items.length ? bytes(total) : "no arrays"],
    ["multiply-adds", multiply_adds ? multiply_adds.toLocaleString("en") : "none"],
    ["time of this one run", `${number(forward)} ms forward, ${number(backward)} ms backward`],
  ];
  return element(
    "section",
    {},
    element("h3", {}, "Cost"),
    element(
      "table",
      {},
      ...rows.map(([name, value]) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)),
      ),
    ),
    items.length ? element("ul", {}, ...items) : null,
  );
}

function proof({ proof: found }) {
  const text =
    found && found.kinks < found.outputs
      ? `This gradient against finite differences at this very point, in float64: the largest relative difference in ` +
        `${found.directions} directions is ${found.difference.toExponential(1)}. ` +
        (found.agrees ? "They agree, as far as rounding allows." : "They do not agree.") +
        (found.kinks
          ? ` ${number(found.kinks)} of ${number(found.outputs)} outputs sit on a kink, where no derivative ` +
            `exists, and were left out on both sides.`
          : "")
      : "There is nothing to compare here: no gradient, no finite numbers, or nothing but kinks.";
  return element("section", { id: "proof" }, element("h3", {}, "Proof"), element("p", {}, text));
}

function sources({ sources: places }) {
  const parts = places
    .map((place) => step.texts[place])
    .map(({ title, place, line, html }) => {
      const code = element("pre", {});
      code.innerHTML = html; // made by Pygments, which escapes what it colours
      return element("details", {}, element("summary", {}, title, element("small", {}, ` ${place}:${line}`)), code);
    });
  return element("section", { id: "sources" }, element("h3", {}, "Code"), ...parts);
}
