// The page: ties what is shown to what was asked for.

class App {
  constructor(profile) {
    this.profile = profile;
    this.meta = profile.meta;
    this.kindNumbers = new Map(this.meta.kinds.map((name, number) => [name, number]));
    this.state = new State({ lines: Boolean(this.meta.lines) });
    this.kept = new Map();
    this.palette = new Palette();
    this.tip = new Tip(byId("tip"), (model, box) => describeBox(model, box, this.context));
    const graph = (id) =>
      new Graph(byId(id), {
        palette: this.palette,
        tip: this.tip,
        color: (model, box) => this.color(model, box),
        matches: () => this.matches,
        selected: () => this.selected,
        title: () => this.rootTitle,
        onPick: (graph, box) => this.pickBox(graph, box),
        onZoom: (graph, box) => this.zoomTo(graph, box, true),
        onPart: (graph) => this.keepPart(graph),
        onRemove: (graph, box) => this.remove(graph.model.item[box]),
      });
    this.graph = graph("graph");
    this.callers = graph("callers");
    this.table = new FunctionTable(byId("table"), {
      onPick: (item) => this.pick(item, false),
      onOpen: (item) => this.openSandwich(item),
      onSort: (key) => this.sortBy(key),
    });
    this.tree = new FunctionTable(byId("tree"), {
      onPick: (box) => this.pickRow(box),
      onOpen: (box) => this.openSandwich(this.treeGraph.model.item[box]),
      onRow: (row, box) => this.describeRow(row, box),
      onFold: (box, unfold) => this.fold(box, unfold),
    });
    this.timeline = new Timeline(byId("timeline"), {
      palette: this.palette,
      onRange: (range) => this.change({ range, zoom: "" }),
    });
    this.details = new Details(byId("details"), {
      close: () => this.change({ selected: "" }),
      open: (item) => this.openSandwich(item),
      search: (query) => this.change({ query, regexp: false }),
      remove: (item) => this.remove(item),
      pick: (item) => this.pick(item, true),
    });
    this.search = new Search(byId("search"), byId("regexp"), byId("matched"), (step) => {
      this.change({ query: byId("search").value, regexp: byId("regexp").checked }, step);
    });
    showHead(this.meta, profile.own.reduce((all, count) => all + count, 0));
    this.fillControls();
    this.listen();
    this.update();
  }

  // The value of `make()`, made anew only when `inputs` differ from the last time.
  keep(name, inputs, make) {
    const last = this.kept.get(name);
    if (last && last.inputs.every((input, at) => input === inputs[at])) return last.value;
    const value = make();
    this.kept.set(name, { inputs, value });
    return value;
  }

  // Changes what is shown; `step` makes it one that can be gone back.
  change(words, step = true) {
    Object.assign(this.state, words);
    this.state.keep(step);
    this.update();
  }

  update() {
    const { state, profile } = this;
    const range = state.range ? state.range.join() : "";
    document.documentElement.style.colorScheme = state.theme || "light dark";
    if (this.themed !== state.theme) this.retheme();
    const own = this.keep("own", [state.thread, range], () => countOwn(profile, state.thread, state.range));
    this.items = this.keep("items", [state.lines], () => makeItems(profile, state.lines));
    const off = this.keep("off", [this.items, state.off.join(), state.without.join()], () => this.framesOff());
    const removed = new Set(state.removed.split(".").filter(Boolean).map(Number));
    const inputs = [own, this.items, off, state.removed];
    this.shown = this.keep("shown", inputs, () => new Shown(profile, own, off, this.items, removed));
    this.stats = this.keep("stats", [this.shown, this.items], () => itemStats(this.shown, this.items));
    this.whole = this.shown.total[0] || (this.shown.totalBefore?.[0] ?? 0);
    this.selected = this.readSelected();
    const pattern = Search.pattern(state.query, state.regexp);
    this.pattern = pattern;
    this.matches = this.keep("matches", [this.items, state.query, state.regexp], () => Search.matches(this.items, pattern));
    this.showControls();
    this.showLegend();
    this.showStrip();
    this.showViews();
    this.showSearch();
    this.details.show(this.selected, this.context);
  }

  // The frames that are switched off, by their kind or their package.
  framesOff() {
    const { profile, items, state, meta } = this;
    const kinds = meta.kinds.map((name) => state.off.includes(name));
    const without = new Set(state.without);
    return profile.frameKind.map((kind, frame) =>
      kinds[kind] || (without.size > 0 && without.has(items.packageName(items.ofFrame[frame]))) ? 1 : 0);
  }

  get context() {
    const { shown, items, stats, whole, palette, rootTitle } = this;
    return {
      shown, items, stats, whole, palette, rootTitle,
      stackOf: (item) => this.knownStack(item),
      period: samplePeriod(this.meta),
      range: this.state.range,
    };
  }

  get rootTitle() {
    const { state, meta } = this;
    const number = state.view === "chart" ? Math.max(0, state.thread) : state.thread;
    const thread = meta.threads?.[number]?.[1] ?? "all";
    if (this.shown.before) return "all";
    if (state.view === "chart") return `${thread}, over time`;
    return `${number < 0 ? "all" : thread}, ${formatSamples(this.whole)}`;
  }

