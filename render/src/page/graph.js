// One flame graph on a canvas: draws a model's boxes, finds the one under the mouse, zooms.
//
// Only what can be seen is looked at: rows in sight, and in each row the boxes in sight, found by
// bisection. Boxes thinner than a pixel share one.

const ROW = 18;
const THIN = 0.6;
const ZOOM_MS = 260;
const TRUNK = 0.9;

class Graph {
  constructor(host, { palette, color, matches, selected, tip, onPick, onZoom, onPart, onRemove, title }) {
    Object.assign(this, { host, palette, color, matches, selected, tip, onPick, onZoom, onPart, onRemove, title });
    this.scroller = host.appendChild(document.createElement("div"));
    this.scroller.className = "scroller";
    this.spacer = this.scroller.appendChild(document.createElement("div"));
    this.canvas = host.appendChild(document.createElement("canvas"));
    this.over = host.appendChild(document.createElement("canvas"));
    this.over.className = "over";
    this.more = this.edge("more", () => this.scrollOn());
    this.back = this.edge("more back", () => this.scrollToRoot());
    this.model = null;
    this.zoomed = 0;
    // The part of the width that is shown, where it was chosen freely.
    this.part = null;
    this.cursor = -1;
    this.hover = -1;
    this.upward = true;
    this.view = [0, 1];
    this.widths = new Map();
    new ResizeObserver(() => this.resize()).observe(host);
    this.scroller.addEventListener("scroll", () => this.draw());
    this.gestures = new Gestures(this);
  }

  // Shows a model; `zoomed` is the box to start from.
  show(model, items, { upward, zoomed = 0, part = null, cursor = -1 }) {
    this.model = model;
    this.items = items;
    this.upward = upward;
    this.zoomed = zoomed;
    this.part = part;
    this.cursor = cursor;
    this.hover = -1;
    this.view = this.goal;
    this.moving = null;
    this.settle();
    this.draw();
  }

  // The range that is shown when nothing moves.
  get goal() {
    return this.part ? this.part.map((end) => end * this.model.width) : this.target(this.zoomed);
  }

  target(box) {
    const { x, total } = this.model;
    return total[box] > 0 ? [x[box], x[box] + total[box]] : [0, Math.max(this.model.width, 1e-9)];
  }

  // Rows stay where they are when the width alone changes, as for the details beside.
  resize() {
    const { clientWidth, clientHeight } = this.host;
    if (clientWidth && clientHeight) {
      if (clientHeight !== this.settledHeight) this.settle();
      this.draw();
    }
    this.settledHeight = clientHeight;
  }

  get height() {
    return this.host.clientHeight;
  }

  // Rows that have a box in the range shown.
  depth(view) {
    const { rows, x, total } = this.model;
    let depth = 0;
    while (depth < rows.length - 1) {
      const box = this.firstIn(depth, view[0]);
      if (box >= rows[depth + 1] || x[box] >= view[1]) break;
      if (total[box] <= 0) break;
      depth++;
    }
    return depth;
  }

  // Makes the scroller as high as what is shown, with the zoomed box in sight.
  settle() {
    if (!this.model || !this.height) return;
    this.shownRows = this.depth(this.goal);
    this.spacer.style.height = `${this.shownRows * ROW + 6}px`;
    const row = this.zoomed > 0 || this.part ? this.model.row(this.zoomed) : this.trunk();
    const ancestors = Math.max(0, row - 3) * ROW;
    const most = this.scroller.scrollHeight - this.height;
    this.scroller.scrollTop = this.upward ? most - ancestors : ancestors;
  }

  // The row at which the stacks begin to differ, where not all rows can be in sight: most programs spend
  // their time below the same twenty frames, and those say nothing.
  trunk() {
    const { children, total } = this.model;
    if (this.shownRows * ROW + 6 <= this.height) return 0;
    for (let box = 0, row = 0; ; row++) {
      let heaviest = -1;
      for (let child = children[box]; child < children[box + 1]; child++) {
        if (heaviest < 0 || total[child] > total[heaviest]) heaviest = child;
      }
      if (heaviest < 0) return 0;
      if (total[heaviest] < TRUNK * total[0]) return row;
      box = heaviest;
    }
  }

