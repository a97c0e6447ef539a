// Colours. They stand in the style sheet, once for light and once for dark; here they are resolved
// for the canvas.

const KIND_NAMES = {
  interpreted: "JavaScript, interpreted",
  baseline: "JavaScript, baseline",
  maglev: "JavaScript, Maglev",
  optimized: "JavaScript, optimized",
  inlined: "JavaScript, inlined",
  javascript: "JavaScript",
  builtin: "V8 builtin",
  regexp: "Regular expression",
  wasm: "WebAssembly",
  native: "Native code",
  v8: "V8 runtime",
  gc: "Garbage collector",
  compiler: "Compiler",
  libc: "C library, kernel's edge",
  glue: "V8 glue",
  elided: "Frames elided",
  thread: "Thread",
  process: "Process",
  plain: "Function",
};

// The legend's shorter words.
const KIND_WORDS = {
  ...KIND_NAMES,
  interpreted: "JS interpreted",
  baseline: "JS baseline",
  maglev: "JS Maglev",
  optimized: "JS optimized",
  inlined: "JS inlined",
  builtin: "Builtin",
  regexp: "RegExp",
  wasm: "Wasm",
  native: "Native",
  gc: "GC",
  libc: "libc",
};

const PACKAGE_HUES = 12;

class Palette {
  constructor() {
    this.probe = document.createElement("span");
    this.probe.hidden = true;
    document.body.append(this.probe);
    this.refresh();
  }

  refresh() {
    this.known = new Map();
    this.ground = this.get("var(--ground)");
    this.ink = this.get("var(--ink)");
    this.quiet = this.get("var(--dim)");
    this.accent = this.get("var(--accent)");
    this.line = this.get("var(--line)");
  }

  // A CSS colour as the canvas takes it.
  get(color) {
    let found = this.known.get(color);
    if (!found) {
      this.probe.style.color = color;
      found = getComputedStyle(this.probe).color;
      this.known.set(color, found);
    }
    return found;
  }

  // The same colour, faded into the ground.
  faded(color) {
    return this.get(`color-mix(in oklab, ${color} 22%, var(--ground))`);
  }

  kind(name) {
    return name ? `var(--kind-${name})` : "var(--kind-root)";
  }

  package(name) {
    if (name === "") return "var(--kind-root)";
    if (name === "application") return "var(--kind-optimized)";
    if (name === "Node.js") return "var(--kind-builtin)";
    if (name === "native code") return "var(--kind-native)";
    if (name === "V8 builtins") return "var(--kind-glue)";
    let hash = 0;
    for (let at = 0; at < name.length; at++) hash = (hash * 31 + name.charCodeAt(at)) >>> 0;
    const hue = (hash % PACKAGE_HUES) * (360 / PACKAGE_HUES);
    return `light-dark(oklch(0.82 0.095 ${hue}), oklch(0.47 0.09 ${hue}))`;
  }

  // From none to all, in steps that stay few.
  share(share) {
    return `color-mix(in oklab, var(--hot) ${Math.round(Math.sqrt(share) * 20) * 5}%, var(--cold))`;
  }

  // Growth from -1 (gone) over 0 (the same) to 1 (new).
  growth(growth) {
    const part = Math.round(Math.min(1, Math.abs(growth)) * 20) * 5;
    return `color-mix(in oklab, var(--${growth > 0 ? "more" : "less"}) ${part}%, var(--same))`;
  }
}
