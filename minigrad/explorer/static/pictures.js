"use strict";
/* Arrays as pictures: maps side by side, and histograms. */

const FIRST = 64; // so many maps are drawn at once; a button draws the rest

const darkScheme = matchMedia("(prefers-color-scheme: dark)");

/** A function from a value to its colour [red, green, blue]: blue for negative, red for positive, grey for 0. */
function colours(values) {
  const largest =
    values.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0) || 1;
  const zero = darkScheme.matches ? [28, 30, 34] : [245, 245, 245];
  const table = Array.from({ length: 255 }, (_, level) => {
    const share = (level - 127) / 127;
    const end = share < 0 ? [40, 110, 235] : [225, 60, 30];
    const much = Math.abs(share) ** 0.6; // so that small values can be seen
    return zero.map((part, i) => Math.round(part + (end[i] - part) * much));
  });
  return (value) => table[127 + Math.round((127 * value) / largest)] ?? [128, 128, 128]; // what is not finite
}

const FLAT = 8; // maps that are so many times wider than high cannot be made out

/** Maps (C, H, W) that can be made out: each row of a flat one becomes a map of its own, with grey at the end. */
function drawable(maps) {
  const {
    shape: [channels, height, width],
    values,
  } = maps;
  if (width < FLAT * height || width < 64) return maps;
  const [count, side] = [channels * height, 2 ** Math.round(Math.log2(width) / 2)];
  const tall = Math.ceil(width / side);
  const folded = new Float32Array(count * tall * side).fill(NaN);
  for (let row = 0; row < count; row++) {
    folded.set(values.subarray(row * width, (row + 1) * width), row * tall * side);
  }
  return { shape: [count, tall, side], values: folded };
}

/** A canvas with `count` of the maps (C, H, W) in rows, each number a pixel, `zoom` times as large on the screen. */
function mosaic({ shape: [channels, height, width], values }, count, available) {
  const colourOf = colours(values);
  const zoom = Math.max(
    1,
    Math.min(Math.floor(available / width), Math.ceil((channels > 8 ? 28 : 112) / Math.max(width, height)), 12),
  );
  const gap = channels > 1 ? 1 : 0;
  const columns = Math.max(1, Math.min(count, Math.floor(available / (zoom * width + gap))));
  const rows = Math.ceil(count / columns);
  const canvas = element("canvas", { width: columns * (width * zoom + gap), height: rows * (height * zoom + gap) });
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let channel = 0; channel < count; channel++) {
    const [left, top] = [
      (channel % columns) * (width * zoom + gap),
      Math.floor(channel / columns) * (height * zoom + gap),
    ];
    for (let y = 0; y < height * zoom; y++) {
      for (let x = 0; x < width * zoom; x++) {
        const value = values[(channel * height + Math.floor(y / zoom)) * width + Math.floor(x / zoom)];
        const place = 4 * ((top + y) * canvas.width + left + x);
        [image.data[place], image.data[place + 1], image.data[place + 2]] = colourOf(value);
        image.data[place + 3] = 255;
      }
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** The maps of an array, drawn when they are there; more than FIRST on demand. */
function picture(place, label) {
  const box = element("div", { class: "maps" });
  const available = Math.max(240, document.getElementById("panel").clientWidth - 40);
  const draw = (maps, count) => {
    const canvas = mosaic(maps, count, available);
    set(canvas, { role: "img", "aria-label": `${label}: ${count} maps of ${maps.shape[1]}x${maps.shape[2]}` });
    const rest = maps.shape[0] - count;
    const more = element("button", { onclick: () => draw(maps, maps.shape[0]) }, `all ${maps.shape[0]} channels`);
    box.replaceChildren(canvas, ...(rest > 0 ? [more] : []), element("p", { class: "note" }, caption));
  };
  let caption = "blue below 0, red above, grey at 0";
  arrayAt(place).then((given) => {
    const maps = drawable(given);
    if (maps !== given) caption += `; each row of ${given.shape[2].toLocaleString("en")} folded into a map`;
    draw(maps, Math.min(FIRST, maps.shape[0]));
  });
  return box;
}

/** The histogram of an array: bars on a logarithmic scale, since most gradients are near 0. */
function histogram({ counts, low, high }) {
  const [width, height] = [240, 56];
  const top = Math.log1p(Math.max(...counts));
  const bars = counts.map((count, bin) => {
    const size = top ? (height * Math.log1p(count)) / top : 0;
    const bar = drawn("rect", {
      x: (bin * width) / counts.length,
      y: height - size,
      width: width / counts.length - 0.6,
      height: size,
    });
    bar.append(drawn("title", {}, `${number(low + ((high - low) * bin) / counts.length)} and up: ${count}`));
    return bar;
  });
  const svg = drawn("svg", {
    class: "histogram",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": `histogram from ${number(low)} to ${number(high)}, counts on a log scale`,
  });
  svg.append(...bars);
  return element(
    "figure",
    {},
    svg,
    element("figcaption", {}, ...[number(low), "log scale", number(high)].map((text) => element("span", {}, text))),
  );
}
