// The tooltip of the box under the mouse, and the words for a box.

class Tip {
  constructor(host, describe) {
    this.host = host;
    this.describe = describe;
  }

  show(model, box, x, y) {
    if (this.model !== model || this.box !== box) {
      this.model = model;
      this.box = box;
      this.host.replaceChildren(...this.describe(model, box));
      this.host.hidden = false;
    }
    const { offsetWidth, offsetHeight } = this.host;
    const left = Math.max(4, Math.min(x + 14, innerWidth - offsetWidth - 6));
    const top = y + 20 + offsetHeight > innerHeight ? y - offsetHeight - 12 : y + 20;
    this.host.style.left = `${left}px`;
    this.host.style.top = `${Math.max(4, top)}px`;
  }

  hide() {
    this.model = null;
    this.host.hidden = true;
  }
}

function figureRow(name, count, { whole, period }) {
  const words = [formatShare(count, whole), formatTime(count * period), formatSamples(count)];
  return make("tr", {}, make("th", { textContent: name }), ...words.map((textContent) => make("td", { textContent })));
}

// The tooltip's elements. `context` as for the details.
function describeBox(model, box, context) {
  const { items, stats, shown, whole, palette } = context;
  const item = model.item[box];
  if (item < 0) {
    const table = make("table", {}, figureRow("Total", context.whole, context));
    return [make("b", { textContent: context.rootTitle }), ...(model.chart || shown.before ? [] : [table])];
  }
  const kindName = shown.profile.meta.kinds[model.kind[box]];
  const swatch = make("i", { className: "swatch" });
  swatch.style.background = palette.kind(kindName);
  const parts = [make("b", { textContent: items.rawName(item) || items.name(item) })];
  const place = items.place(item);
  if (place) parts.push(make("div", { className: "place", textContent: place }));
  if (shown.before) return [...parts, diffTable(model, box, context)];
  parts.push(make("div", { className: "kind" }, swatch, KIND_NAMES[kindName]));
  const table = make("table");
  if (model.chart) {
    const from = model.x[box] + (context.range ? context.range[0] : 0);
    parts.push(make("div", {
      className: "dim",
      textContent: `${formatTime(model.total[box])} from ${from.toFixed(3)} s on, ${formatSamples(model.samples[box])}`,
    }));
  } else if (model.inverted) {
    const end = model.item[0] < 0 ? model.row(box) === 1 : box === 0;
    table.append(figureRow(end ? "Here" : "This way", model.total[box], context));
  } else {
    table.append(figureRow("Total", model.total[box], context), figureRow("Self", model.self[box], context));
  }
  table.append(make("tr", { className: "rule" }, make("td", { textContent: "The function, everywhere", colSpan: 4 })));
  table.append(figureRow("Total", stats.total[item], context), figureRow("Self", stats.self[item], context));
  return [...parts, table];
}

function diffTable(model, box, { whole, shown: { scale } }) {
  const before = model.before[box];
  const after = model.after[box];
  const row = (name, share, count) =>
    make("tr", {}, make("th", { textContent: name }), make("td", { textContent: share }), make("td", { textContent: count }));
  return make(
    "table", {},
    row("Before", formatShare(before, whole), formatSamples(before / scale)),
    row("After", formatShare(after, whole), formatSamples(after)),
    row("Change", formatChange((after - before) / whole), before ? `${(after / before).toFixed(2)} times` : "new"),
  );
}

// One line about a box, for titles and screen readers.
function boxSentence(model, box, { items, shown, whole, period, rootTitle }) {
  const item = model.item[box];
  if (item < 0) return rootTitle;
  const kind = KIND_NAMES[shown.profile.meta.kinds[model.kind[box]]];
  if (model.chart) return `${items.label(item)}, ${kind}, ${formatTime(model.total[box])}`;
  if (shown.before) return `${items.label(item)}, ${formatChange((model.after[box] - model.before[box]) / whole)}`;
  const total = model.total[box];
  const self = model.inverted ? "" : `, self ${formatShare(model.self[box], whole)}`;
  return `${items.label(item)}, ${kind}, ${formatShare(total, whole)}, ${formatTime(total * period)}, ${formatSamples(total)}${self}`;
}

// The same about a function.
function itemSentence(item, { items, stats, shown, whole }) {
  const label = items.label(item);
  if (shown.before) return `${label}, ${formatChange((stats.total[item] - stats.totalBefore[item]) / whole)}`;
  const words = (name, count) => `${name} ${formatShare(count, whole)}, ${formatSamples(count)}`;
  return `${label}, ${words("total", stats.total[item])}, ${words("self", stats.self[item])}`;
}
