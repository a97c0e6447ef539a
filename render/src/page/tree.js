// Trees to draw, made from the profile's nodes. Nothing here recurses: stacks may be 16,384 deep.

const KINDS_MOST = 24;

// How often each node was a stack's end, for one thread and a range of time, or all of it.
function countOwn(profile, thread, range) {
  if (thread < 0 && !range) return profile.own;
  const own = new Float64Array(profile.nodes);
  const { count, time, node, thread: threads } = profile.samples;
  for (let sample = 0; sample < count; sample++) {
    if (thread >= 0 && threads[sample] !== thread) continue;
    if (range && (time[sample] < range[0] || time[sample] >= range[1])) continue;
    own[node[sample]] += profile.meta.stride;
  }
  return own;
}

// The nodes that are shown: those of kinds that are switched off are left out, and what they
// counted is their caller's.
class Shown {
  constructor(profile, own, off) {
    const { nodes, parent, frame, frameKind } = profile;
    this.profile = profile;
    this.count = nodes;
    this.up = new Int32Array(nodes);
    this.own = own.slice();
    this.before = profile.before ? profile.before.slice() : null;
    const hidden = new Uint8Array(nodes);
    for (let node = 1; node < nodes; node++) {
      const caller = hidden[parent[node]] ? this.up[parent[node]] : parent[node];
      this.up[node] = caller;
      if (!off[frameKind[frame[node]]]) continue;
      hidden[node] = 1;
      this.own[caller] += this.own[node];
      this.own[node] = 0;
      if (this.before) {
        this.before[caller] += this.before[node];
        this.before[node] = 0;
      }
    }
    this.total = this.sums(this.own, hidden);
    this.totalBefore = this.before && this.sums(this.before, hidden);
    this.hidden = hidden;
    this.linkChildren();
  }

  sums(own, hidden) {
    const total = own.slice();
    for (let node = this.count - 1; node > 0; node--) if (!hidden[node]) total[this.up[node]] += total[node];
    return total;
  }

  linkChildren() {
    this.firstChild = new Int32Array(this.count);
    this.nextSibling = new Int32Array(this.count);
    for (let node = this.count - 1; node > 0; node--) {
      if (this.hidden[node] || !(this.total[node] || this.totalBefore?.[node])) continue;
      this.nextSibling[node] = this.firstChild[this.up[node]];
      this.firstChild[this.up[node]] = node;
    }
  }

  kind(node) {
    return this.profile.frameKind[this.profile.frame[node]];
  }

  // What a node weighs in a drawing: of two profiles, the mean.
  weight(node) {
    return this.totalBefore ? (this.total[node] + this.totalBefore[node]) / 2 : this.total[node];
  }

