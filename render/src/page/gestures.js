// What the mouse does on a graph: hover, click, drag, wheel.

const DRAG = 4;

class Gestures {
  constructor(graph) {
    this.graph = graph;
    this.drag = null;
    const on = (type, action, options) => graph.scroller.addEventListener(type, (event) => action(event), options);
    on("mousemove", (event) => this.hover(event));
    on("mouseleave", () => graph.setHover(-1));
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", () => this.release());
    on("pointercancel", () => this.release());
    on("click", (event) => this.click(event));
    on("wheel", (event) => this.wheel(event), { passive: false });
  }

  point(event) {
    const area = this.graph.scroller.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  }

  hover(event) {
    const { graph } = this;
    if (!graph.model || this.drag?.moved) return;
    const box = graph.hit(...this.point(event));
    graph.setHover(box);
    graph.scroller.style.cursor = box < 0 ? "" : "pointer";
    if (box >= 0) graph.tip.show(graph.model, box, event.clientX, event.clientY);
  }

  press(event) {
    const { graph } = this;
    this.dragged = false;
    if (event.button !== 0 || event.pointerType === "touch" || !graph.model) return;
    this.drag = { x: event.clientX, y: event.clientY, view: graph.view, top: graph.scroller.scrollTop, moved: false };
  }

  // Dragging moves the graph under the mouse.
  move(event) {
    const { drag, graph } = this;
    if (!drag) return;
    const [across, down] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(across, down) < DRAG) return;
    if (!drag.moved) {
      drag.moved = this.dragged = true;
      graph.scroller.setPointerCapture(event.pointerId);
      graph.scroller.style.cursor = "grabbing";
      graph.setHover(-1);
    }
    graph.scroller.scrollTop = drag.top - down;
    const [from, to] = drag.view;
    this.show(from - (across / graph.scroller.clientWidth) * (to - from), to - from);
  }

  release() {
    if (this.drag?.moved) this.graph.scroller.style.cursor = "";
    this.drag = null;
  }

  click(event) {
    const { graph } = this;
    if (this.dragged || !graph.model) return;
    graph.host.focus({ preventScroll: true });
    const box = graph.hit(...this.point(event));
    if (box < 0) return;
    if (event.altKey) {
      graph.onRemove(graph, box);
      return;
    }
    graph.cursor = box;
    graph.onPick(graph, box);
    if (!event.shiftKey) graph.onZoom(graph, box);
    graph.paintOver();
  }

  // Ctrl and the wheel zoom about the mouse, Shift and the wheel move to the side; the wheel alone
  // scrolls the rows.
  wheel(event) {
    const { graph } = this;
    if (!graph.model) return;
    const across = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
    if (event.ctrlKey) {
      event.preventDefault();
      this.scale(Math.exp(event.deltaY * 0.004), this.point(event)[0]);
    } else if (across && Math.abs(across) >= Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      event.preventDefault();
      const [from, to] = graph.view;
      this.show(from + (across / graph.scroller.clientWidth) * (to - from), to - from);
    }
  }

  // Makes the range that is shown `factor` times as large; what is at `x` stays there.
  scale(factor, x = this.graph.scroller.clientWidth / 2) {
    const { graph } = this;
    const [from, to] = graph.view;
    const part = x / graph.scroller.clientWidth;
    const size = Math.min(graph.model.width, Math.max(graph.model.width / 1e7, (to - from) * factor));
    this.show(from + part * (to - from - size), size);
  }

  show(from, size) {
    const { graph } = this;
    const { width } = graph.model;
    const left = Math.min(Math.max(0, from), width - size);
    graph.view = [left, left + size];
    graph.moving = null;
    graph.zoomed = 0;
    graph.part = size < width ? [left / width, (left + size) / width] : null;
    graph.draw();
    clearTimeout(this.later);
    this.later = setTimeout(() => graph.onPart(graph), 200);
  }
}