  readSelected() {
    const number = this.state.selected === "" ? -1 : Number.parseInt(this.state.selected, 10);
    return number >= 0 && number < this.items.count ? number : -1;
  }

  color(model, box) {
    const { palette, stats, shown } = this;
    const item = model.item[box];
    if (item < 0) return palette.kind("");
    if (shown.before) return palette.growth(this.growth(model.before[box], model.after[box]));
    if (this.state.color === "package") return palette.package(this.items.packageName(item));
    if (this.state.color === "share") {
      const most = this.keep("mostSelf", [stats], () => stats.self.reduce((most, self) => Math.max(most, self), 1));
      return palette.share(stats.self[item] / most);
    }
    return palette.kind(this.meta.kinds[model.kind[box]]);
  }

  // Growth from -1 to 1, less where so few samples differ that it may be chance.
  growth(before, after) {
    const most = Math.max(before, after);
    if (!most) return 0;
    const sure = Math.abs(after - before) / Math.sqrt(before + after) / 3;
    return ((after - before) / most) * Math.min(1, sure);
  }

  // Picks a box of a graph: its function is selected, and said to screen readers.
  pickBox(graph, box) {
    const item = graph.model.item[box];
    this.stack = { item, labels: this.stackOf(graph, box) };
    byId("live").textContent = boxSentence(graph.model, box, this.context);
    for (const other of [this.graph, this.callers]) {
      if (other !== graph) {
        other.cursor = -1;
        other.draw();
      }
    }
    if (item !== this.selected && this.state.view !== "sandwich") {
      this.state.selected = item < 0 ? "" : String(item);
      this.selected = item;
      this.state.keep(false);
      this.details.show(item, this.context);
      this.table.select(item, true);
    } else if (item >= 0) {
      this.details.show(item, this.context);
    }
  }

  // The labels of the stack that a box stands for, the innermost first.
  stackOf(graph, box) {
    const labels = graph.model.path(box).map((item) => this.items.label(item));
    const innermostFirst = graph === this.callers || this.state.view === "bottom";
    return innermostFirst ? labels : labels.reverse();
  }

  // The stack of the box by which an item was picked, or to which it is zoomed.
  knownStack(item) {
    if (this.stack?.item === item) return this.stack.labels;
    const { model, zoomed } = this.graph;
    return model && zoomed > 0 && model.item[zoomed] === item ? this.stackOf(this.graph, zoomed) : null;
  }

  pick(item, step) {
    this.change({ selected: String(item), ...(this.state.view === "sandwich" ? { zoom: "" } : {}) }, step);
    this.table.select(item, true);
    byId("live").textContent = itemSentence(item, this.context);
  }

  openSandwich(item) {
    this.change({ view: "sandwich", selected: String(item), zoom: "" });
  }

  // Leaves out all stacks that hold an item.
  remove(item) {
    if (item < 0) return;
    const { removed } = this.state;
    this.change({ removed: removed ? `${removed}.${item}` : String(item), zoom: "" });
  }

  makeModel(view) {
    const { shown, items, state } = this;
    const byName = state.order === "name";
    const range = state.range?.join() ?? "";
    if (view === "flame") {
      return this.keep("flame", [shown, items, byName], () => modelDown(shown, items, { byName }));
    }
    if (view === "bottom") {
      return this.keep("bottom", [shown, items, byName], () => modelUp(shown, items, { entries: stackEnds(shown), byName }));
    }
    if (view === "chart") {
      const thread = Math.max(0, state.thread);
      return this.keep("chart", [shown, items, thread, range], () =>
        modelChart(shown, items, this.profile, thread, state.range));
    }
    const item = this.sandwiched;
    const inputs = [shown, items, byName, item];
    const entries = this.keep("outermost", inputs, () => outermostNodes(shown, items, item));
    if (view === "callers") return this.keep("callers", inputs, () => modelUp(shown, items, { entries, rootItem: item, byName }));
    return this.keep("callees", inputs, () => modelDown(shown, items, { entries, rootItem: item, byName }));
  }

  // The function that the sandwich is about: the selected one, else the one with most of its own.
  get sandwiched() {
    if (this.selected >= 0) return this.selected;
    const { self } = this.stats;
    let most = 0;
    for (let item = 1; item < self.length; item++) if (self[item] > self[most]) most = item;
    return most;
  }

  // What is shown is a list of rows.
  get listed() {
    return this.state.view === "table" || this.state.view === "tree";
  }

  // The graph that a search walks, or what stands for it in the tree.
  get searched() {
    return this.state.view === "tree" ? this.treeGraph : this.graph;
  }

