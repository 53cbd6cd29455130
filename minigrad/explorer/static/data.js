"use strict";
/* The step that this page shows, and how to get at its arrays. */

const step = JSON.parse(document.getElementById("step").textContent);
const operations = step.operations;

/** All steps: each operation forward, then those with a gradient backward. */
const steps = [
  ...operations.map((_, operation) => ({ operation, backward: false })),
  ...step.backward.map((operation) => ({ operation, backward: true })),
];

const decoded = new Map();

/** An array of the page by its place: {shape, values}, values a Float32Array in logical order. */
function arrayAt(place) {
  if (!decoded.has(place)) decoded.set(place, decode(step.arrays[place]));
  return decoded.get(place);
}

async function decode(entry) {
  const packed = Uint8Array.from(atob(entry.floats ?? entry.bytes), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  if (entry.floats !== undefined) return { shape: entry.shape, values: new Float32Array(buffer) };
  return { shape: entry.shape, values: Float32Array.from(new Int8Array(buffer), (whole) => whole * entry.scale) };
}

/** An element: element("p", {class: "note", onclick: f}, child, "text", ...). */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  set(made, attributes);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The same in SVG. */
function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(made, attributes);
  made.append(...children);
  return made;
}

function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
}

/** A number as people read it: four digits, powers of ten where it is very large or small. */
function number(value) {
  if (value === null || value === undefined) return "not finite";
  if (value === 0) return "0"; // and not "-0"
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? Number(value.toPrecision(4)).toString() : value.toExponential(3);
}

function bytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (count >= 1024 && unit < 3) [count, unit] = [count / 1024, unit + 1];
  return `${unit ? count.toFixed(1) : count} ${units[unit]}`;
}

/** What operations are called on this page: module and kind, and a number where a module has several of a kind. */
const names = (() => {
  const plain = operations.map(({ path, name }) => (path ? `${path} · ${name}` : name));
  const turns = new Map();
  return plain.map((name, index) => {
    turns.set(name, (turns.get(name) ?? 0) + 1);
    const several = plain.indexOf(name) !== index || plain.lastIndexOf(name) !== index;
    return several ? `${name} ${turns.get(name)}` : name;
  });
})();

const nameOf = (index) => names[index];
