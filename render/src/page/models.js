// Trees to draw, made from the nodes that are shown.

const KINDS_MOST = 24;

// Boxes in rows, row by row from the root, each row from left to right. Row `r` holds the boxes
// from `rows[r]` up to `rows[r + 1]`, a box' children those from `children[box]` up to
// `children[box + 1]`.
class Model {
  constructor() {
    this.item = [];
    this.kind = [];
    this.parent = [];
    this.x = [];
    this.total = [];
    this.self = [];
    this.before = [];
    this.after = [];
    this.node = [];
    this.children = [];
    this.rows = [0];
  }

  get count() {
    return this.item.length;
  }

  get width() {
    return this.count ? this.total[0] : 0;
  }

  add(item, kind, parent, x, total, self, node, before = 0, after = total) {
    this.item.push(item);
    this.kind.push(kind);
    this.parent.push(parent);
    this.x.push(x);
    this.total.push(total);
    this.self.push(self);
    this.node.push(node);
    this.before.push(before);
    this.after.push(after);
  }

  path(box) {
    const path = [];
    for (; box > 0; box = this.parent[box]) path.push(this.item[box]);
    return path.reverse();
  }

  find(path) {
    let box = 0;
    for (const item of path) {
      let child = this.children[box];
      const end = this.children[box + 1];
      while (child < end && this.item[child] !== item) child++;
      if (child >= end) return -1;
      box = child;
    }
    return box;
  }

  row(box) {
    let low = 0;
    let high = this.rows.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.rows[middle] <= box) low = middle;
      else high = middle;
    }
    return low;
  }
}

// The groups that one box' children make, one for each item: their sums, and where their entries
// go. An entry is a node of the profile with a weight. Everything is in flat arrays that serve all
// boxes: 200,000 boxes would otherwise be a million small objects.
class Groups {
  constructor(shown, items, byName) {
    Object.assign(this, { shown, items, byName });
    this.stamp = new Int32Array(items.count).fill(-1);
    this.slot = new Int32Array(items.count);
    this.item = [];
    this.weight = [];
    this.after = [];
    this.self = [];
    this.size = [];
    this.cursor = [];
    // Entries of all boxes; those of box `b` from `start[b]` up to `start[b] + length[b]`.
    this.node = [];
    this.weights = [];
    this.afters = [];
    this.start = [];
    this.length = [];
  }

  begin(round) {
    this.round = round;
    this.count = 0;
  }

  // Counts one entry for the group of `item`.
  add(item, weight, after, self) {
    let slot = this.slot[item];
    if (this.stamp[item] !== this.round) {
      this.stamp[item] = this.round;
      this.slot[item] = slot = this.count++;
      this.item[slot] = item;
      this.weight[slot] = this.after[slot] = this.self[slot] = this.size[slot] = 0;
    }
    this.weight[slot] += weight;
    this.after[slot] += after;
    this.self[slot] += self;
    this.size[slot]++;
  }

  // Slots, heaviest first or by name, equal ones as they came; and room for their entries.
  sorted() {
    const slots = [];
    for (let slot = 0; slot < this.count; slot++) slots.push(slot);
    if (this.count > 1) {
      const { item, weight, items } = this;
      if (this.byName) slots.sort((a, b) => (items.label(item[a]) < items.label(item[b]) ? -1 : 1));
      else slots.sort((a, b) => weight[b] - weight[a]);
    }
    let end = this.node.length;
    for (const slot of slots) {
      this.cursor[slot] = end;
      end += this.size[slot];
    }
    return slots;
  }

  // Puts an entry into its group's room.
  place(item, node, weight, after) {
    const at = this.cursor[this.slot[item]]++;
    this.node[at] = node;
    this.weights[at] = weight;
    if (this.shown.before) this.afters[at] = after;
  }

