// The selected function: its figures, tiers, hottest lines, callers and callees.

function functionDetails(shown, items, wanted) {
  const { profile } = shown;
  const byKind = new Map();
  const byLine = new Map();
  const callers = new Map();
  const callees = new Map();
  const lineKeys = new Int32Array(shown.count);
  const add = (map, key, field, value) => {
    if (!map.has(key)) map.set(key, { self: 0, total: 0 });
    map.get(key)[field] += value;
  };
  const numbers = new Map();
  for (let node = 1; node < shown.count; node++) {
    if (items.ofNode[node] !== wanted || shown.hidden[node]) continue;
    const line = profile.frameLine[profile.frame[node]];
    if (line && !numbers.has(line)) numbers.set(line, numbers.size + 1);
    lineKeys[node] = numbers.get(line) ?? 0;
    if (line) add(byLine, line, "self", shown.own[node]);
    add(byKind, shown.kind(node), "self", shown.own[node]);
    for (let child = shown.firstChild[node]; child; child = shown.nextSibling[child]) {
      if (items.ofNode[child] !== wanted) add(callees, items.ofNode[child], "total", shown.weight(child));
    }
  }
  const lines = [...numbers.keys()];
  shown.eachOutermost(lineKeys, numbers.size + 1, (node, outermost) => {
    if (lineKeys[node] && outermost) add(byLine, lines[lineKeys[node] - 1], "total", shown.total[node]);
  });
  shown.eachOutermost(items.ofNode, items.count, (node, outermost) => {
    if (items.ofNode[node] !== wanted || !outermost) return;
    add(byKind, shown.kind(node), "total", shown.total[node]);
    if (shown.up[node]) add(callers, items.ofNode[shown.up[node]], "total", shown.weight(node));
  });
  return { byKind, byLine, callers, callees };
}

// Blanks that all lines with text begin with.
function commonIndent(lines) {
  const indents = lines.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length);
  return indents.length ? Math.min(...indents) : 0;
}

class Details {
  constructor(host, actions) {
    this.host = host;
    this.actions = actions;
  }

  // `context`: shown, items, stats, whole (the total of what is shown), period, palette.
  show(item, context) {
    this.host.hidden = item < 0;
    this.host.classList.remove("wide");
    if (item < 0) return;
    const { items, stats, shown } = context;
    const found = functionDetails(shown, items, item);
    const place = items.place(item);
    const close = make("button", { className: "close", textContent: "×", title: "Close", ariaLabel: "Close" });
    close.addEventListener("click", () => this.actions.close());
    const copy = make("button", { className: "plain", textContent: "Copy", title: "Copy the whole label" });
    copy.addEventListener("click", () => copyText(items.label(item)));
    const labels = context.stackOf(item);
    const stack = labels && make("button", { className: "plain", textContent: "Copy stack", title: "Copy the labels from this frame to the root" });
    stack?.addEventListener("click", () => copyText(`${labels.join("\n")}\n`));
    const sandwich = make("button", { className: "plain", textContent: "Sandwich", title: "Its callers and callees (Enter in the table)" });
    sandwich.addEventListener("click", () => this.actions.open(item));
    const search = make("button", { className: "plain", textContent: "Highlight", title: "Search for this function" });
    search.addEventListener("click", () => this.actions.search(items.label(item)));
    const remove = make("button", { className: "plain", textContent: "Remove", title: "Leave out all stacks with this function (Alt-click)" });
    remove.addEventListener("click", () => this.actions.remove(item));
    this.host.replaceChildren(
      close,
      make("h2", { textContent: items.rawName(item) || items.name(item) }),
      make("p", { className: "place", textContent: place }),
      make("p", { className: "actions" }, sandwich, search, remove, copy, stack),
      this.figures(item, context),
      ...(stats.totalBefore && shown.before ? [] : [this.kinds(found.byKind, context)]),
      ...this.lines(item, found.byLine, context),
      ...this.related("Callers", found.callers, context),
      ...this.related("Callees", found.callees, context),
    );
    const hottest = this.host.querySelector(".hottest");
    const box = hottest?.closest(".linebox");
    if (box) box.scrollTop = hottest.offsetTop - box.clientHeight / 2;
  }

