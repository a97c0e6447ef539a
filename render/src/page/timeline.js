// The strip of activity over time, with a brush: the other views show the range it marks.

class Timeline {
  constructor(canvas, { palette, onRange }) {
    Object.assign(this, { canvas, palette, onRange });
    this.range = null;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.up());
    canvas.addEventListener("dblclick", () => this.commit(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // `bars`: for each sample its time and kind; `most`: samples a second that are all there can be.
  show({ samples, kindOf, colors, seconds, most, thread, stride }, range) {
    Object.assign(this, { samples, kindOf, colors, seconds, most, thread, stride, range });
    this.draw();
  }

  draw() {
    const { canvas, samples } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !samples) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.paintBars(context, width, height - 12);
    this.paintScale(context, width, height);
    this.paintRange(context, width, height - 12);
  }

  // As many bins as samples can fill, at most one for three pixels.
  paintBars(context, width, height) {
    const { samples, kindOf, colors, thread } = this;
    const bins = Math.max(1, Math.min(Math.floor(width / 3), Math.ceil((this.seconds * this.most) / this.stride / 4)));
    const kinds = colors.length;
    const counts = new Float64Array(bins * kinds);
    for (let at = 0; at < samples.count; at++) {
      if (thread >= 0 && samples.thread[at] !== thread) continue;
      const bin = Math.min(bins - 1, Math.floor((samples.time[at] / this.seconds) * bins));
      counts[bin * kinds + kindOf(at)] += this.stride;
    }
    const full = (this.most * this.seconds) / bins;
    const step = width / bins;
    for (let bin = 0; bin < bins; bin++) {
      let bottom = height;
      let sum = 0;
      for (let kind = 0; kind < kinds; kind++) sum += counts[bin * kinds + kind];
      const scale = height / Math.max(full, sum);
      for (let kind = 0; kind < kinds; kind++) {
        const count = counts[bin * kinds + kind];
        if (!count) continue;
        context.fillStyle = colors[kind];
        bottom -= count * scale;
        context.fillRect(bin * step, bottom, Math.max(step - (step > 3 ? 1 : 0), 1), count * scale);
      }
    }
  }

  paintScale(context, width, height) {
    const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
    const step = steps.find((seconds) => (seconds / this.seconds) * width >= 70) ?? 7200;
    context.font = `10px ${getComputedStyle(this.canvas).fontFamily}`;
    context.fillStyle = this.palette.quiet;
    context.textBaseline = "bottom";
    for (let at = 0; at <= this.seconds; at += step) {
      const x = (at / this.seconds) * width;
      context.fillRect(x, height - 12, 1, 3);
      context.textAlign = x > width - 30 ? "right" : "left";
      context.fillText(`${+at.toFixed(2)} s`, x + (x > width - 30 ? -2 : 3), height + 1);
    }
  }

  paintRange(context, width, height) {
    if (!this.range) return;
    const [from, to] = this.range.map((time) => (time / this.seconds) * width);
    context.globalAlpha = 0.72;
    context.fillStyle = this.palette.ground;
    context.fillRect(0, 0, from, height);
    context.fillRect(to, 0, width - to, height);
    context.globalAlpha = 1;
    context.fillStyle = this.palette.accent;
    context.fillRect(from - 1, 0, 2, height);
    context.fillRect(to - 1, 0, 2, height);
    context.fillRect(from, height - 1, to - from, 1);
  }

  time(event) {
    const area = this.canvas.getBoundingClientRect();
    return Math.min(this.seconds, Math.max(0, ((event.clientX - area.left) / area.width) * this.seconds));
  }

  // Near an edge of the range the edge is moved, inside it the range, elsewhere a new one begins.
  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.time(event);
    const near = (6 / this.canvas.clientWidth) * this.seconds;
    const [from, to] = this.range ?? [-1, -1];
    if (this.range && Math.abs(at - from) < near) this.drag = { fixed: to };
    else if (this.range && Math.abs(at - to) < near) this.drag = { fixed: from };
    else if (this.range && at > from && at < to) this.drag = { grab: at, from, to };
    else this.drag = { fixed: at, fresh: true };
  }

  move(event) {
    const at = this.time(event);
    if (!this.drag) {
      const near = (6 / this.canvas.clientWidth) * this.seconds;
      const edge = this.range && this.range.some((time) => Math.abs(time - at) < near);
      const inside = this.range && at > this.range[0] && at < this.range[1];
      this.canvas.style.cursor = edge ? "ew-resize" : inside ? "grab" : "crosshair";
      return;
    }
    this.drag.moved = true;
    if (this.drag.grab === undefined) {
      this.range = [Math.min(at, this.drag.fixed), Math.max(at, this.drag.fixed)];
    } else {
      const { grab, from, to } = this.drag;
      const shift = Math.min(Math.max(at - grab, -from), this.seconds - to);
      this.range = [from + shift, to + shift];
    }
    this.draw();
  }

  up() {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.moved) this.commit(this.range[1] - this.range[0] > this.seconds / 2000 ? this.range : null);
    else if (drag.fresh && this.range) this.commit(null);
  }

  // Arrows move the range, with Shift its end.
  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    const step = (steps[event.key] ?? 0) * (this.seconds / 40);
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const [from, to] = this.range ?? [0, this.seconds / 4];
    if (event.shiftKey) {
      this.commit([from, Math.min(this.seconds, Math.max(from + this.seconds / 40, to + step))]);
    } else {
      const shift = Math.min(Math.max(step, -from), this.seconds - to);
      this.commit([from + shift, to + shift]);
    }
  }

  commit(range) {
    // As exact as the address has it.
    this.range = range && range.map((time) => Math.round(time * 1e4) / 1e4);
    this.draw();
    this.onRange(this.range);
  }
}