  // Makes a box of each group; those below `least` keep their room empty.
  boxes(model, parent, slots, least) {
    let x = model.x[parent];
    for (const slot of slots) {
      const weight = this.weight[slot];
      if (weight >= least) {
        const start = this.cursor[slot] - this.size[slot];
        const kind = this.mainKind(start, this.cursor[slot]);
        const after = this.after[slot];
        const before = this.shown.before ? 2 * weight - after : 0;
        model.add(this.item[slot], kind, parent, x, weight, this.self[slot], this.node[start], before, after);
        this.start.push(start);
        this.length.push(this.size[slot]);
      }
      x += weight;
    }
  }

  // The kind that most of a group's time is in.
  mainKind(from, to) {
    const { shown, node, weights } = this;
    let best = shown.kind(node[from]);
    if (to - from === 1) return best;
    kindSums.fill(0);
    for (let at = from; at < to; at++) {
      const kind = shown.kind(node[at]);
      kindSums[kind] += weights[at];
      if (kindSums[kind] > kindSums[best]) best = kind;
    }
    return best;
  }

  // The first box: the root, or an item with its entries.
  root(model, item, { nodes, weights, afters }) {
    const sum = (values) => values.reduce((all, value) => all + value, 0);
    for (let at = 0; at < nodes.length; at++) {
      this.node.push(nodes[at]);
      this.weights.push(weights[at]);
      if (this.shown.before) this.afters.push(afters[at]);
    }
    this.start.push(0);
    this.length.push(nodes.length);
    const weight = sum(weights);
    const after = this.shown.before ? sum(afters) : weight;
    const kind = item < 0 || !nodes.length ? -1 : this.mainKind(0, nodes.length);
    const self = nodes.reduce((all, node) => all + this.shown.own[node], 0);
    const before = this.shown.before ? 2 * weight - after : 0;
    model.add(item, kind, 0, 0, weight, self, nodes[0] ?? 0, before, after);
  }
}

const kindSums = new Float64Array(KINDS_MOST);

// Callees: the root, or the outermost nodes of one item, and below each box what it calls.
function modelDown(shown, items, { entries, rootItem = -1, byName = false } = {}) {
  const model = new Model();
  const groups = new Groups(shown, items, byName);
  const whole = { nodes: [0], weights: [shown.weight(0)], afters: [shown.total[0]] };
  groups.root(model, rootItem, entries ?? whole);
  const { firstChild, nextSibling, total, own } = shown;
  for (let box = 0; box < model.count; box++) {
    if (box === model.rows[model.rows.length - 1]) model.rows.push(model.count);
    model.children.push(model.count);
    groups.begin(box);
    const from = groups.start[box];
    const to = from + groups.length[box];
    for (let at = from; at < to; at++) {
      for (let child = firstChild[groups.node[at]]; child; child = nextSibling[child]) {
        groups.add(items.ofNode[child], shown.weight(child), total[child], own[child]);
      }
    }
    if (!groups.count) continue;
    const slots = groups.sorted();
    for (let at = from; at < to; at++) {
      for (let child = firstChild[groups.node[at]]; child; child = nextSibling[child]) {
        groups.place(items.ofNode[child], child, shown.weight(child), total[child]);
      }
    }
    groups.boxes(model, box, slots, 0);
  }
  return finish(model);
}