  figures(item, { stats, whole, period, shown }) {
    const body = make("table", { className: "figures" });
    if (shown.before) {
      body.append(make("tr", {}, ...["", "before", "after", "change"].map((textContent) => make("th", { textContent }))));
      for (const [name, before, after] of [
        ["Self", stats.selfBefore[item], stats.self[item]],
        ["Total", stats.totalBefore[item], stats.total[item]],
      ]) {
        const words = [name, formatShare(before, whole), formatShare(after, whole), formatChange((after - before) / whole)];
        body.append(make("tr", {}, ...words.map((textContent) => make("td", { textContent }))));
        const counts = ["", formatCount(before / shown.scale), formatCount(after), "samples"];
        body.append(make("tr", { className: "dim" }, ...counts.map((textContent) => make("td", { textContent }))));
      }
      return body;
    }
    for (const [name, count] of [["Self", stats.self[item]], ["Total", stats.total[item]]]) {
      const words = [formatShare(count, whole), formatTime(count * period), formatSamples(count)];
      body.append(make("tr", {}, make("th", { textContent: name }), ...words.map((textContent) => make("td", { textContent }))));
    }
    return body;
  }

  kinds(byKind, { shown, palette, whole }) {
    const rows = [...byKind].filter(([, sums]) => sums.total).sort((a, b) => b[1].total - a[1].total);
    return make("ul", { className: "kinds" }, ...rows.map(([kind, sums]) => {
      const name = shown.profile.meta.kinds[kind];
      const swatch = make("i", { className: "swatch" });
      swatch.style.background = palette.kind(name);
      const share = rows.length > 1 ? formatShare(sums.total, whole) : "";
      return make("li", {}, swatch, KIND_NAMES[name], make("span", { className: "dim", textContent: ` ${share}` }));
    }));
  }

  // Lines with their counts, hottest marked; the source around them where the page has it.
  lines(item, byLine, { items, shown, whole }) {
    if (!byLine.size || shown.before) return [];
    const source = shown.profile.sources[items.file(item)] ?? {};
    const numbers = new Set(byLine.keys());
    const first = shown.profile.functionNumber[items.functions[item]];
    const last = Math.max(...numbers);
    const near = Math.min(...numbers);
    for (const line of Object.keys(source).map(Number)) {
      if (line >= Math.min(first || near, near) && line <= last + 2) numbers.add(line);
    }
    let rows = [...numbers];
    if (rows.length > 400) rows = rows.filter((line) => byLine.has(line));
    rows.sort((a, b) => a - b);
    const indent = commonIndent(rows.map((line) => source[line] ?? ""));
    this.host.classList.toggle("wide", Object.keys(source).length > 0);
    const all = [...byLine.values()];
    const most = Math.max(...all.map((sum) => Math.max(sum.self, sum.total)));
    const heat = (sum) => sum.self || sum.total / 1e9;
    const hottest = Math.max(...all.map(heat));
    const body = make("table", { className: "lines" });
    body.append(make("tr", {}, ...["Line", "Self", "Total", ""].map((textContent) => make("th", { textContent }))));
    for (const line of rows.slice(0, 400)) {
      const sums = byLine.get(line) ?? { self: 0, total: 0 };
      const row = make("tr", { className: heat(sums) === hottest ? "hottest" : sums.total ? "" : "dim" });
      row.style.setProperty("--part", `${Math.round((Math.max(sums.self, sums.total) / most) * 100)}%`);
      const shares = [sums.self, sums.total].map((sum) => (sum ? formatShare(sum, whole) : ""));
      row.append(
        ...[String(line), ...shares].map((textContent) => make("td", { textContent })),
        make("td", { className: "source", textContent: (source[line] ?? "").slice(indent) }),
      );
      if (sums.total) row.title = `${formatCount(sums.self)} samples ended here, ${formatCount(sums.total)} passed`;
      body.append(row);
    }
    return [make("h3", { textContent: "Hottest lines" }), make("div", { className: "linebox" }, body)];
  }

  related(title, map, { items, whole }) {
    const rows = [...map].sort((a, b) => b[1].total - a[1].total).slice(0, 8);
    if (!rows.length) return [];
    const list = make("ul", { className: "related" }, ...rows.map(([item, sums]) => {
      const button = make("button", { className: "plain", textContent: items.name(item), title: items.label(item) });
      button.addEventListener("click", () => this.actions.pick(item));
      return make("li", {}, button, make("span", { className: "dim", textContent: formatShare(sums.total, whole) }));
    }));
    return [make("h3", { textContent: title }), list];
  }
}
