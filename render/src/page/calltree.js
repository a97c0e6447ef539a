// The call tree as rows that fold: it reads well where stacks are deep and their boxes thin.

// What has this share is unfolded at first.
const UNFOLDED = 0.05;

Object.assign(App.prototype, {
  showTree() {
    const model = this.makeModel("flame");
    this.treeGraph = this.keep("calltree", [model], () => ({
      model,
      cursor: -1,
      rows: null,
      unfolded: new Set(Array.from(model.item.keys()).filter((box) => model.total[box] >= UNFOLDED * model.width)),
    }));
    const inputs = [model, this.stats, this.pattern?.source, this.state.regexp];
    this.tree.setColumns(this.keep("treecolumns", inputs, () => treeColumns(this)), {});
    this.treeGraph.rows ??= unfoldedRows(this.treeGraph);
    this.tree.show(this.treeGraph.rows, this.treeGraph.cursor);
  },

  pickRow(box) {
    this.treeGraph.cursor = box;
    this.pickBox(this.treeGraph, box);
  },

  // Unfolds or folds a box; one that is so already leads to its heaviest callee, or to its caller.
  fold(box, unfold = !this.treeGraph.unfolded.has(box)) {
    const { unfolded, model: { children, parent } } = this.treeGraph;
    const callees = (box) => children[box + 1] - children[box];
    const isUnfolded = callees(box) > 0 && unfolded.has(box);
    if (unfold === isUnfolded || !callees(box)) {
      if (!unfold) this.goToRow(parent[box]);
      else if (isUnfolded) this.goToRow(children[box]);
      return;
    }
    unfolded[unfold ? "add" : "delete"](box);
    // On to where stacks part.
    while (unfold && callees(box) === 1) unfolded.add((box = children[box]));
    this.treeGraph.rows = null;
    this.showTree();
  },

  goToRow(box) {
    const { unfolded, model } = this.treeGraph;
    for (let up = box; up > 0; unfolded.add(up)) up = model.parent[up];
    this.treeGraph.rows = null;
    this.showTree();
    this.tree.select(box, true);
    this.pickRow(box);
  },

  describeRow(row, box) {
    const { unfolded, model } = this.treeGraph;
    row.setAttribute("aria-level", model.row(box) + 1);
    if (model.children[box] < model.children[box + 1]) row.setAttribute("aria-expanded", String(unfolded.has(box)));
  },
});

function unfoldedRows({ model, unfolded }) {
  const rows = [];
  const left = [0];
  while (left.length) {
    const box = left.pop();
    rows.push(box);
    if (!unfolded.has(box)) continue;
    for (let child = model.children[box + 1] - 1; child >= model.children[box]; child--) left.push(child);
  }
  return rows;
}

function treeColumns(app) {
  const { meta, palette, shown, whole, treeGraph: { model, unfolded } } = app;
  const [functions] = tableColumns(app);
  const { number, change } = figureColumns(whole);
  const name = {
    ...functions,
    fill: (cell, box) => {
      const item = model.item[box];
      const folds = model.children[box] < model.children[box + 1];
      cell.style.paddingLeft = `${10 + Math.min(model.row(box), 60) * 10}px`;
      cell.append(make("span", { className: "twist", textContent: folds ? (unfolded.has(box) ? "▾" : "▸") : "" }));
      if (item < 0) cell.append(make("span", { textContent: "all" }));
      else functions.fill(cell, item);
      const swatch = cell.querySelector(".swatch");
      if (swatch) swatch.style.background = palette.kind(meta.kinds[model.kind[box]]);
    },
  };
  if (!shown.before) return [name, number("total", "Total", model.total), number("self", "Self", model.self)];
  return [name, number("before", "Before", model.before), number("total", "After", model.after), change("change", "Change", model.after, model.before)];
}
