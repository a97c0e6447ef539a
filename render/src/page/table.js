// The table of functions: sortable, filtered by the search, and what a screen reader reads instead
// of the drawing. Only rows in sight are elements; on paper, the first PAPER_ROWS.

const LINE = 26;
const PAPER_ROWS = 500;

class FunctionTable {
  constructor(host, actions) {
    // onPick, onOpen; onSort where it sorts; onRow and onFold where rows fold.
    Object.assign(this, { host }, actions);
    this.head = host.appendChild(make("div", { className: "tablehead", role: "row" }));
    this.body = host.appendChild(make("div", { className: "tablebody", role: "rowgroup" }));
    this.spacer = this.body.appendChild(make("div", { className: "tablespace", role: "none" }));
    this.rest = this.body.appendChild(make("p", { className: "rest dim", hidden: true }));
    this.order = [];
    this.from = -1;
    this.selected = -1;
    this.body.addEventListener("scroll", () => this.render());
    this.body.addEventListener("click", (event) => this.pickAt(event, (item) => this.onPick(item)));
    this.body.addEventListener("dblclick", (event) => this.pickAt(event, (item) => this.onOpen(item)));
    new ResizeObserver(() => this.render()).observe(this.body);
    host.addEventListener("keydown", (event) => this.key(event));
  }

  setColumns(columns, sort) {
    if (columns === this.columns && sort.key === this.sort.key && sort.down === this.sort.down) return;
    this.columns = columns;
    this.sort = sort;
    this.from = -1;
    this.head.replaceChildren(
      ...columns.map((column) => {
        const sorted = sort.key === column.key;
        const button = this.onSort
          ? make("button", { textContent: column.name, title: `Sort by ${column.name.toLowerCase()}` })
          : make("span", { className: "dim", textContent: column.name });
        button.addEventListener("click", () => this.onSort?.(column.key));
        const direction = sort.down ? "descending" : "ascending";
        const cell = make("div", { className: `cell ${column.className}`, role: "columnheader" }, button);
        if (sorted) {
          cell.setAttribute("aria-sort", direction);
          button.append(make("span", { textContent: sort.down ? " ↓" : " ↑", ariaHidden: "true" }));
        }
        return cell;
      }),
    );
  }

  // Shows these items, in this order. What is there stays: a row that is made anew between two
  // clicks would miss the second.
  show(order, selected) {
    if (order !== this.order || this.from < 0) {
      this.order = order;
      this.host.setAttribute("aria-rowcount", order.length + 1);
      this.spacer.style.height = `${order.length * LINE}px`;
      this.render(true);
    }
    this.select(selected);
  }

  select(item, reveal) {
    this.selected = item;
    const at = this.order.indexOf(item);
    if (reveal && at >= 0) {
      const top = at * LINE;
      const { scrollTop, clientHeight } = this.body;
      if (top < scrollTop || top + LINE > scrollTop + clientHeight) this.body.scrollTop = top - clientHeight / 3;
      this.render();
    }
    for (const row of this.spacer.children) this.mark(row, row.dataset.item === String(item));
    this.nameActive();
  }

  mark(row, selected) {
    row.classList.toggle("selected", selected);
    row.setAttribute("aria-selected", String(selected));
  }

  // Tells screen readers which row the keys are on.
  nameActive() {
    const row = this.spacer.querySelector(".selected");
    if (row) this.host.setAttribute("aria-activedescendant", row.id);
    else this.host.removeAttribute("aria-activedescendant");
  }

  // Paper does not scroll: the first rows are all there, and how many do not follow.
  onPaper(on) {
    this.paper = on;
    const left = this.order.length - PAPER_ROWS;
    this.rest.hidden = !on || left <= 0;
    this.rest.textContent = `${formatCount(left)} more rows are not printed`;
    this.render(true);
  }

  // Rows are found by their place: between a mouse's press and release they may be made anew.
  pickAt(event, action) {
    const at = Math.floor((event.clientY - this.spacer.getBoundingClientRect().top) / LINE);
    if (!(at >= 0 && at < this.order.length)) return;
    this.select(this.order[at]);
    if (event.target.closest(".twist")) this.onFold(this.order[at]);
    else action(this.order[at]);
  }

  render(fresh) {
    if (!this.columns) return;
    if (!this.body.clientHeight) return;
    const from = this.paper ? 0 : Math.max(0, Math.floor(this.body.scrollTop / LINE) - 8);
    const rows = this.paper ? PAPER_ROWS : Math.ceil(this.body.clientHeight / LINE) + 16;
    const to = Math.min(this.order.length, from + rows);
    if (!fresh && from === this.from && to === this.to) return;
    this.from = from;
    this.to = to;
    this.spacer.replaceChildren(...this.order.slice(from, to).map((item, at) => this.row(item, from + at)));
    this.nameActive();
  }

  row(item, at) {
    const row = make("div", { className: "row", role: "row", id: `${this.host.id}-${item}` });
    row.setAttribute("aria-rowindex", at + 2);
    row.style.top = `${at * LINE}px`;
    row.dataset.item = item;
    this.mark(row, item === this.selected);
    this.onRow?.(row, item);
    for (const column of this.columns) {
      const cell = make("div", { className: `cell ${column.className}`, role: "gridcell" });
      column.fill(cell, item);
      row.append(cell);
    }
    return row;
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 };
    if (event.target.tagName === "BUTTON") return;
    if (event.key === "Enter" && this.selected >= 0) {
      this.onOpen(this.selected);
    } else if (this.onFold && this.selected >= 0 && /^Arrow[LR]/.test(event.key)) {
      this.onFold(this.selected, event.key === "ArrowRight");
    } else if (event.key in steps && this.order.length) {
      const at = this.order.indexOf(this.selected);
      const next = Math.min(Math.max(0, at + steps[event.key]), this.order.length - 1);
      this.select(this.order[next], true);
      this.onPick(this.order[next]);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
