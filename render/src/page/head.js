// The head of the page: what was profiled, how it went, and which keys there are.

function fact(name, value, title) {
  if (value === "" || value === null || value === undefined) return null;
  const words = name ? [make("span", { className: "dim", textContent: `${name} ` }), value] : [value];
  return make("span", { className: "fact", title: title ?? "" }, ...words);
}

function showHead(meta, total) {
  byId("command").textContent = meta.command || "profile";
  document.title = `${meta.command || "profile"} · flame graph`;
  if (meta.diff) return showDiffHead(meta);
  byId("process").textContent = `pid ${meta.pid}`;
  if (meta.ended) byId("ended").textContent = `the process ${meta.ended}`;
  const { counts, pauses } = meta;
  const held = pauses.observed ? pauses.total / pauses.observed : 0;
  const pause = pauses.max
    ? `p50 ${formatPause(pauses.p50)}, p99 ${formatPause(pauses.p99)}, max ${formatPause(pauses.max)}`
    : "";
  const facts = [
    fact("Node", meta.node, "Node.js version"),
    fact("V8", meta.v8, "V8 version"),
    fact("", meta.host, "Host"),
    fact("", meta.started ? new Date(meta.started * 1000).toISOString().slice(0, 19).replace("T", " ") + " UTC" : "", "Start"),
    fact("", meta.duration ? `${formatTime(meta.duration / 1e6)} at ${meta.rate} Hz${meta.wall ? ", waiting too" : ""}` : "", "Duration and rate"),
    fact("samples", formatCount(total)),
    fact("idle", formatCount(counts.idle), "Ticks that found a thread not running"),
    fact("lost", formatCount(counts.lost), "Ticks whose sample could not be read"),
    fact("pause", pause, "How long a thread was held for a sample"),
    fact("held", pause ? formatShare(held, 1) : "", "Share of time that threads were held"),
  ];
  byId("remarks").before(...facts.filter(Boolean));
  showRemarks(meta.remarks);
}

function showDiffHead(meta) {
  byId("process").textContent = "difference of two profiles";
  byId("remarks").before(
    fact("before", `${meta.diff.before} (${formatCount(meta.diff.samples[0])} samples)`),
    fact("after", `${meta.diff.after} (${formatCount(meta.diff.samples[1])} samples)`),
    fact("", "shares are of each profile's own total"),
  );
  showRemarks(meta.remarks);
}

function showRemarks(remarks) {
  if (!remarks?.length) return;
  const box = byId("remarks");
  box.hidden = false;
  box.querySelector("summary").textContent = remarks.length === 1 ? "1 remark" : `${remarks.length} remarks`;
  box.querySelector("ul").append(...remarks.map((textContent) => make("li", { textContent })));
}

const KEYS = [
  ["/ or Ctrl-F", "search"],
  ["Enter, Shift-Enter in the search; n, N", "next, previous match"],
  ["Click, Enter", "zoom to a frame"],
  ["Shift-click", "select a frame without zooming"],
  ["Esc, the browser's Back", "one step back"],
  ["0 or Home", "whole graph"],
  ["Arrows", "move between frames: caller, callee, neighbours"],
  ["1 to 6", "flame graph, bottom-up, sandwich, functions, over time, tree"],
  ["→ and ← in the tree", "unfold, fold"],
  ["i", "flame or icicle"],
  ["c", "next colouring"],
  ["Ctrl-wheel, + and −", "zoom freely"],
  ["Drag, Shift-wheel", "move the graph"],
  ["Alt-click", "leave out all stacks with that function"],
  ["Drag on the time strip", "show that range; double-click: the whole run"],
  ["t", "light, dark, or as the system has it"],
  ["s", "save what is shown as SVG"],
  ["?", "this list"],
];

function showKeys() {
  const dialog = byId("help");
  const close = make("button", { textContent: "Close" });
  close.addEventListener("click", () => dialog.close());
  const rows = KEYS.map(([key, action]) => make("tr", {}, make("th", { textContent: key }), make("td", { textContent: action })));
  dialog.replaceChildren(make("h2", { textContent: "Keys" }), make("table", {}, ...rows), close);
  dialog.showModal();
}