  // Calls `visit(node, outermost)` for every shown node, callers first; `outermost` says that
  // none of its callers has the same key. Keys are below `keys`.
  eachOutermost(key, keys, visit) {
    const inside = new Int32Array(keys);
    const path = [];
    for (let node = 1; node < this.count; node++) {
      if (this.hidden[node]) continue;
      while (path.length && path[path.length - 1] !== this.up[node]) inside[key[path.pop()]]--;
      visit(node, inside[key[node]] === 0);
      inside[key[node]]++;
      path.push(node);
    }
  }
}

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

  add(item, kind, parent, x, total, self, node, before) {
    this.item.push(item);
    this.kind.push(kind);
    this.parent.push(parent);
    this.x.push(x);
    this.total.push(total);
    this.self.push(self);
    this.node.push(node);
    this.before.push(before);
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

// The groups that one box' children make: by item, each with a list of entries.
class Groups {
  constructor(items) {
    this.stamp = new Int32Array(items + 1).fill(-1);
    this.slot = new Int32Array(items + 1);
    this.list = [];
  }

  start(round) {
    this.round = round;
    this.list = [];
  }

  get(item) {
    if (this.stamp[item] !== this.round) {
      this.stamp[item] = this.round;
      this.slot[item] = this.list.length;
      this.list.push({ item, total: 0, self: 0, before: 0, weight: 0, nodes: [], weights: null, afters: [] });
    }
    return this.list[this.slot[item]];
  }
}

// Heaviest first, or by name; equal ones as they came.
function sortGroups(list, items, byName) {
  if (list.length < 2) return list;
  if (byName) return list.sort((a, b) => (items.label(a.item) < items.label(b.item) ? -1 : 1));
  return list.sort((a, b) => b.weight - a.weight);
}

const kindSums = new Float64Array(KINDS_MOST);

// The kind that most of a group's time is in.
function mainKind(shown, nodes, weights) {
  if (nodes.length === 1) return shown.kind(nodes[0]);
  kindSums.fill(0);
  let best = shown.kind(nodes[0]);
  for (let at = 0; at < nodes.length; at++) {
    const kind = shown.kind(nodes[at]);
    kindSums[kind] += weights ? weights[at] : shown.weight(nodes[at]);
    if (kindSums[kind] > kindSums[best]) best = kind;
  }
  return best;
}

// Callees: the root, or the outermost nodes of one item, and below each box what it calls.
function modelDown(shown, items, { roots = [0], rootItem = -1, byName = false } = {}) {
  const model = new Model();
  const groups = new Groups(items.count);
  const sum = (values) => (values ? roots.reduce((all, node) => all + values[node], 0) : 0);
  const weight = roots.reduce((all, node) => all + shown.weight(node), 0);
  const kind = rootItem < 0 ? -1 : mainKind(shown, roots, null);
  model.add(rootItem, kind, 0, 0, weight, sum(shown.own), roots[0], sum(shown.totalBefore));
  model.after.push(sum(shown.total));
  let lists = [roots];
  for (let box = 0; box < model.count; box++) {
    if (box === model.rows[model.rows.length - 1]) model.rows.push(model.count);
    groups.start(box);
    for (const node of lists[box]) {
      for (let child = shown.firstChild[node]; child; child = shown.nextSibling[child]) {
        const group = groups.get(items.ofNode[child]);
        group.total += shown.total[child];
        group.self += shown.own[child];
        group.weight += shown.weight(child);
        if (shown.totalBefore) group.before += shown.totalBefore[child];
        group.nodes.push(child);
      }
    }
    lists[box] = null;
    model.children.push(model.count);
    let x = model.x[box];
    for (const group of sortGroups(groups.list, items, byName)) {
      model.add(
        group.item, mainKind(shown, group.nodes, null), box, x, group.weight, group.self, group.nodes[0], group.before,
      );
      model.after.push(group.total);
      lists.push(group.nodes);
      x += group.weight;
    }
  }
  return finish(model);
}

// Callers: below each box who called it. The root's entries are nodes with weights: all ends of
// stacks (then the first row groups them by item), or the outermost nodes of one item.
function modelUp(shown, items, { entries, rootItem = -1, byName = false }) {
  const model = new Model();
  const groups = new Groups(items.count);
  const place = new Int32Array(shown.count);
  const mark = new Int32Array(shown.count).fill(-1);
  const add = (all, weight) => all + weight;
  const total = entries.weights.reduce(add, 0);
  const after = entries.afters.reduce(add, 0);
  // What would be drawn thinner than a hair at any zoom that still has samples to show.
  const least = total / 50000;
  const kind = rootItem < 0 ? -1 : mainKind(shown, entries.nodes, entries.weights);
  model.add(rootItem, kind, 0, 0, total, 0, 0, 2 * total - after);
  model.after.push(after);
  const lists = [entries];
  for (let box = 0; box < model.count; box++) {
    if (box === model.rows[model.rows.length - 1]) model.rows.push(model.count);
    groups.start(box);
    const { nodes, weights, afters } = lists[box];
    lists[box] = null;
    for (let at = 0; at < nodes.length; at++) {
      const node = rootItem < 0 && box === 0 ? nodes[at] : shown.up[nodes[at]];
      if (node === 0) continue;
      const group = groups.get(items.ofNode[node]);
      group.weights ??= [];
      group.weight += weights[at];
      if (mark[node] !== box) {
        mark[node] = box;
        place[node] = group.nodes.length;
        group.nodes.push(node);
        group.weights.push(0);
        if (shown.before) group.afters.push(0);
      }
      group.weights[place[node]] += weights[at];
      if (!shown.before) continue;
      group.total += afters[at];
      group.afters[place[node]] += afters[at];
    }
    model.children.push(model.count);
    let x = model.x[box];
    for (const group of sortGroups(groups.list, items, byName)) {
      if (group.weight >= least) {
        const before = 2 * group.weight - group.total;
        model.add(
          group.item, mainKind(shown, group.nodes, group.weights), box, x, group.weight, 0, group.nodes[0], before,
        );
        model.after.push(group.total);
        lists.push(group);
      }
      x += group.weight;
    }
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
  model.add(-1, -1, 0, 0, to - from, 0, 0, 0);
  model.samples = [0];
  model.rows = [0, 1];
  const numbers = new Map();
  for (const column of columns) {
    for (const box of column) {
      numbers.set(box, model.count);
      const parent = box.parent ? numbers.get(box.parent) : 0;
      model.add(box.item, shown.kind(box.node), parent, box.start - from, box.end - box.start, 0, box.node, 0);
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

// Seconds that one sample stands for.
function samplePeriod(meta) {
  const { counts, pauses, rate } = meta;
  if (pauses?.observed && counts?.wanted) return pauses.observed / 1e9 / counts.wanted;
  return rate ? 1 / rate : 0;
}

// Every item's own and total counts (once a stack), its main kind and its outermost nodes' sums.
function itemStats(shown, items) {
  const self = new Float64Array(items.count);
  const total = new Float64Array(items.count);
  const selfBefore = new Float64Array(items.count);
  const totalBefore = new Float64Array(items.count);
  const kind = new Int8Array(items.count).fill(-1);
  const heaviest = new Float64Array(items.count);
  shown.eachOutermost(items.ofNode, items.count, (node, outermost) => {
    const item = items.ofNode[node];
    self[item] += shown.own[node];
    if (shown.before) selfBefore[item] += shown.before[node];
    if (!outermost) return;
    total[item] += shown.total[node];
    if (shown.before) totalBefore[item] += shown.totalBefore[node];
    if (kind[item] < 0 || shown.weight(node) > heaviest[item]) {
      heaviest[item] = shown.weight(node);
      kind[item] = shown.kind(node);
    }
  });
  return { self, total, selfBefore, totalBefore, kind };
}

// The nodes of an item that no other node of it calls.
function outermostNodes(shown, items, wanted) {
  const nodes = [];
  const weights = [];
  const afters = [];
  shown.eachOutermost(items.ofNode, items.count, (node, outermost) => {
    if (items.ofNode[node] !== wanted || !outermost || !shown.weight(node)) return;
    nodes.push(node);
    weights.push(shown.weight(node));
    if (shown.before) afters.push(shown.total[node]);
  });
  return { nodes, weights, afters };
}

// All ends of stacks.
function stackEnds(shown) {
  const nodes = [];
  const weights = [];
  const afters = [];
  for (let node = 1; node < shown.count; node++) {
    const weight = shown.before ? (shown.own[node] + shown.before[node]) / 2 : shown.own[node];
    if (!weight) continue;
    nodes.push(node);
    weights.push(weight);
    if (shown.before) afters.push(shown.own[node]);
  }
  return { nodes, weights, afters };
}

// Samples whose stack holds a matching item, each counted once.
function matchedTotal(shown, items, matches) {
  const covered = new Uint8Array(shown.count);
  let sum = 0;
  for (let node = 1; node < shown.count; node++) {
    if (shown.hidden[node]) continue;
    if (covered[shown.up[node]]) {
      covered[node] = 1;
    } else if (matches[items.ofNode[node]]) {
      covered[node] = 1;
      sum += shown.total[node];
    }
  }
  return sum;
}