  showViews() {
    const { state } = this;
    const { view } = state;
    byId("main").dataset.view = view;
    byId("callers").hidden = view !== "sandwich";
    byId("middle").hidden = view !== "sandwich";
    byId("graphs").hidden = this.listed;
    byId("tablepane").hidden = !this.listed && view !== "sandwich";
    byId("table").hidden = view === "tree";
    byId("tree").hidden = view !== "tree";
    byId("empty").hidden = this.whole > 0 || this.listed;
    byId("empty").textContent = state.range || state.thread >= 0 ? "No samples in this range." : "No samples: the process was idle.";
    byId("graph").setAttribute("aria-label", { flame: "Flame graph", bottom: "Bottom-up graph", sandwich: "Callees", chart: "Stacks over time" }[view] ?? "");
    if (view === "sandwich") {
      this.showGraph(this.callers, this.makeModel("callers"), true, state.zoom.startsWith("c") ? state.zoom : "");
      this.showGraph(this.graph, this.makeModel("callees"), false, state.zoom.startsWith("c") ? "" : state.zoom);
      this.showMiddle();
    } else if (view === "tree") {
      this.showTree();
    } else if (view !== "table") {
      this.showGraph(this.graph, this.makeModel(view), !state.icicle, state.zoom);
    }
    if (view === "table" || view === "sandwich") this.showTable();
    this.showCrumbs();
  }

  showGraph(graph, model, upward, zoom) {
    const zoomed = this.zoomBox(model, zoom);
    const part = this.zoomPart(zoom);
    if (graph.model === model && graph.upward === upward && graph.items === this.items) {
      const moved = String(part) !== String(graph.part?.map((end) => +end.toFixed(7)) ?? null);
      if (graph.zoomed !== zoomed || moved) graph.zoom(zoomed, part);
      graph.draw();
      return;
    }
    graph.show(model, this.items, { upward, zoomed, part });
  }

  showMiddle() {
    const { stats, whole } = this;
    const item = this.sandwiched;
    byId("middle").replaceChildren(
      make("b", { textContent: this.items.name(item) }),
      make("span", { className: "dim", textContent: ` ${this.items.shortPlace(item)} ` }),
      make("span", {
        textContent: `self ${formatShare(stats.self[item], whole)}, total ${formatShare(stats.total[item], whole)}`,
      }),
    );
  }

  showTable() {
    const { state, stats, items } = this;
    const columns = this.keep("columns", [stats, items, state.view, this.pattern?.source, state.regexp], () => tableColumns(this));
    const sort = columns.find((column) => column.key === state.sort) ?? columns.find((column) => column.standard);
    // Numbers come largest first, names from A; asked for once more, the other way round.
    const down = sort.text ? state.up : !state.up;
    this.table.setColumns(columns, { key: sort.key, down });
    const order = this.keep("order", [stats, items, this.matches, sort.key, down, state.view], () => {
      const order = [];
      for (let item = 0; item < items.count; item++) {
        if ((!stats.total[item] && !stats.totalBefore[item]) || (this.matches && !this.matches[item])) continue;
        order.push(item);
      }
      const value = sort.value;
      const sign = down ? -1 : 1;
      return order.sort((a, b) => {
        const [left, right] = [value(a), value(b)];
        return left < right ? -sign : left > right ? sign : a - b;
      });
    });
    this.table.show(order, this.selected);
  }

  sortBy(key) {
    this.change(this.state.sort === key ? { up: !this.state.up } : { sort: key, up: false }, false);
  }

  showSearch() {
    const { state } = this;
    if (byId("search").value !== state.query) byId("search").value = state.query;
    byId("regexp").checked = state.regexp;
    const sum = this.matches ? this.keep("matched", [this.shown, this.matches], () => matchedTotal(this.shown, this.items, this.matches)) : 0;
    const count = this.matches ? this.matches.reduce((all, match, item) => all + (match && this.stats.total[item] ? 1 : 0), 0) : 0;
    const onMatch = this.search.at >= 0 && this.search.boxes === this.kept.get("boxes")?.value && this.search.model === this.searched.model;
    const at = onMatch && this.search.boxes.length ? `, ${this.search.at + 1} of ${this.search.boxes.length}` : "";
    this.search.report(this.pattern, formatShare(sum, this.whole), count, at);
    byId("next").disabled = byId("previous").disabled = !count;
    this.graph.draw();
    this.callers.draw();
  }

  // Goes to the next or the previous match, heaviest first.
  nextMatch(step) {
    if (!this.matches) return;
    if (this.state.view === "table") {
      const { order } = this.table;
      if (!order.length) return;
      const at = order.indexOf(this.selected);
      this.pick(order[(at + step + order.length) % order.length], false);
      return;
    }
    const { model } = this.searched;
    const boxes = this.keep("boxes", [model, this.matches], () => {
      this.search.at = -1;
      return Search.boxes(model, this.matches);
    });
    this.search.boxes = boxes;
    this.search.model = model;
    if (!boxes.length) return;
    this.search.at = this.search.at < 0 && step < 0 ? boxes.length - 1 : (this.search.at + step + boxes.length) % boxes.length;
    if (this.state.view === "tree") this.goToRow(boxes[this.search.at]);
    else this.graph.moveTo(boxes[this.search.at]);
    this.showSearch();
  }

  retheme() {
    this.themed = this.state.theme;
    this.palette.refresh();
    for (const graph of [this.graph, this.callers]) graph.draw();
    this.timeline.draw();
  }
}
