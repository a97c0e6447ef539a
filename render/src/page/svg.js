// What a graph shows, as an SVG file that stands alone.

function escapeXml(text) {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
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

// All rows of the range shown, also those out of sight.
function graphSvg(graph, title, describe) {
  const { model, palette } = graph;
  const width = graph.scroller.clientWidth;
  const rows = graph.depth(graph.view);
  const height = rows * ROW + 26;
  const scale = width / (graph.view[1] - graph.view[0]);
  const context = graph.canvas.getContext("2d");
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" `,
    `font-family="system-ui, sans-serif" font-size="12">\n<title>${escapeXml(title)}</title>\n`,
    `<rect width="100%" height="100%" fill="${plainColor(palette.ground)}"/>\n`,
    `<text x="4" y="16" font-weight="600" fill="${plainColor(palette.ink)}">${escapeXml(title)}</text>\n`,
  ];
  for (let row = 0; row < rows; row++) {
    const top = 24 + (graph.upward ? rows - 1 - row : row) * ROW;
    for (let box = graph.firstIn(row, graph.view[0]); box < model.rows[row + 1]; box++) {
      if (model.x[box] >= graph.view[1]) break;
      const left = Math.max(0, (model.x[box] - graph.view[0]) * scale);
      const right = Math.min(width, (model.x[box] + model.total[box] - graph.view[0]) * scale);
      if (right - left < 0.3) continue;
      parts.push(boxSvg(graph, context, box, left, top, right - left, describe));
    }
  }
  parts.push("</svg>\n");
  return parts.join("");
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
