// The legend: what the colours mean, and the switches for kinds and packages.

Object.assign(App.prototype, {
  showLegend() {
    const { state, palette } = this;
    const host = byId("legend");
    const inputs = [this.shown, this.items, this.stats, state.color, state.off.join(), state.without.join(), this.themed];
    this.keep("legend", inputs, () => {
      if (this.shown.before) host.replaceChildren(...growthLegend(palette));
      else if (state.color === "package") host.replaceChildren(...this.packageLegend());
      else if (state.color === "share") host.replaceChildren(...shareLegend(palette));
      else host.replaceChildren(...this.kindLegend());
      return true;
    });
  },

  kindLegend() {
    const { profile, meta, state, palette, shown: { left } } = this;
    const sums = new Float64Array(meta.kinds.length);
    const present = new Uint8Array(meta.kinds.length);
    for (let node = 1; node < profile.nodes; node++) {
      const kind = profile.frameKind[profile.frame[node]];
      sums[kind] += left[node];
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

  // The packages with most time of their own, and those that are switched off.
  packageLegend() {
    const { profile, items, state, shown: { left } } = this;
    const sums = new Map();
    for (let node = 1; node < profile.nodes; node++) {
      const name = items.packageName(items.ofNode[node]);
      if (name) sums.set(name, (sums.get(name) ?? 0) + left[node]);
    }
    const all = [...sums].sort((a, b) => b[1] - a[1]);
    const chips = all
      .filter(([name, sum], at) => (at < 14 && sum) || name === "application" || state.without.includes(name))
      .map(([name, sum]) => this.packageChip(name, sum));
    const others = all.map(([name]) => name).filter((name) => name !== "application");
    if (!others.length || !sums.has("application")) return chips;
    const on = others.every((name) => state.without.includes(name));
    const button = make("button", {
      className: "chip only",
      textContent: "Application only",
      title: "Leave out all frames of packages, of Node.js and of native code: their time goes to who called them",
    });
    button.setAttribute("aria-pressed", String(on));
    button.addEventListener("click", () => {
      this.change({ without: on ? [] : others });
      byId("legend").querySelector(".only")?.focus();
    });
    return [...chips, button];
  },

  packageChip(name, sum) {
    const { state, palette } = this;
    const off = state.without.includes(name);
    const swatch = make("i", { className: "swatch" });
    swatch.style.background = palette.package(name);
    const share = make("span", { className: "dim", textContent: sum ? formatShare(sum, this.whole) : "" });
    const title = `Share of self time; ${off ? "show these frames" : "hide these frames, their time goes to their callers"}`;
    const button = make("button", { className: "chip", title }, swatch, name, " ", share);
    button.setAttribute("aria-pressed", String(!off));
    button.dataset.package = name;
    button.addEventListener("click", () => {
      this.change({ without: off ? state.without.filter((other) => other !== name) : [...state.without, name] });
      [...byId("legend").children].find((chip) => chip.dataset.package === name)?.focus();
    });
    return button;
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
