// What is shown, kept in the address' fragment: a link to the file shows the same, and the
// browser's way back is the way back here.

const VIEWS = ["flame", "bottom", "sandwich", "table", "chart", "tree"];

const DEFAULTS = {
  view: "flame",
  icicle: false,
  color: "kind",
  order: "weight",
  thread: -1,
  range: null,
  off: [],
  without: [],
  query: "",
  regexp: false,
  lines: false,
  selected: "",
  removed: "",
  zoom: "",
  sort: "self",
  up: false,
  theme: "",
};

class State {
  constructor(defaults) {
    this.defaults = { ...DEFAULTS, ...defaults };
    this.depth = history.state?.depth ?? 0;
    this.read();
  }

  read() {
    Object.assign(this, structuredClone(this.defaults));
    const words = new URLSearchParams(location.hash.slice(1));
    for (const [key, word] of words) {
      const known = this.defaults[key];
      if (known === undefined) continue;
      if (key === "range") this.range = readRange(word);
      else if (Array.isArray(known)) this[key] = word.split(",").filter(Boolean);
      else if (typeof known === "boolean") this[key] = word === "1";
      else if (typeof known === "number") this[key] = Number.parseInt(word, 10) || 0;
      else this[key] = word;
    }
    if (!VIEWS.includes(this.view)) this.view = "flame";
  }

  hash() {
    const words = new URLSearchParams();
    for (const [key, known] of Object.entries(this.defaults)) {
      const value = this[key];
      const word = key === "range" ? value?.map((time) => +time.toFixed(4)).join("-") ?? "" : String(value);
      const standard = key === "range" ? "" : String(known);
      if (word !== standard) words.set(key, typeof known === "boolean" ? (value ? "1" : "0") : word);
    }
    return words.toString();
  }

  // Keeps what is shown: as a step that can be gone back, or in the place of the last.
  keep(step) {
    const hash = `#${this.hash()}`;
    if (hash === (location.hash || "#")) return;
    if (step) this.depth++;
    const entry = { depth: this.depth };
    try {
      if (step) history.pushState(entry, "", hash);
      else history.replaceState(entry, "", hash);
    } catch {
      // Some browsers refuse it for files; the fragment alone always works.
      this.own = hash;
      if (step) location.hash = hash;
      else location.replace(hash);
    }
  }
}

function readRange(word) {
  const [from, to] = word.split("-").map(Number);
  return from >= 0 && to > from ? [from, to] : null;
}
