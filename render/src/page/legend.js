// The legend: what the colours mean, and the switches for kinds.

Object.assign(App.prototype, {
  showLegend() {
    const { state, palette } = this;
    const host = byId("legend");
    const inputs = [this.shown, this.items, this.stats, state.color, state.off.join(), this.themed];
    this.keep("legend", inputs, () => {
      if (this.shown.before) host.replaceChildren(...growthLegend(palette));
      else if (state.color === "package") host.replaceChildren(...this.packageLegend());
      else if (state.color === "share") host.replaceChildren(...shareLegend(palette));
      else host.replaceChildren(...this.kindLegend());
      return true;
    });
  },

  kindLegend() {
    const { profile, meta, state, palette } = this;
    const own = this.kept.get("own").value;
    const sums = new Float64Array(meta.kinds.length);
    const present = new Uint8Array(meta.kinds.length);
    for (let node = 1; node < profile.nodes; node++) {
      const kind = profile.frameKind[profile.frame[node]];
      sums[kind] += own[node];
      present[kind] = 1;
    }
    const others = meta.kinds.filter((name, kind) => present[kind] && !JAVASCRIPT.has(name));
    const chips = meta.kinds.map((name, kind) => {
      if (!present[kind]) return null;
      const off = state.off.includes(name);
      const swatch = make("i", { className: "swatch" });
      swatch.style.background = palette.kind(name);
      const share = make("span", { className: "dim", textContent: sums[kind] ? formatShare(sums[kind], this.whole) : "" });
      const button = make(
        "button",
        {
          className: "chip",
          title: `${KIND_NAMES[name]}: ${off ? "show these frames" : "hide these frames, their time goes to their callers"}`,
        },
        swatch, KIND_WORDS[name], " ", share,
      );
      button.setAttribute("aria-pressed", String(!off));
      button.dataset.kind = name;
      button.addEventListener("click", () => {
        this.change({ off: off ? state.off.filter((other) => other !== name) : [...state.off, name] });
        byId("legend").querySelector(`[data-kind=${name}]`)?.focus();
      });
      return button;
    }).filter(Boolean);
    return others.length && others.length < chips.length ? [...chips, this.onlyJavaScript(others)] : chips;
  },

  // One switch for all kinds that are not JavaScript.
  onlyJavaScript(others) {
    const on = others.every((name) => this.state.off.includes(name));
    const button = make("button", {
      className: "chip only",
      textContent: "JavaScript only",
      title: "Leave out all frames that are not JavaScript, as --native off does",
    });
    button.setAttribute("aria-pressed", String(on));
    button.addEventListener("click", () => {
      const off = this.state.off.filter((name) => !others.includes(name));
      this.change({ off: on ? off : [...off, ...others] });
      byId("legend").querySelector(".only")?.focus();
    });
    return button;
  },

  packageLegend() {
    const { items, stats, palette } = this;
    const sums = new Map();
    for (let item = 0; item < items.count; item++) {
      const name = items.packageName(item);
      sums.set(name, (sums.get(name) ?? 0) + stats.self[item]);
    }
    const largest = [...sums].filter(([name, sum]) => name && sum).sort((a, b) => b[1] - a[1]).slice(0, 14);
    return largest.map(([name, sum]) => {
      const swatch = make("i", { className: "swatch" });
      swatch.style.background = palette.package(name);
      const share = make("span", { className: "dim", textContent: formatShare(sum, this.whole) });
      return make("span", { className: "chip", title: "Share of self time" }, swatch, name, " ", share);
    });
  },
});

function shareLegend(palette) {
  return gradientLegend(palette, ["no self time", "most self time"], (part) => palette.share(part));
}

function growthLegend(palette) {
  return gradientLegend(palette, ["gone", "new"], (part) => palette.growth(part * 2 - 1));
}

function gradientLegend(palette, [low, high], color) {
  const scale = make("i", { className: "gradient" });
  const stops = Array.from({ length: 11 }, (_, at) => color(at / 10));
  scale.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  return [make("span", { className: "chip" }, low, scale, high)];
}
