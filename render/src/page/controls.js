// The controls around the graphs: what they show, and what they and the keys do.

const COLORINGS = [["kind", "by kind"], ["package", "by package"], ["share", "by share of self time"]];

// Columns of shares with bars.
function figureColumns(whole) {
  const bar = (cell, part, text) => {
    const fill = make("i", { className: "bar" });
    fill.style.width = `${whole ? Math.min(100, Math.abs(part / whole) * 100) : 0}%`;
    cell.append(fill, make("span", { textContent: text }));
  };
  const number = (key, name, values, show) => ({
    key, name, className: "number",
    value: (at) => values[at],
    fill: (cell, at) => (show ?? ((cell, value) => bar(cell, value, formatShare(value, whole))))(cell, values[at]),
  });
  const change = (key, name, after, before) => ({
    key, name, className: "number",
    value: (at) => Math.abs(after[at] - before[at]),
    fill: (cell, at) => {
      const difference = after[at] - before[at];
      cell.classList.add(difference > 0 ? "more" : difference < 0 ? "less" : "same");
      bar(cell, difference, formatChange(difference / whole));
    },
  });
  return { number, change };
}

function tableColumns(app) {
  const { stats, items, whole, shown, palette, meta, pattern } = app;
  const period = samplePeriod(meta);
  const { number, change } = figureColumns(whole);
  const name = {
    key: "name", name: "Function", className: "name", text: true,
    value: (item) => items.name(item).toLowerCase(),
    fill: (cell, item) => {
      const swatch = make("i", { className: "swatch" });
      swatch.style.background = palette.kind(meta.kinds[stats.kind[item]]);
      cell.title = items.label(item);
      const short = app.state.view === "sandwich";
      const text = short ? items.shortPlace(item) : items.isJavaScript(item) ? items.place(item) : items.objectName(item);
      // Where a path does not fit, its start gives way: the outer direction puts the cut there.
      const place = make("span", { className: "dim place" }, make("bdi", { dir: "ltr" }, ...marked(text, pattern)));
      cell.append(swatch, make("span", {}, ...marked(items.name(item), pattern)), text && place);
    },
  };
  if (shown.before) {
    return [
      name, number("before", "Before", stats.totalBefore), number("total", "After", stats.total),
      { ...change("change", "Change", stats.total, stats.totalBefore), standard: true },
      change("ownchange", "Self change", stats.self, stats.selfBefore),
    ];
  }
  const plain = (cell, value) => cell.append(formatCount(value));
  const self = { ...number("self", "Self", stats.self), standard: true };
  const total = number("total", "Total", stats.total);
  if (app.state.view === "sandwich") return [name, self, total];
  const kind = {
    key: "kind", name: "Kind", className: "kind", text: true,
    value: (item) => KIND_NAMES[meta.kinds[stats.kind[item]]] ?? "",
    fill: (cell, item) => cell.append(KIND_NAMES[meta.kinds[stats.kind[item]]] ?? ""),
  };
  const time = (key, title, values) => ({
    ...number(key, title, values, (cell, value) => cell.append(formatTime(value * period))),
    className: "number fine",
  });
  return [
    name, kind, self, { ...time("self", "time", stats.self), key: "selftime" },
    { ...number("selfcount", "samples", stats.self, plain), className: "number fine" }, total,
    { ...time("total", "time", stats.total), key: "totaltime" },
    { ...number("totalcount", "samples", stats.total, plain), className: "number fine" },
  ];
}

