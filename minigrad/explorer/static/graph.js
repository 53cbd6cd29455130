"use strict";
/* The drawing of the graph: dagre says where the nodes lie, colour says how large the gradients are. */

const drawing = document.getElementById("drawing");
const CHARACTER = 7.2; // pixels of width in the nodes' font
const drawnNodes = new Map(); // id -> its <g>
const drawnEdges = new Map(); // "from>to" -> its <path>

/** The norms of the gradients that are shown now: the step's own, or those of another one beside it. */
function normsShown() {
  const other = step.others[Number(document.getElementById("other").value) - 1];
  return other ? other.norms : operations.map(({ gradient }) => gradient?.norm ?? null);
}

const allNorms = [...operations.map(({ gradient }) => gradient?.norm), ...step.others.flatMap((other) => other.norms)];

/** Logarithms of the smallest and largest norm above zero of all that can be shown, so that colours can be compared. */
const extent = (() => {
  const logs = allNorms.filter((norm) => norm > 0).map(Math.log10);
  return logs.length ? [Math.min(...logs), Math.max(...logs)] : [0, 0];
})();

/** From dark violet, small, to yellow, large; grey where there is no gradient. */
function colour(norm) {
  if (norm === null || norm === undefined) return "var(--none)";
  const stops = [
    [42, 20, 92],
    [84, 60, 150],
    [40, 120, 142],
    [60, 165, 110],
    [230, 200, 60],
  ];
  const [low, high] = extent;
  const share = norm > 0 ? (high > low ? (Math.log10(norm) - low) / (high - low) : 1) : 0;
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(place), stops.length - 2);
  const mixed = stops[below].map((part, i) => Math.round(part + (stops[below + 1][i] - part) * (place - below)));
  return `rgb(${mixed.join(" ")})`;
}

function textColour(norm) {
  if (norm === null || norm === undefined) return "var(--ink)";
  const [red, green, blue] = colour(norm).match(/\d+/g).map(Number);
  return 0.3 * red + 0.59 * green + 0.11 * blue > 130 ? "#000" : "#fff";
}

/** The norm of the gradient that arrives at a node: that of the last operation in it that has one. */
function normOf(node, norms) {
  const known = inside(node).filter((operation) => norms[operation] !== null);
  return known.length ? norms[known.at(-1)] : null;
}

