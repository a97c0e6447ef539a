// What is drawn, as an SVG file that stands alone.

// Some characters may not stand in XML at all, not even as a reference.
function escapeXml(text) {
  return text
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd")
    .replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

// A colour as SVG 1.1 has it: a canvas turns any into red, green and blue.
const colorProbe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const plainColors = new Map();

function plainColor(color) {
  let plain = plainColors.get(color);
  if (!plain) {
    colorProbe.fillStyle = color;
    colorProbe.fillRect(0, 0, 1, 1);
    const [red, green, blue] = colorProbe.getImageData(0, 0, 1, 1).data;
    plainColors.set(color, (plain = `rgb(${red},${green},${blue})`));
  }
  return plain;
}

// All rows of what the graphs show, also those out of sight; a graph below another has a caption of its own.
function graphsSvg(graphs, captions, describe) {
  const { palette, scroller } = graphs[0];
  const width = scroller.clientWidth;
  const parts = [];
  let top = 0;
  graphs.forEach((graph, at) => {
    const caption = escapeXml(captions[at]);
    parts.push(`<text x="4" y="${top + 16}" font-weight="600" fill="${plainColor(palette.ink)}">${caption}</text>\n`);
    top += 24;
    const rows = graph.depth(graph.view);
    rowsSvg(graph, rows, width, top, parts, describe);
    top += rows * ROW + 2;
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" ` +
    `font-family="system-ui, sans-serif" font-size="12">\n<title>${escapeXml(captions[0])}</title>\n` +
    `<rect width="100%" height="100%" fill="${plainColor(palette.ground)}"/>\n${parts.join("")}</svg>\n`
  );
}

function rowsSvg(graph, rows, width, start, parts, describe) {
  const { model, view } = graph;
  const scale = width / (view[1] - view[0]);
  const context = graph.canvas.getContext("2d");
  for (let row = 0; row < rows; row++) {
    const top = start + (graph.upward ? rows - 1 - row : row) * ROW;
    for (let box = graph.firstIn(row, view[0]); box < model.rows[row + 1]; box++) {
      if (model.x[box] >= view[1]) break;
      const left = Math.max(0, (model.x[box] - view[0]) * scale);
      const right = Math.min(width, (model.x[box] + model.total[box] - view[0]) * scale);
      if (right - left < 0.3) continue;
      parts.push(boxSvg(graph, context, box, left, top, right - left, describe));
    }
  }
}

function boxSvg(graph, context, box, left, top, width, describe) {
  const { model, palette } = graph;
  const matches = graph.matches();
  const item = model.item[box];
  const color = graph.color(model, box);
  const faded = matches && !(item >= 0 && matches[item]);
  const fill = plainColor(faded ? palette.faded(color) : palette.get(color));
  const drawn = (width > 2 ? width - 1 : width).toFixed(1);
  const text = width < 24 ? "" : graph.fit(context, item, width - 8)[0];
  const label = text
    ? `<text x="${(left + 4).toFixed(1)}" y="${top + 13}" fill="${plainColor(palette.ink)}">${escapeXml(text)}</text>`
    : "";
  return (
    `<g><title>${escapeXml(describe(model, box))}</title><rect x="${left.toFixed(1)}" y="${top}" width="${drawn}" ` +
    `height="${ROW - 1}" fill="${fill}"/>${label}</g>\n`
  );
}

function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
