// What functions are called, and what is told apart: a function, or a function at a line.

const JAVASCRIPT = new Set(["interpreted", "baseline", "maglev", "optimized", "inlined", "javascript"]);
const OBJECT_CODE = new Set(["native", "v8", "gc", "compiler", "libc"]);

// The things that a view tells apart, numbered. With `lines`, one function is several of them.
function makeItems(profile, lines) {
  const frames = profile.frameFunction.length;
  const ofFrame = new Int32Array(frames);
  const functions = [];
  const itemLine = [];
  const kinds = [];
  const known = new Map();
  for (let frame = 0; frame < frames; frame++) {
    const key = profile.frameFunction[frame] + (lines ? `:${profile.frameLine[frame]}` : "");
    let item = known.get(key);
    if (item === undefined) {
      known.set(key, (item = functions.length));
      functions.push(profile.frameFunction[frame]);
      itemLine.push(lines ? profile.frameLine[frame] : 0);
      kinds.push(profile.meta.kinds[profile.frameKind[frame]]);
    }
    ofFrame[frame] = item;
  }
  const ofNode = new Int32Array(profile.nodes).fill(-1);
  for (let node = 1; node < profile.nodes; node++) ofNode[node] = ofFrame[profile.frame[node]];
  return new Items(profile, { ofNode, ofFrame, functions, itemLine, kinds });
}

class Items {
  constructor(profile, parts) {
    Object.assign(this, parts);
    this.profile = profile;
    this.count = this.functions.length;
    this.labels = new Array(this.count);
    this.names = new Array(this.count);
  }

  file(item) {
    return this.profile.strings[this.profile.functionFile[this.functions[item]]];
  }

  // The line that tells it apart: a function's first, or the executing one.
  line(item) {
    return this.itemLine[item] || this.profile.functionNumber[this.functions[item]];
  }

  isJavaScript(item) {
    return JAVASCRIPT.has(this.kinds[item]);
  }

  rawName(item) {
    return this.profile.strings[this.profile.functionName[this.functions[item]]];
  }

  // The same label as in every other format.
  label(item) {
    if (item < 0) return "all";
    return (this.labels[item] ??= this.makeLabel(item));
  }

  makeLabel(item) {
    const kind = this.kinds[item];
    const name = this.rawName(item);
    const number = this.profile.functionNumber[this.functions[item]];
    // What stands for native code that is not shown is no symbol of it.
    if (kind === "plain" || (kind === "native" && name === "(native)")) return name;
    if (this.isJavaScript(item)) return `${name || "(anonymous)"}:${this.file(item)}:${this.line(item)}`;
    if (kind === "builtin" || kind === "glue") return name ? `${name}:[builtin]` : "[builtin]";
    if (kind === "regexp") return "[regexp]";
    if (kind === "wasm") return name ? `${name}:[wasm]` : `wasm-function[${number}]:[wasm]`;
    if (kind === "elided") return "[frames elided]";
    // A comparison knows them by their names alone.
    if (kind === "thread" || kind === "process") return number ? `${name} (${number})` : name;
    if (name) return `${name}:[native]`;
    const object = this.file(item);
    return `[0x${number.toString(16)}${object ? ` in ${object}` : ""}]:[native]`;
  }

  // What fits a box: a name without path and without C++ arguments.
  name(item) {
    if (item < 0) return "all";
    return (this.names[item] ??= this.makeName(item));
  }

  makeName(item) {
    const name = this.rawName(item);
    if (this.isJavaScript(item)) return name || "(anonymous)";
    if (OBJECT_CODE.has(this.kinds[item])) {
      return name ? withoutArguments(name).replace(/^v8::internal::/, "") : this.makeLabel(item).replace(/:\[native\]$/, "").replace(/ in .*\//, " in ");
    }
    return this.makeLabel(item).replace(/:\[(builtin|wasm)\]$/, "");
  }

  // Where it stands: script and line, or the object.
  place(item) {
    if (item < 0) return "";
    const file = this.file(item);
    return this.isJavaScript(item) ? `${file}:${this.line(item)}` : file;
  }

  shortPlace(item) {
    const place = this.place(item);
    return this.isJavaScript(item) ? place.slice(place.lastIndexOf("/") + 1) : "";
  }

  objectName(item) {
    const file = this.file(item);
    return file.slice(file.lastIndexOf("/") + 1);
  }

  // The package that its code belongs to.
  packageName(item) {
    if (item < 0) return "";
    const kind = this.kinds[item];
    if (!this.isJavaScript(item)) {
      if (kind === "wasm") return "WebAssembly";
      if (kind === "builtin" || kind === "regexp" || kind === "glue") return "V8 builtins";
      return OBJECT_CODE.has(kind) ? "native code" : "";
    }
    const file = this.file(item);
    if (file.startsWith("node:") || !/[/\\[]/.test(file)) return "Node.js";
    const at = file.lastIndexOf("node_modules/");
    if (at < 0) return file.startsWith("[") ? "eval and unknown" : "application";
    const parts = file.slice(at + 13).split("/");
    return parts[0].startsWith("@") && parts.length > 1 ? `${parts[0]}/${parts[1]}` : parts[0];
  }
}

// A C++ or Rust name up to its arguments: `operator()` keeps its own brackets.
function withoutArguments(name) {
  const start = name.startsWith("(anonymous namespace)") ? 21 : 0;
  let depth = 0;
  for (let at = start; at < name.length; at++) {
    const char = name[at];
    if (char === "<") depth++;
    else if (char === ">" && name[at - 1] !== "-") depth = Math.max(0, depth - 1);
    else if (char === "(" && depth === 0) {
      if (name.startsWith("(anonymous namespace)", at)) at += 20;
      else if (name.endsWith("operator", at) || name.slice(0, at).endsWith("operator")) at += 1;
      else return at > 0 ? name.slice(0, at) : name;
    }
  }
  return name;
}
