// The profile's nodes as a view wants them, and sums over them. Nothing here recurses: stacks may
// be 12,288 deep.

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

// The nodes that are shown: those whose frame is switched off are left out, and what they counted is
// their caller's. Stacks that hold a removed item are left out whole.
class Shown {
  constructor(profile, own, off, items, removed) {
    const { nodes, parent, frame } = profile;
    this.profile = profile;
    this.count = nodes;
    this.up = new Int32Array(nodes);
    this.own = own.slice();
    this.before = profile.before ? profile.before.slice() : null;
    if (removed.size) this.removeStacks(items, removed);
    // What frames that are switched off counted themselves, too.
    this.left = this.own.slice();
    if (this.before) this.scaleBefore();
    const hidden = new Uint8Array(nodes);
    for (let node = 1; node < nodes; node++) {
      const caller = hidden[parent[node]] ? this.up[parent[node]] : parent[node];
      this.up[node] = caller;
      if (!off[frame[node]]) continue;
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

  removeStacks(items, removed) {
    const gone = new Uint8Array(this.count);
    for (let node = 1; node < this.count; node++) {
      if (!gone[this.profile.parent[node]] && !removed.has(items.ofNode[node])) continue;
      gone[node] = 1;
      this.own[node] = 0;
      if (this.before) this.before[node] = 0;
    }
  }

  // Counts of the profile before are scaled to the total of the one after, both without what is removed.
  scaleBefore() {
    const [before, after] = [this.before, this.own].map((counts) => counts.reduce((all, count) => all + count, 0));
    this.scale = before && after ? after / before : 1;
    this.before = this.before.map((count) => count * this.scale);
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
