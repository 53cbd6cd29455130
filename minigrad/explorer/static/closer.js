"use strict";
/* Opening one number: a convolution's output pixel with its window, a max-pool's winner, a dropout's mask, how a
   concatenation parts its gradient, what a cross-entropy makes of each class. */

let pixel = null; // [row, column] of the output pixel at hand; null: the one with the largest gradient

function closerLook(operation) {
  const it = operations[operation];
  if (!it.closer) return null;
  const box = element("section", { id: "closer" });
  const show = {
    convolution: showConvolution,
    max_pool: showMaxPool,
    dropout: showDropout,
    cat: showParts,
    cross_entropy: showClasses,
  };
  show[it.closer.kind](it.closer, box, it);
  return box;
}

/** A grid of numbers as coloured cells, one of which can be chosen by mouse or arrow keys. */
function grid({ shape, values }, label, marks, choose) {
  const [rows, columns] = shape.slice(-2);
  const colourOf = colours(values);
  const available = (panel.clientWidth - 80) / 3; // three grids side by side
  const cell = Math.max(3, Math.min(16, Math.floor(available / columns)));
  const canvas = element("canvas", {
    width: columns * cell,
    height: rows * cell,
    tabindex: choose ? 0 : null,
    role: choose ? "application" : "img",
    "aria-label": label,
  });
  const context = canvas.getContext("2d");
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      context.fillStyle = `rgb(${colourOf(values[row * columns + column]).join(" ")})`;
      context.fillRect(column * cell, row * cell, cell, cell);
    }
  }
  for (const { row, column, height, width, style } of marks) {
    context.strokeStyle = getComputedStyle(document.body).getPropertyValue(style);
    context.lineWidth = 2;
    context.strokeRect(column * cell + 1, row * cell + 1, width * cell - 2, height * cell - 2);
  }
  if (choose) {
    canvas.addEventListener("click", (event) => {
      const shown = cell * (canvas.clientWidth / canvas.width); // the page makes a wide canvas smaller
      choose(
        Math.min(rows - 1, Math.floor(event.offsetY / shown)),
        Math.min(columns - 1, Math.floor(event.offsetX / shown)),
      );
    });
    canvas.addEventListener("keydown", (event) => {
      const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[
        event.key
      ] ?? [0, 0];
      if (!down && !right) return;
      event.preventDefault();
      event.stopPropagation();
      const [row, column] = pixel;
      choose(Math.max(0, Math.min(rows - 1, row + down)), Math.max(0, Math.min(columns - 1, column + right)));
    });
  }
  return element("figure", {}, canvas, element("figcaption", {}, label));
}

/** Where a value is largest, without its sign: [row, column]. */
function largestAt({ shape, values }) {
  let best = 0;
  values.forEach((value, place) => (best = Math.abs(value) > Math.abs(values[best]) ? place : best));
  return [Math.floor(best / shape.at(-1)), best % shape.at(-1)];
}

/** The pixel, or the nearest one that there is: links may say anything. */
function within(place, shape) {
  return place.map((at, axis) => Math.max(0, Math.min(shape[axis] - 1, at)));
}

/** The window that the pixel at hand sees of an input (H, W), with a mark for it and a sentence about it. */
function windowOf({ stride, padding, dilation }, kernel, sides) {
  const begin = pixel.map((at, axis) => at * stride[axis] - padding[axis]);
  const places = kernel.map((size, axis) => Array.from({ length: size }, (_, i) => begin[axis] + i * dilation[axis]));
  const onImage = places.map((each, axis) => each.filter((place) => place >= 0 && place < sides[axis]).length);
  const outside = kernel[0] * kernel[1] - onImage[0] * onImage[1];
  const [rows, columns] = places.map((each, axis) => {
    const every = dilation[axis] > 1 && each.length > 1 ? `, each ${dilation[axis]} from the last,` : "";
    return `${each[0]} to ${each.at(-1)}${every}`;
  });
  const [height, width] = places.map((each) => each.at(-1) - each[0] + 1);
  return {
    top: begin[0],
    left: begin[1],
    mark: { row: begin[0], column: begin[1], height, width, style: "--mark" },
    sentence: `Output pixel (${pixel.join(", ")}) sees rows ${rows} and columns ${columns}`,
    outside,
  };
}

/** What every closer look at a pixel begins with. */
function pixelHead(closer, ...grids) {
  return [
    element("h3", {}, `One pixel of channel ${closer.channel}`),
    element("p", { class: "note" }, "Choose an output pixel by mouse or with the arrow keys."),
    element("div", { class: "grids" }, ...grids),
  ];
}

/** Draw the closer look anew for another output pixel, and keep the keyboard where it was. */
function chooser(render, box) {
  return (row, column) => {
    pixel = [row, column];
    writeHash();
    render();
    box.querySelector("canvas[tabindex]")?.focus();
  };
}

