// The data blocks of the page, read into typed arrays. render/src/flame/encode.rs writes them and
// describes them.

const DIGITS = new Uint8Array(128);
for (let value = 0; value < 64; value++) {
  DIGITS["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".charCodeAt(value)] = value;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  get more() {
    return this.at < this.text.length;
  }

  number() {
    let value = 0;
    let scale = 1;
    for (;;) {
      const digit = DIGITS[this.text.charCodeAt(this.at++)];
      value += (digit & 31) * scale;
      if (digit < 32) return value;
      scale *= 32;
    }
  }

  signed() {
    const value = this.number();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }

  line() {
    const end = this.text.indexOf("\n", this.at);
    const line = this.text.slice(this.at, end);
    this.at = end + 1;
    return line;
  }
}

// The whole profile. Nodes are in the order of a walk, each after its caller; node 0 is the root.
// A frame is a function in a tier, at a line.
function decodeProfile(block) {
  const meta = JSON.parse(block("meta"));
  const strings = decodeStrings(block("strings"));
  const functions = decodeFunctions(block("functions"));
  const frames = decodeFrames(block("frames"), functions);
  const nodes = decodeNodes(block("nodes"), Boolean(meta.diff));
  const samples = decodeSamples(block("samples"));
  const sources = decodeSources(block("sources"));
  return { meta, strings, ...functions, ...frames, ...nodes, samples, sources };
}

function decodeStrings(text) {
  const reader = new Reader(text);
  const strings = [];
  let before = "";
  while (reader.more) {
    const shared = reader.number();
    let rest = reader.line();
    if (rest.includes("\\")) rest = rest.replace(/\\(.)/g, (_, char) => (char === "l" ? "<" : char));
    before = before.slice(0, shared) + rest;
    strings.push(before);
  }
  return strings;
}

function decodeFunctions(text) {
  const reader = new Reader(text);
  const functionName = [];
  const functionFile = [];
  const functionNumber = [];
  let file = 0;
  while (reader.more) {
    functionName.push(reader.number());
    functionFile.push((file += reader.signed()));
    functionNumber.push(reader.number());
  }
  return { functionName, functionFile, functionNumber };
}

function decodeFrames(text, functions) {
  const reader = new Reader(text);
  const frameFunction = [];
  const frameKind = [];
  const frameLine = [];
  while (reader.more) {
    const number = reader.number();
    frameFunction.push(number);
    frameKind.push(reader.number());
    const line = reader.number();
    const distance = line % 2 ? (line - 1) / 2 : -line / 2;
    frameLine.push(line === 0 ? 0 : functions.functionNumber[number] + distance);
  }
  return {
    frameFunction: Int32Array.from(frameFunction),
    frameKind: Uint8Array.from(frameKind),
    frameLine: Int32Array.from(frameLine),
  };
}

function decodeNodes(text, diff) {
  const reader = new Reader(text);
  const most = (text.length >> 1) + 2;
  const parent = new Int32Array(most);
  const frame = new Int32Array(most);
  const own = new Float64Array(most);
  const before = diff ? new Float64Array(most) : null;
  own[0] = reader.number();
  if (diff) before[0] = reader.number();
  let count = 1;
  while (reader.more) {
    let up = count - 1;
    frame[count] = reader.number();
    const word = reader.number();
    own[count] = Math.floor(word / 2);
    if (word % 2) for (let steps = reader.number(); steps >= 0; steps--) up = parent[up];
    parent[count] = up;
    if (diff) before[count] = reader.number();
    count++;
  }
  return {
    nodes: count,
    parent: parent.subarray(0, count),
    frame: frame.subarray(0, count),
    own: own.subarray(0, count),
    before: diff ? before.subarray(0, count) : null,
  };
}

// Times in seconds.
function decodeSamples(text) {
  const reader = new Reader(text);
  const time = [];
  const node = [];
  const thread = [];
  const activity = [];
  let now = 0;
  let place = 0;
  while (reader.more) {
    time.push((now += reader.number()) / 10000);
    node.push((place += reader.signed()));
    const origin = reader.number();
    thread.push(origin >> 3);
    activity.push(origin & 7);
  }
  return {
    count: time.length,
    time: Float64Array.from(time),
    node: Int32Array.from(node),
    thread: Uint16Array.from(thread),
    activity: Uint8Array.from(activity),
  };
}

// Source lines by file: {file: {line: text}}.
function decodeSources(text) {
  return text ? JSON.parse(text) : {};
}