/** Lay the graph out anew and draw it. */
function drawGraph() {
  const graph = new dagre.graphlib.Graph({ compound: true });
  graph.setGraph({ rankdir: "TB", ranksep: 30, nodesep: 14, edgesep: 8, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  const norms = normsShown();
  const nodes = new Set(operations.map((_, operation) => visible(operation)));
  for (const node of nodes) {
    const text = node.operation === null ? `${node.label} +` : node.label;
    graph.setNode(node.id, { node, text, width: Math.max(56, text.length * CHARACTER + 18), height: 30 });
    for (let at = node; at.parent?.parent; at = at.parent) {
      if (!graph.hasNode(at.parent.id)) graph.setNode(at.parent.id, { node: at.parent, text: `${at.parent.label} −` });
      graph.setParent(at.id, at.parent.id);
    }
  }
  operations.forEach(({ inputs }, operation) => {
    for (const { source } of inputs) {
      if (source === null) continue;
      const [from, to] = [visible(source).id, visible(operation).id];
      if (from !== to) graph.setEdge(from, to);
    }
  });
  dagre.layout(graph);
  // dagre puts what comes first on the right.
  const { width } = graph.graph();
  for (const id of graph.nodes()) graph.node(id).x = width - graph.node(id).x;
  for (const edge of graph.edges()) for (const point of graph.edge(edge).points) point.x = width - point.x;
  drawing.replaceChildren(svgOf(graph, norms));
}

function svgOf(graph, norms) {
  const { width, height } = graph.graph();
  const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group" });
  const markers = ["tip", "tip-lit"].map((id) =>
    drawn(
      "marker",
      { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto-start-reverse" },
      drawn("path", { d: "M0 0 L8 4 L0 8 z" }),
    ),
  );
  svg.append(drawn("defs", {}, ...markers));
  const layers = { clusters: drawn("g"), edges: drawn("g"), nodes: drawn("g") };
  svg.append(...Object.values(layers));
  drawnNodes.clear();
  drawnEdges.clear();
  const depth = (id) => (graph.parent(id) ? 1 + depth(graph.parent(id)) : 0);
  for (const id of graph.nodes().sort((a, b) => depth(a) - depth(b))) {
    const isCluster = graph.children(id).length > 0;
    (isCluster ? layers.clusters : layers.nodes).append(svgNode(graph.node(id), isCluster, norms));
  }
  for (const edge of graph.edges()) {
    const [start, ...rest] = graph.edge(edge).points;
    const path = drawn("path", {
      class: "edge",
      d: `M${start.x} ${start.y}` + curve(start, rest),
      "data-from": edge.v,
      "data-to": edge.w,
    });
    drawnEdges.set(`${edge.v}>${edge.w}`, path);
    layers.edges.append(path);
  }
  return svg;
}

/** Through the points with rounded corners: a quadratic curve to the middle of each piece. */
function curve(start, points) {
  let text = "";
  for (let i = 0; i < points.length - 1; i++) {
    const [corner, next] = [points[i], points[i + 1]];
    const end = i === points.length - 2 ? next : { x: (corner.x + next.x) / 2, y: (corner.y + next.y) / 2 };
    text += ` Q${corner.x} ${corner.y} ${end.x} ${end.y}`;
  }
  return text || ` L${points.at(-1).x} ${points.at(-1).y}`;
}

function svgNode({ node, text, x, y, width, height }, isCluster, norms) {
  const norm = normOf(node, norms);
  const foldable = node.operation === null;
  const gradient = norm === null ? "no gradient" : `gradient norm ${number(norm)}`;
  const act = () => (foldable ? toggle(node) : goToOperation(node.operation));
  const head = isCluster ? 13 : 0; // room above for a module's name
  const group = drawn("g", {
    class: isCluster ? "cluster" : foldable ? "node folded" : "node",
    "data-id": node.id,
    tabindex: 0,
    role: "button",
    "aria-label": `${foldable ? node.id : nameOf(node.operation)}, ${gradient}`,
    "aria-expanded": foldable ? String(isCluster) : null,
    onclick: (event) => (event.stopPropagation(), act()),
    onkeydown: (event) => {
      if (event.key === "Enter" || event.key === " ") (event.preventDefault(), act());
    },
  });
  group.append(drawn("title", {}, `${foldable ? node.id : nameOf(node.operation)}\n${gradient}`));
  group.append(
    drawn("rect", {
      x: x - width / 2,
      y: y - height / 2 - head,
      width,
      height: height + head,
      rx: 6,
      style: isCluster ? null : `fill: ${colour(norm)}`,
    }),
  );
  group.append(
    isCluster
      ? drawn("text", { x: x - width / 2 + 8, y: y - height / 2 - 1 }, text)
      : drawn("text", { x, y: y + 4.5, "text-anchor": "middle", style: `fill: ${textColour(norm)}` }, text),
  );
  drawnNodes.set(node.id, group);
  return group;
}

/** Light up the operation at hand and the edges along which something flows. */
function light({ operation, backward }) {
  drawing.querySelectorAll(".lit").forEach((lit) => lit.classList.remove("lit"));
  drawing
    .querySelectorAll(".edge")
    .forEach((edge) => (edge.removeAttribute("marker-end"), edge.removeAttribute("marker-start")));
  const own = visible(operation).id;
  const node = drawnNodes.get(own);
  node.classList.add("lit");
  for (const { source, gradient } of operations[operation].inputs) {
    if (source === null || (backward && !gradient)) continue;
    const edge = drawnEdges.get(`${visible(source).id}>${own}`);
    edge?.classList.add("lit");
    edge?.setAttribute(backward ? "marker-start" : "marker-end", "url(#tip-lit)");
  }
  const box = node.getBBox();
  const pane = document.getElementById("graph");
  pane.scrollTo({ left: box.x + box.width / 2 - pane.clientWidth / 2, top: box.y - pane.clientHeight / 2 });
}

function drawLegend() {
  const [low, high] = extent;
  const zero = allNorms.includes(0);
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => colour(share || !zero ? 10 ** (low + share * (high - low)) : 0));
  const least = [zero ? "0" : "", low < high || !zero ? number(10 ** low) : ""].filter(Boolean).join(" and ");
  document
    .getElementById("legend")
    .replaceChildren(
      "gradient norm ",
      element("span", {}, least),
      element("span", { class: "ramp", style: `background: linear-gradient(to right, ${stops.join(", ")})` }),
      element("span", {}, `${number(10 ** high)}, log scale`),
    );
}
