// Files read by other tools' readers give back the profile they were made from.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import Ajv from "ajv";
import { Profile } from "pprof-format";

const require = createRequire(import.meta.url);
const NAMES = ["server", "hostile", "recursion", "deep", "empty", "wide20k"];
const fixture = (name) => join(process.env.FIXTURES, name);
const read = (name) => readFileSync(fixture(name), "utf8");

// Stacks, root first, with their counts, as the folded text has them.
function folded(name) {
  const stacks = new Map();
  for (const line of read(`${name}.folded`).split("\n").filter(Boolean)) {
    const at = line.lastIndexOf(" ");
    stacks.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return stacks;
}

const total = (stacks) => [...stacks.values()].reduce((all, count) => all + count, 0);
const asFolded = (label) => label.replaceAll(";", ":").replaceAll("->", "→");

function add(stacks, labels, count) {
  const stack = labels.map(asFolded).join(";");
  if (count) stacks.set(stack, (stacks.get(stack) ?? 0) + count);
}

// Control characters as labels have them.
const escaped = (text) =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (char) => {
    const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[char];
    const code = char.charCodeAt(0).toString(16);
    return short ?? (code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`);
  });

test("speedscope's schema accepts every file", () => {
  const schema = JSON.parse(readFileSync(require.resolve("speedscope/dist/release/file-format-schema.json"), "utf8"));
  const validate = new Ajv({ strict: false }).compile(schema);
  for (const name of NAMES) {
    assert.ok(validate(JSON.parse(read(`${name}.speedscope`))), `${name}: ${JSON.stringify(validate.errors)}`);
  }
});

test("speedscope files hold every stack with its samples", () => {
  for (const name of NAMES) {
    const file = JSON.parse(read(`${name}.speedscope`));
    const labels = file.shared.frames.map((frame) =>
      escaped(frame.file === undefined ? frame.name : `${frame.name}:${frame.file}:${frame.line}`));
    const stacks = new Map();
    for (const profile of file.profiles) {
      assert.equal(profile.samples.length, profile.weights.length);
      assert.equal(profile.weights.reduce((all, weight) => all + weight, 0), profile.endValue);
      for (const sample of profile.samples.filter((sample) => sample.length)) add(stacks, sample.map((frame) => labels[frame]), 1);
    }
    assert.deepEqual(sorted(stacks), sorted(folded(name)), name);
  }
  const { profiles } = JSON.parse(read("server.speedscope"));
  assert.deepEqual(profiles.map((profile) => profile.name), ["main (100)", "worker 1 (4250)"]);
});

const sorted = (stacks) => [...stacks].sort(([one], [other]) => (one < other ? -1 : 1));

test("cpuprofile files hold every stack with its samples, ticks and times", () => {
  for (const name of NAMES) {
    const file = JSON.parse(read(`${name}.cpuprofile`));
    const byId = new Map(file.nodes.map((node) => [node.id, node]));
    const parents = new Map(file.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
    const label = ({ callFrame: { functionName, url, lineNumber } }) => {
      if (!url) return escaped(functionName);
      const path = url.startsWith("file://") ? decodeURIComponent(url.slice(7)) : url;
      return escaped(`${functionName || "(anonymous)"}:${path}:${lineNumber + 1}`);
    };
    const labels = new Map(file.nodes.map((node) => [node.id, label(node)]));
    const stackOf = (id) => {
      const stack = [];
      for (let at = id; parents.has(at); at = parents.get(at)) stack.unshift(labels.get(at));
      return stack;
    };
    const [hits, samples] = [new Map(), new Map()];
    for (const node of file.nodes) {
      if (labels.get(node.id) === "(idle)") continue;
      add(hits, node.hitCount ? stackOf(node.id) : [], node.hitCount);
      const ticks = (node.positionTicks ?? []).reduce((all, { ticks }) => all + ticks, 0);
      assert.ok(ticks <= node.hitCount, "no more ticks than hits");
    }
    if (name !== "deep") {
      for (const id of file.samples) if (labels.get(id) !== "(idle)") add(samples, stackOf(id), 1);
      assert.deepEqual(sorted(samples), sorted(folded(name)), name);
    }
    assert.deepEqual(sorted(hits), sorted(folded(name)), name);
    assert.equal(file.samples.length, file.timeDeltas.length);
    assert.ok(file.samples.every((id) => byId.has(id)));
    const length = file.timeDeltas.reduce((all, delta) => all + delta, 0);
    assert.ok(length <= file.endTime - file.startTime, `${length}`);
  }
  const { nodes, startTime, endTime } = JSON.parse(read("server.cpuprofile"));
  // DevTools parts the whole time by hits, those of (idle) included.
  const hits = nodes.reduce((all, node) => all + node.hitCount, 0);
  const perHit = (endTime - startTime) / hits;
  assert.ok(Math.abs(perHit - 20e6 / 1980) < 20, `${perHit} microseconds a hit`);
  const render = nodes.find((node) => node.callFrame.functionName === "Shop.render");
  assert.deepEqual(render.positionTicks, [{ line: 18, ticks: 30 }, { line: 31, ticks: 150 }]);
});

test("pprof files read by pprof-format hold every stack, its thread, lines and time", () => {
  for (const name of NAMES) {
    const profile = Profile.decode(gunzipSync(readFileSync(fixture(`${name}.pprof`))));
    const string = (index) => profile.stringTable.strings[Number(index)];
    const functions = new Map(profile.function.map((entry) => [Number(entry.id), entry]));
    const locations = new Map(profile.location.map((entry) => [Number(entry.id), entry]));
    const mappings = new Set(profile.mapping.map((entry) => Number(entry.id)));
    assert.deepEqual(profile.sampleType.map((type) => [string(type.type), string(type.unit)]), [["samples", "count"], ["cpu", "nanoseconds"]]);
    const stacks = new Map();
    for (const sample of profile.sample) {
      const frames = sample.locationId.map((id) => {
        const location = locations.get(Number(id));
        assert.ok(mappings.has(Number(location.mappingId)));
        return string(functions.get(Number(location.line[0].functionId)).systemName);
      });
      add(stacks, frames.reverse(), Number(sample.value[0]));
      assert.equal(Number(sample.value[1]), Number(sample.value[0]) * Number(profile.period));
    }
    assert.deepEqual(sorted(stacks), sorted(folded(name)), name);
  }
  const profile = Profile.decode(gunzipSync(readFileSync(fixture("server.pprof"))));
  const string = (index) => profile.stringTable.strings[Number(index)];
  const render = profile.function.find((entry) => string(entry.name) === "Shop.render");
  assert.equal(string(render.filename), "/srv/shop/lib/render.js");
  assert.equal(Number(render.startLine), 12);
  const lines = profile.location.flatMap((entry) => entry.line).filter((line) => line.functionId === render.id);
  assert.deepEqual(lines.map((line) => Number(line.line)).sort(), [18, 31]);
  const threads = new Set(profile.sample.flatMap((sample) => sample.label).map((label) => string(label.str)).filter(Boolean));
  assert.deepEqual([...threads].sort(), ["main", "worker 1"]);
});

test("pprof files read by the official profile.proto are valid and say the same", () => {
  const { perftools } = require("pprof/proto/profile.js");
  for (const name of NAMES) {
    const bytes = gunzipSync(readFileSync(fixture(`${name}.pprof`)));
    const official = perftools.profiles.Profile.decode(bytes);
    assert.equal(perftools.profiles.Profile.verify(official), null, name);
    const counted = official.sample.reduce((all, sample) => all + Number(sample.value[0]), 0);
    assert.equal(counted, total(folded(name)), name);
    assert.deepEqual(official.stringTable, Profile.decode(bytes).stringTable.strings, name);
    const ids = new Set(official.location.map((location) => Number(location.id)));
    assert.ok(official.sample.every((sample) => sample.locationId.every((id) => ids.has(Number(id)))), name);
  }
});

test("text and raw count as many samples as folded", () => {
  for (const name of NAMES.filter((name) => name !== "deep")) {
    const [first, ...lines] = read(`${name}.text`).split("\n");
    const count = Number(first.replace("Total samples: ", ""));
    assert.equal(count, total(folded(name)));
    const roots = lines.slice(0, lines.includes("") ? lines.indexOf("") : lines.length).filter((line) => /^\d/.test(line));
    assert.equal(roots.reduce((all, line) => all + Number.parseInt(line, 10), 0), count);
    const counts = read(`${name}.raw`).split("\n").slice(3).filter((line) => /^\d+$/.test(line));
    assert.equal(counts.reduce((all, line) => all + Number(line), 0), count);
  }
});

const perl = (script, file) =>
  execFileSync("perl", [join(process.env.FLAMEGRAPH, script), file], { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });

test("FlameGraph's flamegraph.pl draws every folded stack", () => {
  for (const name of NAMES.filter((name) => name !== "empty")) {
    const svg = perl("flamegraph.pl", fixture(`${name}.folded`));
    const whole = total(folded(name)).toLocaleString("en-US");
    assert.match(svg, new RegExp(`all \\(${whole} samples, 100%\\)`), name);
  }
  const svg = perl("flamegraph.pl", fixture("server.folded"));
  assert.match(svg, /Shop\.render:\/srv\/shop\/lib\/render\.js:12 \(400 samples, 40\.40%\)/);
  assert.match(svg, /node::Start\(int, char\*\*\):\[native\] \(800 samples, 80\.81%\)/);
});

const collapse = existsSync(join(process.env.FLAMEGRAPH, "stackcollapse.pl"));

test("FlameGraph's stackcollapse.pl makes of raw and fullraw what folded has", (context) => {
  if (!collapse) {
    context.diagnostic("stackcollapse.pl itself has read nothing, since no package has it; with FLAMEGRAPH it would");
    context.skip("the model of its rules in render/src/stacks/tests.rs has read raw and fullraw");
    return;
  }
  for (const name of NAMES) {
    const collapsed = perl("stackcollapse.pl", fixture(`${name}.fullraw`)).split("\n").filter(Boolean);
    const expected = read(`${name}.folded`).split("\n").filter(Boolean);
    assert.deepEqual(collapsed.sort(), expected.sort(), name);
    const base = perl("stackcollapse.pl", fixture(`${name}.raw`)).split("\n").filter(Boolean);
    assert.equal(base.reduce((all, line) => all + Number(line.match(/ (\d+)$/)[1]), 0), total(folded(name)), name);
  }
});