// Callers: below each box who called it. The root's entries are all ends of stacks (then the first
// row groups them by item), or the outermost nodes of one item.
function modelUp(shown, items, { entries, rootItem = -1, byName = false }) {
  const model = new Model();
  const groups = new Groups(shown, items, byName);
  groups.root(model, rootItem, entries);
  // What would be drawn thinner than a hair at any zoom that still has samples to show.
  const least = model.width / 50000;
  // Callers of one box, each once, however many of the box' nodes it has called.
  const place = new Int32Array(shown.count);
  const mark = new Int32Array(shown.count).fill(-1);
  const callers = [];
  const weights = [];
  const afters = [];
  for (let box = 0; box < model.count; box++) {
    if (box === model.rows[model.rows.length - 1]) model.rows.push(model.count);
    model.children.push(model.count);
    groups.begin(box);
    let count = 0;
    const from = groups.start[box];
    const to = from + groups.length[box];
    for (let at = from; at < to; at++) {
      const node = rootItem < 0 && box === 0 ? groups.node[at] : shown.up[groups.node[at]];
      if (node === 0) continue;
      if (mark[node] !== box) {
        mark[node] = box;
        place[node] = count;
        callers[count] = node;
        weights[count] = afters[count] = 0;
        count++;
      }
      weights[place[node]] += groups.weights[at];
      if (shown.before) afters[place[node]] += groups.afters[at];
    }
    if (!count) continue;
    for (let at = 0; at < count; at++) {
      groups.add(items.ofNode[callers[at]], weights[at], shown.before ? afters[at] : weights[at], 0);
    }
    const slots = groups.sorted();
    for (let at = 0; at < count; at++) groups.place(items.ofNode[callers[at]], callers[at], weights[at], afters[at]);
    groups.boxes(model, box, slots, least);
  }
  model.inverted = true;
  return finish(model);
}

function finish(model) {
  model.children.push(model.count);
  return typed(model);
}

// Stacks in the order of time: a box is a function for as long as it stays on the stack.
function modelChart(shown, items, profile, thread, range, off) {
  const { count, time, node: nodes, thread: threads } = profile.samples;
  const model = new Model();
  const columns = [];
  const from = range ? range[0] : 0;
  const to = range ? range[1] : Math.max(profile.meta.duration / 1e6, count ? time[count - 1] : 0);
  // A gap longer than this was idle.
  const longest = 2.5 * samplePeriod(profile.meta) * profile.meta.stride;
  let end = from;
  let open = [];
  let last = -1;
  const close = (depth, at) => {
    for (const box of open.splice(depth)) box.end = at;
  };
  for (let sample = 0; sample < count; sample++) {
    if (threads[sample] !== thread || time[sample] < from || time[sample] >= to) continue;
    const start = last < 0 ? Math.max(from, time[sample] - longest / 2.5) : Math.max(last, time[sample] - longest / 2.5);
    if (start - end > longest) close(0, end);
    const path = [];
    let node = nodes[sample];
    if (shown.hidden[node]) node = shown.up[node];
    for (; node > 0; node = shown.up[node]) path.push(node);
    path.reverse();
    let same = 0;
    while (same < path.length && same < open.length && open[same].item === items.ofNode[path[same]]) same++;
    const at = open.length && same > 0 ? end : start;
    close(same, at);
    for (; same < path.length; same++) {
      const box = { item: items.ofNode[path[same]], node: path[same], start: at, end: to, parent: open[same - 1], samples: 0 };
      (columns[same] ??= []).push(box);
      open.push(box);
    }
    for (const box of open) box.samples += profile.meta.stride;
    end = last = time[sample];
  }
  close(0, end);
  model.add(-1, -1, 0, 0, to - from, 0, 0);
  model.samples = [0];
  model.rows = [0, 1];
  const numbers = new Map();
  for (const column of columns) {
    for (const box of column) {
      numbers.set(box, model.count);
      const parent = box.parent ? numbers.get(box.parent) : 0;
      model.add(box.item, shown.kind(box.node), parent, box.start - from, box.end - box.start, 0, box.node);
      model.samples.push(box.samples);
      model.samples[0] += parent ? 0 : box.samples;
    }
    model.rows.push(model.count);
  }
  model.children = new Int32Array(model.count + 1).fill(model.count);
  for (let box = model.count - 1; box > 0; box--) model.children[model.parent[box]] = box;
  for (let box = model.count - 1; box > 0; box--) {
    if (model.children[box] === model.count) model.children[box] = model.children[box + 1];
  }
  model.chart = true;
  return typed(model);
}

function typed(model) {
  model.item = Int32Array.from(model.item);
  model.kind = Int8Array.from(model.kind);
  model.parent = Int32Array.from(model.parent);
  model.x = Float64Array.from(model.x);
  model.total = Float64Array.from(model.total);
  return model;
}