async function showConvolution(closer, box) {
  const [x, weight, output, gradient] = await Promise.all(
    [closer.input, closer.weight, closer.output, closer.gradient].map(arrayAt),
  );
  if (!box.isConnected) return; // the reader has gone on
  pixel = within(pixel ?? largestAt(gradient), gradient.shape);
  const [perGroup, kh, kw] = weight.shape;
  const [, height, width] = x.shape;
  const render = () => {
    const [row, column] = pixel;
    const { top, left, mark, sentence, outside } = windowOf(closer, [kh, kw], [height, width]);
    const products = []; // one an element of the column, in its order: channel, row, column of the window
    for (let c = 0; c < perGroup; c++) {
      for (let u = 0; u < kh; u++) {
        for (let v = 0; v < kw; v++) {
          const [h, l] = [top + u * closer.dilation[0], left + v * closer.dilation[1]];
          const there = h >= 0 && h < height && l >= 0 && l < width;
          const channel = closer.first_input_channel + c;
          const value = there ? x.values[(channel * height + h) * width + l] : 0;
          const factor = weight.values[(c * kh + u) * kw + v];
          products.push({ channel, h, l, there, value, factor, product: value * factor });
        }
      }
    }
    const place = row * output.shape[1] + column;
    const sum = products.reduce((total, { product }) => total + product, closer.bias ?? 0);
    const [toInput, toWeight] = closer.needs;
    const owed = gradient.values[place];
    const tableIsOpen = box.querySelector("details")?.open ?? false;
    const strongest = [...products].sort((a, b) => Math.abs(b.product) - Math.abs(a.product))[0].channel;
    const map = x.values.subarray(strongest * height * width, (strongest + 1) * height * width);
    box.replaceChildren(
      ...pixelHead(
        closer,
        grid(
          output,
          `output, channel ${closer.channel}`,
          [{ row, column, height: 1, width: 1, style: "--mark" }],
          chooser(render, box),
        ),
        grid({ shape: [height, width], values: map }, `input, channel ${strongest}: the window's largest product`, [
          mark,
        ]),
        grid(gradient, "gradient of the output" + (closer.activation ? ", before ReLU" : ""), [
          { row, column, height: 1, width: 1, style: "--mark" },
        ]),
      ),
      element(
        "p",
        { id: "window" },
        `${sentence} of ${perGroup} input channel${perGroup > 1 ? "s" : ""}` +
          (outside ? `; ${outside} of the ${kh * kw} places${perGroup > 1 ? " in each" : ""} are padding.` : "."),
      ),
      element(
        "p",
        { id: "sum" },
        `Its column of ${products.length} numbers times the weights` +
          `${closer.bias === null ? "" : `, plus the bias ${number(closer.bias)},`} is ${number(sum)}` +
          (closer.activation ? `; after ReLU ${number(output.values[place])}.` : "."),
      ),
      strips(products, owed, closer.needs),
      element(
        "p",
        { id: "owed" },
        owed
          ? `Backward, its gradient ${number(owed)} ` +
              [
                toInput ? "times each weight goes to the place in the input that met it" : "",
                toWeight ? "times each number of the column goes to the weight that met it" : "",
              ]
                .filter(Boolean)
                .join(", and ") +
              (toInput ? "." : ". The input needs no gradient, and nothing goes back to it.")
          : "Backward, nothing comes to this pixel, so nothing goes back from here.",
      ),
      productTable(products, owed, closer.needs, tableIsOpen),
    );
  };
  render();
}

/** The column, the weights, their products and what goes back to both, as strips of one cell an element. */
function strips(products, owed, [toInput, toWeight]) {
  const lines = [
    ["column", (p) => p.value],
    ["weights", (p) => p.factor],
    ["products", (p) => p.product],
    ...(toInput ? [["to the input", (p) => (p.there ? owed * p.factor : 0)]] : []),
    ...(toWeight ? [["to the weights", (p) => owed * p.value]] : []),
  ];
  return element(
    "div",
    { class: "strips" },
    ...lines.flatMap(([name, of]) => {
      const values = Float32Array.from(products, of);
      const canvas = mosaic({ shape: [1, 1, values.length], values }, 1, 600);
      const tall = element(
        "div",
        { class: "strip", role: "img", "aria-label": `${name}: ${values.length} numbers` },
        canvas,
      );
      return [element("span", {}, name), tall];
    }),
  );
}

