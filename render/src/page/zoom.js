// Zoom: its steps, its words in the address, and the way back as breadcrumbs.

Object.assign(App.prototype, {
  zoomTo(graph, box, step) {
    if (graph.zoomed === box && !graph.part) {
      if (box === 0) graph.zoom(0);
      return;
    }
    graph.zoom(box);
    this.state.zoom = box === 0 ? "" : this.zoomWord(graph, box);
    this.state.keep(step);
    this.showCrumbs();
  },

  // Keeps a part of the width that was chosen freely; moving it further is the same step.
  keepPart(graph) {
    const step = !/^c?f/.test(this.state.zoom);
    const which = graph === this.callers ? "c" : "";
    this.state.zoom = graph.part ? `${which}f${graph.part.map((end) => +end.toFixed(7)).join("-")}` : "";
    this.state.keep(step);
    graph.settleRows();
    this.showCrumbs();
  },

  // A box in the address: by its node where the tree is the profile's, else by its path, else by its
  // number, which is the same wherever the same is shown.
  zoomWord(graph, box) {
    const which = graph === this.callers ? "c" : "";
    if (this.state.view === "flame") return `n${graph.model.node[box]}`;
    if (this.state.view === "chart") return `t${box}`;
    const path = graph.model.path(box);
    return path.length > 80 ? `${which}t${box}` : `${which}p${path.join(".")}`;
  },

  zoomPart(word) {
    const [from, to] = /^c?f/.test(word) ? word.replace(/^c?f/, "").split("-").map(Number) : [];
    return from >= 0 && to > from && to <= 1 ? [from, to] : null;
  },

  zoomBox(model, word) {
    const match = /^c?([npt])([\d.]+)$/.exec(word);
    if (!match || !model) return 0;
    const [, how, rest] = match;
    if (how === "t") return Number(rest) < model.count ? Number(rest) : 0;
    let path = rest.split(".").map(Number);
    if (how === "n") {
      path = [];
      let node = Number(rest);
      if (!(node < this.shown.count)) return 0;
      if (this.shown.hidden[node]) node = this.shown.up[node];
      for (; node > 0; node = this.shown.up[node]) path.push(this.items.ofNode[node]);
      path.reverse();
    }
    return Math.max(0, model.find(path));
  },

  // What the view shows, where nothing is zoomed.
  hint() {
    if (this.shown.before && !this.listed) return "As wide as the mean of both shares; red grew, blue shrank.";
    return {
      flame: "Callees above their callers, as wide as their share of the samples. Click to zoom.",
      bottom: "Where the samples ended, and above each function who called it.",
      sandwich: "Callers of the selected function above, its callees below.",
      table: "Click a function for its lines, double-click for its callers and callees.",
      tree: "Callees below their callers. Click the triangles, or press → and ←, to unfold and fold.",
      chart: "Stacks as they were over time. Gaps: the thread did not run.",
    }[this.state.view];
  },

  showCrumbs() {
    const graph = this.state.zoom.startsWith("c") ? this.callers : this.graph;
    const host = byId("crumbs");
    const { model } = graph;
    if (graph.part && model && !this.listed) {
      const whole = make("button", { textContent: "all" });
      whole.addEventListener("click", () => this.zoomTo(graph, 0, true));
      const share = formatShare(graph.part[1] - graph.part[0], 1);
      host.replaceChildren(whole, make("span", { className: "dim", textContent: `${share} of the width` }));
      return;
    }
    if (this.listed || !model || graph.zoomed === 0) {
      host.replaceChildren(make("span", { className: "dim", textContent: this.hint() }));
      return;
    }
    const boxes = [];
    for (let box = graph.zoomed; ; box = model.parent[box]) {
      boxes.unshift(box);
      if (box === 0) break;
    }
    const parts = boxes.map((box, at) => {
      const item = model.item[box];
      const last = at === boxes.length - 1;
      const button = make("button", { textContent: item < 0 ? "all" : this.items.name(item), title: this.items.label(item) });
      if (last) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => this.zoomTo(graph, box, true));
      return button;
    });
    if (parts.length > 7) parts.splice(2, parts.length - 6, make("span", { textContent: "…" }));
    const weight = model.chart
      ? formatTime(model.total[graph.zoomed])
      : formatShare(this.shown.before ? model.after[graph.zoomed] : model.total[graph.zoomed], this.whole);
    host.replaceChildren(...parts, make("span", { className: "dim", textContent: weight }));
  },
});