  // Makes the scroller as high as what is shown, and leaves the rows where they are.
  settleRows() {
    const below = this.scroller.scrollHeight - this.scroller.scrollTop;
    this.shownRows = this.depth(this.goal);
    this.spacer.style.height = `${this.shownRows * ROW + 6}px`;
    if (this.upward) this.scroller.scrollTop = this.scroller.scrollHeight - below;
    this.draw();
  }

  // Zooms to a box, or to a part of the width, smoothly.
  zoom(box, part = null) {
    const from = this.view;
    this.zoomed = box;
    this.part = part;
    const to = this.goal;
    this.settle();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden) {
      this.view = to;
      this.moving = null;
      this.draw();
      return;
    }
    let start = 0;
    this.moving = () => {
      start ||= performance.now();
      const part = Math.min(1, (performance.now() - start) / ZOOM_MS);
      const ease = 1 - (1 - part) ** 3;
      this.view = [from[0] + (to[0] - from[0]) * ease, from[1] + (to[1] - from[1]) * ease];
      if (part >= 1) this.moving = null;
    };
    this.draw();
  }

  // The first box of a row that ends after `x`.
  firstIn(row, at) {
    const { rows, x, total } = this.model;
    let low = rows[row];
    let high = rows[row + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[middle] + total[middle] > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  rowTop(row) {
    const scroll = this.scroller.scrollTop;
    if (!this.upward) return row * ROW - scroll;
    const content = Math.max(this.shownRows * ROW + 6, this.height);
    return content - (row + 1) * ROW - scroll - 3;
  }

  rowAt(y) {
    if (!this.upward) return Math.floor((y + this.scroller.scrollTop) / ROW);
    return Math.floor((this.rowTop(0) + ROW - y) / ROW);
  }

  draw() {
    if (this.waiting || !this.model) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.moving?.();
      this.paint();
      this.marked ||= performance.mark("drawn");
      if (this.moving) this.draw();
    });
  }

  size(canvas) {
    const ratio = devicePixelRatio || 1;
    const width = this.scroller.clientWidth;
    const height = this.height;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  paint() {
    const context = this.size(this.canvas);
    const width = this.scroller.clientWidth;
    context.clearRect(0, 0, width, this.height);
    context.font = getComputedStyle(this.host).font;
    context.textBaseline = "middle";
    this.eachBox((box, left, top, boxWidth) => this.paintBox(context, box, left, top, boxWidth));
    this.paintOver();
    this.showMore();
  }

  // A button at an edge, for the mouse alone: keys scroll as they do everywhere.
  edge(className, action) {
    const button = this.host.appendChild(make("button", { className, tabIndex: -1, ariaHidden: "true" }));
    button.addEventListener("click", () => {
      action();
      this.host.focus({ preventScroll: true });
    });
    return button;
  }

  // Says how many rows lie beyond each edge.
  showMore() {
    const { scrollTop, scrollHeight } = this.scroller;
    const [above, below] = [scrollTop, scrollHeight - this.height - scrollTop].map((part) => Math.round(part / ROW));
    const [more, back] = this.upward ? [above, below] : [below, above];
    const [there, here] = this.upward ? ["↑", "↓"] : ["↓", "↑"];
    const rows = (count) => `${formatCount(count)} ${count === 1 ? "row" : "rows"}`;
    this.more.hidden = more < 1 || this.moving !== null;
    this.back.hidden = back < 1 || this.moving !== null;
    this.more.classList.toggle("below", !this.upward);
    this.back.classList.toggle("below", this.upward);
    this.more.textContent = `${there} ${rows(more)} more`;
    this.back.textContent = `${here} ${rows(back)} to the root`;
  }

  scrollOn() {
    const step = Math.max(ROW, this.height - 3 * ROW);
    this.scroller.scrollTop += this.upward ? -step : step;
  }

  scrollToRoot() {
    this.scroller.scrollTop = this.upward ? this.scroller.scrollHeight : 0;
  }

  // Calls `visit(box, left, top, width)` for each box in sight; a thin one stands for its pixel.
  eachBox(visit) {
    const { model, view } = this;
    const width = this.scroller.clientWidth;
    const scale = width / (view[1] - view[0]);
    for (let row = 0; row < model.rows.length - 1; row++) {
      const top = this.rowTop(row);
      if (top <= -ROW || top >= this.height) continue;
      let covered = -1;
      const end = model.rows[row + 1];
      for (let box = this.firstIn(row, view[0]); box < end && model.x[box] < view[1]; box++) {
        const left = (model.x[box] - view[0]) * scale;
        const right = left + model.total[box] * scale;
        if (right - left < THIN) {
          if (right < covered) continue;
          covered = Math.floor(left) + 1;
          visit(box, Math.floor(left), top, 1);
          // Jump to the first box that leaves this pixel.
          const next = this.firstIn(row, view[0] + covered / scale);
          if (next > box + 1) box = next - 1;
          continue;
        }
        const from = Math.max(left, 0);
        visit(box, from, top, Math.min(right, width) - from);
      }
    }
  }

  paintBox(context, box, left, top, width) {
    const { model, palette } = this;
    const matches = this.matches();
    const color = this.color(model, box);
    const item = model.item[box];
    const faded = (matches && !(item >= 0 && matches[item])) || this.isAncestor(box);
    context.fillStyle = faded ? palette.faded(color) : palette.get(color);
    context.fillRect(left, top, width > 2 ? width - 1 : Math.max(width, 1), ROW - 1);
    if (width < 24) return;
    const text = this.fit(context, item, width - 8);
    if (!text[0]) return;
    context.fillStyle = faded ? palette.quiet : palette.ink;
    context.fillText(text[0], left + 4, top + ROW / 2);
    if (text[1]) {
      context.globalAlpha = 0.62;
      context.fillText(text[1], left + 4 + text[2], top + ROW / 2);
      context.globalAlpha = 1;
    }
  }

  // The zoomed box' callers, which are all cut to the same width.
  isAncestor(box) {
    return this.zoomed > 0 && box < this.zoomed && this.target(box)[1] - this.target(box)[0] > 0 &&
      this.model.row(box) < this.zoomedRow && this.holdsZoomed(box);
  }

  get zoomedRow() {
    if (this.knownZoom !== this.zoomed || this.knownModel !== this.model) {
      this.knownZoom = this.zoomed;
      this.knownModel = this.model;
      this.knownRow = this.model.row(this.zoomed);
    }
    return this.knownRow;
  }

  holdsZoomed(box) {
    const [from, to] = this.target(this.zoomed);
    const slack = (to - from) * 1e-6;
    return this.model.x[box] <= from + slack && this.model.x[box] + this.model.total[box] >= to - slack;
  }

  measure(context, text) {
    let width = this.widths.get(text);
    if (width === undefined) this.widths.set(text, (width = context.measureText(text).width));
    return width;
  }

  // What fits of a name and its place: [name, place, width of the name with a gap].
  fit(context, item, room) {
    const name = item < 0 ? this.title(this.model) : this.items.name(item);
    const width = this.measure(context, name);
    if (width > room) {
      let length = Math.floor((room / width) * name.length) - 1;
      while (length > 1 && context.measureText(`${name.slice(0, length)}…`).width > room) length--;
      return [length > 1 ? `${name.slice(0, length)}…` : ""];
    }
    const place = item < 0 ? "" : this.items.shortPlace(item);
    const gap = width + 7;
    return place && gap + this.measure(context, place) <= room ? [name, place, gap] : [name];
  }

  // Outlines of the box under the mouse, the selected one, and all others of its function.
  paintOver() {
    const context = this.size(this.over);
    context.clearRect(0, 0, this.scroller.clientWidth, this.height);
    const selected = this.selected();
    if (selected >= 0) {
      context.strokeStyle = this.palette.accent;
      context.lineWidth = 1;
      this.eachBox((box, left, top, width) => {
        if (this.model.item[box] === selected) context.strokeRect(left + 0.5, top + 0.5, Math.max(width - 2, 1), ROW - 2);
      });
    }
    if (this.hover >= 0 && this.hover !== this.cursor) this.outline(context, this.hover, this.palette.ink, 1);
    if (this.cursor >= 0) this.outline(context, this.cursor, this.palette.accent, 2);
  }

  place(box) {
    const width = this.scroller.clientWidth;
    const scale = width / (this.view[1] - this.view[0]);
    const left = Math.max(0, (this.model.x[box] - this.view[0]) * scale);
    const right = Math.min(width, (this.model.x[box] + this.model.total[box] - this.view[0]) * scale);
    return { left, right, top: this.rowTop(this.model.row(box)) };
  }

  outline(context, box, color, thickness) {
    const { left, right, top } = this.place(box);
    if (right < 0 || left > this.scroller.clientWidth) return;
    context.strokeStyle = color;
    context.lineWidth = thickness;
    const inset = thickness / 2;
    context.strokeRect(left + inset, top + inset, Math.max(right - left - 1 - thickness, 1), ROW - 1 - thickness);
  }

  // The box at a point of the canvas; -1 if there is none.
  hit(x, y) {
    if (!this.model) return -1;
    const row = this.rowAt(y);
    if (row < 0 || row >= this.model.rows.length - 1) return -1;
    const scale = this.scroller.clientWidth / (this.view[1] - this.view[0]);
    const at = this.view[0] + x / scale;
    const box = this.firstIn(row, at);
    if (box >= this.model.rows[row + 1]) return -1;
    return this.model.x[box] <= at + THIN / scale ? box : -1;
  }

  setHover(box) {
    if (box < 0) this.tip.hide();
    if (box === this.hover) return;
    this.hover = box;
    if (this.model && !this.waiting) this.paintOver();
  }

  // Moves the cursor: to the caller, the heaviest callee, or the neighbour.
  step(key) {
    const { model } = this;
    if (!model) return false;
    if (this.cursor < 0) return this.moveTo(this.zoomed);
    const up = this.upward ? "ArrowUp" : "ArrowDown";
    const down = this.upward ? "ArrowDown" : "ArrowUp";
    const row = model.row(this.cursor);
    if (key === down) return this.cursor > 0 && this.moveTo(model.parent[this.cursor]);
    if (key === up) {
      let best = -1;
      for (let child = model.children[this.cursor]; child < model.children[this.cursor + 1]; child++) {
        if (best < 0 || model.total[child] > model.total[best]) best = child;
      }
      return best >= 0 && this.moveTo(best);
    }
    const next = this.cursor + (key === "ArrowLeft" ? -1 : 1);
    return next >= model.rows[row] && next < model.rows[row + 1] && this.moveTo(next);
  }

  moveTo(box) {
    this.cursor = box;
    this.reveal(box);
    this.onPick(this, box);
    this.draw();
    return true;
  }

  // Scrolls to a box, and zooms out to where it is in sight.
  reveal(box) {
    const [from, to] = this.goal;
    const { x, total } = this.model;
    const slack = (to - from) * 1e-6;
    if (x[box] + total[box] <= from + slack || x[box] >= to - slack) {
      let zoom = box;
      while (zoom > 0 && !(x[zoom] <= from + slack && x[zoom] + total[zoom] >= to - slack)) zoom = this.model.parent[zoom];
      this.onZoom(this, zoom);
    }
    const top = this.rowTop(this.model.row(box));
    if (top < 0) this.scroller.scrollTop += top - ROW;
    else if (top > this.height - ROW) this.scroller.scrollTop += top - this.height + 2 * ROW;
  }
}
