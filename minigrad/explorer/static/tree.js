"use strict";
/* The network as a tree: modules, in them modules, at the ends operations. Any module can be folded into one node. */

/** The module without a name: {id, parent, children, operation, label}. Ids are paths; operations have "#7" and so on. */
function treeOf(list) {
  const root = { id: "", parent: null, children: [], operation: null };
  const groups = new Map([["", root]]);
  const groupAt = (path) => {
    if (!groups.has(path)) {
      const parent = groupAt(path.slice(0, Math.max(0, path.lastIndexOf("."))));
      const group = { id: path, parent, children: [], operation: null };
      parent.children.push(group);
      groups.set(path, group);
    }
    return groups.get(path);
  };
  list.forEach(({ path }, operation) => {
    const parent = groupAt(path);
    parent.children.push({ id: `#${operation}`, parent, children: [], operation });
  });
  return labelled(withoutLonely(root));
}

/** A module that holds but one thing gives way to that thing. */
function withoutLonely(node) {
  node.children = node.children.map(withoutLonely);
  node.children.forEach((child) => (child.parent = node));
  return node.parent && node.children.length === 1 ? node.children[0] : node;
}

/** Labels say what is new in a name since the module around it. */
function labelled(node) {
  for (const child of node.children) {
    const name = child.operation === null ? child.id : nameOf(child.operation);
    const isInside = node.id && name.startsWith(node.id);
    child.label = isInside ? name.slice(node.id.length).replace(/^(\.| · )/, "") : name;
    labelled(child);
  }
  return node;
}

const tree = treeOf(operations);
const leafOf = [];
const modules = [];
(function visit(node) {
  if (node.operation !== null) leafOf[node.operation] = node;
  else if (node.parent) modules.push(node);
  node.children.forEach(visit);
})(tree);

const unfolded = new Set();

/** The node that is drawn for an operation: itself, or the outermost folded module around it. */
function visible(operation) {
  let seen = leafOf[operation];
  for (let node = seen.parent; node?.parent; node = node.parent) if (!unfolded.has(node.id)) seen = node;
  return seen;
}

/** The operations inside a node, in the order in which they ran. */
function inside(node) {
  return node.operation !== null ? [node.operation] : node.children.flatMap(inside).sort((a, b) => a - b);
}

/** Unfold all modules around an operation. */
function reveal(operation) {
  let changed = false;
  for (let node = leafOf[operation].parent; node?.parent; node = node.parent) {
    changed ||= !unfolded.has(node.id);
    unfolded.add(node.id);
  }
  return changed;
}