Object.assign(App.prototype, {
  fillControls() {
    const { meta, profile } = this;
    byId("coloring").append(...COLORINGS.map(([value, textContent]) => make("option", { value, textContent })));
    const sampled = new Set(profile.samples.thread);
    if (sampled.size > 1) {
      byId("threadpick").hidden = false;
      byId("thread").append(
        make("option", { value: "-1", textContent: "all" }),
        ...[...sampled].sort((a, b) => a - b).map((number) => {
          const [tid, name] = meta.threads[number] ?? [number, "thread"];
          return make("option", { value: String(number), textContent: `${name} (${tid})` });
        }),
      );
    }
    const lined = profile.frameLine.some((line) => line > 0);
    byId("lines").parentElement.hidden = !lined;
    if (profile.before) {
      byId("coloring").parentElement.hidden = true;
      byId("legend").setAttribute("aria-label", "Growth");
    }
    if (!profile.samples.count) document.querySelector("[data-view=chart]").hidden = true;
    this.showActivity();
  },

  // What V8 was doing, as the text format says it.
  showActivity() {
    const { samples } = this.profile;
    if (!samples.count) return;
    const counts = [0, 0, 0, 0, 0];
    for (const activity of samples.activity) counts[activity]++;
    const names = ["JavaScript", "GC", "compile", "native", "waiting"];
    const title = "Share of samples, by what V8 was doing";
    const facts = names.map((name, at) => counts[at] && fact(name, formatShare(counts[at], samples.count), title));
    byId("remarks").before(...facts.filter(Boolean));
  },

  showControls() {
    const { state } = this;
    for (const button of document.querySelectorAll("#views button")) {
      const on = button.dataset.view === state.view;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
    }
    for (const button of document.querySelectorAll("#direction button")) {
      button.setAttribute("aria-pressed", String((button.dataset.icicle === "1") === state.icicle));
      button.disabled = state.view === "sandwich" || this.listed;
    }
    byId("coloring").value = state.color;
    byId("order").value = state.order;
    byId("thread").value = String(state.view === "chart" ? Math.max(0, state.thread) : state.thread);
    byId("lines").checked = state.lines;
    const away = this.away();
    byId("removed").hidden = !away.length;
    byId("removed").querySelector("output").textContent = `without ${away.join(", ")}`;
    byId("order").disabled = state.view === "chart" || state.view === "table";
    const drawn = !this.listed;
    byId("svg").disabled = !drawn;
    byId("svg").title = drawn ? "Save what is shown as SVG (s)" : "Rows are no drawing; Print has them";
  },

  // What is left out and has no switch in the legend as it is.
  away() {
    const { state } = this;
    const few = (names, word) => (names.length > 2 ? [`${names.length} ${word}`] : names);
    return [
      ...few(state.removed.split(".").filter(Boolean).map((item) => this.items.name(Number(item))), "functions"),
      ...few(state.color === "kind" ? [] : state.off.map((name) => KIND_WORDS[name] ?? name), "kinds"),
      ...few(state.color === "package" ? [] : state.without, "packages"),
    ];
  },

  putBack() {
    const { state } = this;
    this.change({
      removed: "",
      off: state.color === "kind" ? state.off : [],
      without: state.color === "package" ? state.without : [],
    });
  },

  showStrip() {
    const { profile, state, meta, palette } = this;
    const { samples } = profile;
    byId("strip").hidden = !samples.count;
    if (!samples.count) return;
    const seconds = Math.max(meta.duration / 1e6, samples.time[samples.count - 1], 1e-3);
    const threads = state.thread >= 0 ? 1 : new Set(samples.thread).size;
    const inputs = [state.thread, this.themed, state.range?.join() ?? ""];
    this.keep("strip", inputs, () => {
      this.timeline.show({
        samples, seconds,
        kindOf: (at) => (samples.node[at] ? profile.frameKind[profile.frame[samples.node[at]]] : meta.kinds.length),
        colors: [...meta.kinds.map((name) => palette.get(palette.kind(name))), palette.get("var(--kind-root)")],
        most: threads / samplePeriod(meta),
        thread: state.thread,
        stride: meta.stride,
      }, state.range);
      return true;
    });
    const [from, to] = state.range ?? [0, seconds];
    byId("range").querySelector("output").textContent = `${from.toFixed(2)} to ${to.toFixed(2)} s of ${seconds.toFixed(2)} s`;
    byId("range").hidden = !state.range;
  },

  listen() {
    const on = (id, event, action) => byId(id).addEventListener(event, action);
    for (const button of document.querySelectorAll("#views button")) {
      button.addEventListener("click", () => this.change({ view: button.dataset.view, zoom: "" }));
    }
    for (const button of document.querySelectorAll("#direction button")) {
      button.addEventListener("click", () => this.change({ icicle: button.dataset.icicle === "1" }));
    }
    on("coloring", "change", () => this.change({ color: byId("coloring").value }));
    on("order", "change", () => this.change({ order: byId("order").value }));
    on("thread", "change", () => this.change({ thread: Number(byId("thread").value), zoom: "" }));
    on("lines", "change", () => this.change({ lines: byId("lines").checked, selected: "", removed: "", zoom: this.state.view === "flame" ? this.state.zoom : "" }));
    on("next", "click", () => this.nextMatch(1));
    on("previous", "click", () => this.nextMatch(-1));
    on("putback", "click", () => this.putBack());
    on("allofit", "click", () => this.change({ range: null }));
    on("svg", "click", () => this.saveSvg());
    on("print", "click", () => print());
    on("theme", "click", () => this.nextTheme());
    on("keys", "click", showKeys);
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("popstate", (event) => this.wentBack(event));
    addEventListener("hashchange", () => this.wentBack());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rethemeNow());
    // Paper is white: the canvases are painted for it before, and as they were after.
    addEventListener("beforeprint", () => this.onPaper(true));
    addEventListener("afterprint", () => this.onPaper(false));
  },

  onPaper(on) {
    this.rethemeNow(on ? "light" : undefined);
    for (const list of [this.table, this.tree]) list.onPaper(on);
  },

  rethemeNow(scheme = this.state.theme || "light dark") {
    document.documentElement.style.colorScheme = scheme;
    this.retheme();
    this.kept.delete("strip");
    this.kept.delete("legend");
    this.showStrip();
    this.showLegend();
    for (const graph of [this.graph, this.callers]) if (graph.model && graph.height) graph.paint();
  },

  wentBack(event) {
    if (!event && this.state.own === location.hash) return;
    if (event) this.state.depth = event.state?.depth ?? 0;
    this.state.read();
    this.update();
  },

  nextTheme() {
    const themes = ["", "light", "dark"];
    this.change({ theme: themes[(themes.indexOf(this.state.theme) + 1) % 3] }, false);
    this.kept.delete("strip");
    this.showStrip();
  },

  // Both halves of a sandwich; rows are no drawing.
  saveSvg() {
    const { view } = this.state;
    if (this.listed) return;
    const command = this.meta.command || "profile";
    const label = this.items.label(this.sandwiched);
    const [graphs, captions] = view === "sandwich"
      ? [[this.callers, this.graph], [`callers of ${label}`, `callees of ${label}`]]
      : [[this.graph], [this.rootTitle]];
    const describe = (model, box) => boxSentence(model, box, this.context);
    const text = graphsSvg(graphs, captions.map((caption) => `${command}: ${caption}`), describe);
    const name = command.replace(/[^\w.-]+/g, "-").slice(0, 60);
    download(`${name}-${this.meta.pid || "diff"}.svg`, "image/svg+xml", text);
  },

  key(event) {
    const typing = event.target.matches?.("input[type=search], select, textarea");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "f" && !event.shiftKey && !event.altKey) {
      // Twice in a row is the browser's own search.
      if (document.activeElement === byId("search")) return;
      event.preventDefault();
      byId("search").focus();
      byId("search").select();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (typing) this.keyInSearch(event);
    else if (this.act(event)) event.preventDefault();
  },

  keyInSearch(event) {
    if (event.target !== byId("search")) return;
    if (event.key === "Enter") {
      event.preventDefault();
      this.nextMatch(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (this.state.query) this.change({ query: "" });
      else byId("search").blur();
    }
  },

  // Does what a key stands for; false where it stands for nothing.
  act(event) {
    const graph = this.focusedGraph();
    const { key } = event;
    const onButton = event.target.matches?.("button, summary, input");
    if (key.startsWith("Arrow")) {
      if (event.target.closest?.("#views")) return this.tabKey(key);
      return !this.listed && !event.target.closest?.("#table") && (graph.step(key), true);
    }
    if (key === "Enter") return !onButton && graph.cursor >= 0 && (this.zoomTo(graph, graph.cursor, true), true);
    const action = {
      "/": () => (byId("search").focus(), byId("search").select()),
      Escape: () => this.back(),
      0: () => this.reset(),
      Home: () => this.reset(),
      n: () => this.nextMatch(1),
      N: () => this.nextMatch(-1),
      "+": () => graph.model && graph.gestures.scale(0.7),
      "-": () => graph.model && graph.gestures.scale(1 / 0.7),
      F3: () => this.nextMatch(event.shiftKey ? -1 : 1),
      i: () => this.change({ icicle: !this.state.icicle }),
      c: () => this.nextColoring(),
      t: () => this.nextTheme(),
      s: () => this.saveSvg(),
      "?": showKeys,
    }[key];
    if (action) return action(), true;
    const view = document.querySelectorAll("#views button")[Number(key) - 1];
    if (!view || view.hidden) return false;
    view.click();
    return true;
  },

  tabKey(key) {
    const tabs = [...document.querySelectorAll("#views button:not([hidden])")];
    const at = tabs.findIndex((tab) => tab.dataset.view === this.state.view);
    const next = tabs[at + (key === "ArrowLeft" ? -1 : key === "ArrowRight" ? 1 : 0)];
    next?.click();
    next?.focus();
    return true;
  },

  focusedGraph() {
    return this.state.view === "sandwich" && this.callers.host.contains(document.activeElement) ? this.callers : this.graph;
  },

  nextColoring() {
    if (this.shown.before) return;
    const words = COLORINGS.map(([word]) => word);
    this.change({ color: words[(words.indexOf(this.state.color) + 1) % words.length] }, false);
  },

  back() {
    if (this.state.depth > 0) history.back();
    else if (this.state.zoom) this.reset();
    else if (this.state.selected) this.change({ selected: "" }, false);
  },

  reset() {
    for (const graph of [this.graph, this.callers]) if (graph.model) graph.zoom(0);
    this.change({ zoom: "" });
  },
});