function productTable(products, owed, [toInput, toWeight], open) {
  const rows = [...products].sort((a, b) => Math.abs(b.product) - Math.abs(a.product)).slice(0, 9);
  const head = ["channel", "row", "column", "input", "weight", "product"];
  if (toInput) head.push("to the input");
  if (toWeight) head.push("to the weight");
  const cells = (p) => [
    ...[p.channel, p.h, p.l, p.value, p.factor, p.product],
    ...(toInput ? [p.there ? owed * p.factor : "padding"] : []),
    ...(toWeight ? [owed * p.value] : []),
  ];
  const shown = rows.map((p) => cells(p).map((value) => (typeof value === "number" ? number(value) : value)));
  return element(
    "details",
    { open },
    element("summary", {}, `the ${rows.length} largest products`),
    tableOf(head, shown),
  );
}

async function showMaxPool(closer, box) {
  const [x, owed, output, gradient, winner] = await Promise.all(
    [closer.input, closer.input_gradient, closer.output, closer.gradient, closer.winner].map(arrayAt),
  );
  if (!box.isConnected) return; // the reader has gone on
  pixel = within(pixel ?? largestAt(gradient), gradient.shape);
  const split = (place, width) => [Math.floor(place / width), place % width]; // into row and column
  /** [row, column] in the input of the pixel that has won the window of the output pixel at `place`. */
  const wonBy = (place) => {
    const [output, inWindow] = [split(place, gradient.shape[1]), split(winner.values[place], closer.kernel[1])];
    return output.map(
      (at, axis) => at * closer.stride[axis] - closer.padding[axis] + inWindow[axis] * closer.dilation[axis],
    );
  };
  const render = () => {
    const [row, column] = pixel;
    const place = row * output.shape[1] + column;
    const { mark, sentence, outside } = windowOf(closer, closer.kernel, x.shape);
    const [h, l] = wonBy(place);
    const windows = winner.values.filter((_, other) => String(wonBy(other)) === String([h, l])).length;
    const marks = [mark, { row: h, column: l, height: 1, width: 1, style: "--winner" }];
    box.replaceChildren(
      ...pixelHead(
        closer,
        grid(output, "output", [{ row, column, height: 1, width: 1, style: "--mark" }], chooser(render, box)),
        grid(x, "input: the window, and in it the winner", marks),
        grid(owed, "gradient of the input: only winners have one", marks),
      ),
      element(
        "p",
        { id: "window" },
        sentence +
          (outside
            ? `; ${outside} of the ${closer.kernel[0] * closer.kernel[1]} places lie outside the image. `
            : ". ") +
          `Input (${h}, ${l}) = ${number(output.values[place])} won, and alone receives this pixel's gradient, ${number(gradient.values[place])}. ` +
          (windows > 1
            ? `It has won ${windows} windows, and receives ${number(owed.values[h * x.shape[1] + l])} from all of them.`
            : "It has won no other window."),
      ),
    );
  };
  render();
}

function showDropout(closer, box) {
  box.append(
    element("h3", {}, "The mask"),
    element(
      "p",
      { class: "note" },
      closer.p === 1
        ? "Each number is dropped."
        : `Each number is dropped with probability ${closer.p}; those that are kept, in red here, are divided by ${number(1 - closer.p)}.`,
    ),
    picture(closer.kept, "the mask"),
  );
}

/** Each input's places along the axis, and its share of the gradient. */
function showParts({ axis }, box, { inputs, gradient }) {
  const what = axis === 1 && gradient.shape.length === 4 ? "channels" : `places of axis ${axis}`;
  const sizes = inputs.map((input) => (input.gradient ?? operations[input.source]?.output ?? input.value).shape[axis]);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let begin = 0;
  const rows = inputs.map((input, place) => {
    const from = begin;
    begin += sizes[place];
    const share = gradient.norm ? ((input.gradient?.norm ?? 0) / gradient.norm) ** 2 : 0;
    return [
      inputName(input),
      `${from} to ${begin - 1}`,
      `${((100 * sizes[place]) / total).toFixed(1)} %`,
      element(
        "span",
        {},
        element("meter", { value: share, "aria-label": "share of the squared norm" }),
        ` ${(100 * share).toFixed(1)} %`,
      ),
    ];
  });
  const head = ["input", what, `of the ${what}`, "of the gradient's squared norm"];
  box.append(element("h3", {}, "How the gradient parts"), tableOf(head, rows));
}

/** Softmax and the truth, class by class: their difference is the gradient. */
function showClasses({ image, columns }, box) {
  const [logits] = columns;
  const rows = logits.map((_, kind) => [kind, ...columns.map((column) => column[kind])].map(number));
  box.append(
    element("h3", {}, `Image ${image}, class by class`),
    tableOf(["class", "logit", "probability", "target", "gradient"], rows),
  );
}

function tableOf(head, rows) {
  return element(
    "table",
    {},
    element("tr", {}, ...head.map((name) => element("th", {}, name))),
    ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell)))),
  );
}
