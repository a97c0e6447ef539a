// The page around the graph: head, keys, themes, readers, paper, files, and that a name stays text.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fixture, near, useBrowser } from "./browser.js";

const open = useBrowser();

test("the head says what was profiled and how it went", async () => {
  const page = await open("server.html");
  assert.equal(await page.text("#command"), "node /srv/shop/server.js");
  assert.equal(await page.text("#process"), "pid 4242");
  const facts = await page.texts("#facts .fact");
  assert.deepEqual(facts, [
    "Node 22.23.3", "V8 12.4.254.21-node.33", "web-07", "2026-09-21 14:13:20 UTC", "10.00 s at 99 Hz", "samples 990",
    "idle 985", "lost 5", "pause p50 11 µs, p99 38 µs, max 92 µs", "held 0.07 %", "JavaScript 64.6 %", "GC 8.1 %",
    "compile 8.1 %", "native 19.2 %",
  ]);
  assert.equal(await page.page.title(), "node /srv/shop/server.js · flame graph");
  await page.click("#remarks summary");
  assert.equal(await page.text("#remarks li"), "5 samples were lost: the thread could not be read in time");
  await page.close();
});

test("every control is in sight at 1280 by 800, and half the page is the graph", async () => {
  const page = await open("server.html");
  const sizes = await page.page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    graph: document.getElementById("graph").clientHeight,
    controls: [...document.querySelectorAll("button, select, input")]
      .filter((control) => control.checkVisibility())
      .map((control) => [control.id || control.textContent, control.getBoundingClientRect().right]),
  }));
  assert.ok(sizes.wide <= 1280);
  assert.ok(sizes.graph > 500, `${sizes.graph} px of graph`);
  for (const [name, right] of sizes.controls) assert.ok(right <= 1280, name);
  const small = await open("server.html", { viewport: { width: 900, height: 600 } });
  assert.ok((await small.page.evaluate(() => document.documentElement.scrollWidth)) <= 900);
  await small.shot("small-light");
  await small.close();
  await page.close();
});

test("? lists the keys, Esc closes the list", async () => {
  const page = await open("server.html");
  await page.press("?");
  assert.match(await page.text("#help"), /Keys \/ or Ctrl-F search/);
  await page.shot("keys-light");
  await page.press("Escape");
  assert.equal(await page.visible("#help"), false);
  for (const [key, view] of [["2", "bottom"], ["3", "sandwich"], ["4", "table"], ["5", "chart"], ["6", "tree"], ["1", "flame"]]) {
    await page.press(key);
    assert.equal(await page.page.getAttribute("#main", "data-view"), view);
  }
  await page.close();
});

test("a name stays text wherever it is shown", async () => {
  const page = await open("hostile.html");
  assert.equal(await page.text("#command"), "</title><script>window.hacked=1</script>\\x1b\ufffe");
  assert.equal(await page.page.title(), "</title><script>window.hacked=1</script>\\x1b\ufffe · flame graph");
  assert.match(await page.text("#facts"), /"><img src=x onerror=window\.hacked=1>/);
  for (let part = 0.05; part < 1; part += 0.1) {
    assert.notEqual(await page.hover(part, 1), "");
    await page.clickAt(part, 1);
    await page.press("0");
  }
  await page.view("table");
  const names = (await page.rows()).map((cells) => cells[0]);
  for (const name of ["</script><img src=x onerror=window.hacked=1>", "<!--<script>", "\\u2028\\u2029\\u202e", "line\\nbreak\\ttab\\x00nul", "back\\slash\\l", "😀 Größe 名前", "__proto__", "{{META}}"]) {
    assert.ok(names.some((shown) => shown.startsWith(`${name} /tmp/</script>.js:1`)), `${name} in ${names.join(" | ")}`);
  }
  await page.search("<script>");
  await page.view("sandwich");
  await page.view("bottom");
  const state = await page.page.evaluate(() => ({
    hacked: window.hacked,
    images: document.images.length,
    scripts: [...document.scripts].filter((script) => !script.type).length,
  }));
  assert.deepEqual(state, { hacked: undefined, images: 0, scripts: 1 });
  await page.shot("hostile-light");
  await page.close();
});

test("the page's policy stops any other script", async () => {
  const page = await open("server.html");
  const stopped = await page.page.evaluate(async () => {
    const seen = new Promise((done) => {
      addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
      setTimeout(() => done("nothing stopped"), 500);
    });
    const script = document.createElement("script");
    try {
      script.text = "window.hacked = 1";
      document.body.append(script);
    } catch {
      return "refused";
    }
    return seen;
  });
  assert.notEqual(stopped, "nothing stopped");
  assert.equal(await page.page.evaluate(() => window.hacked), undefined);
  page.page.problems.length = 0;
  await page.close();
});

test("labels are those of the folded text", async () => {
  for (const name of ["server", "hostile", "recursion"]) {
    const page = await open(`${name}.html`);
    await page.view("table");
    const titles = await page.page.locator("#table .row .cell.name").evaluateAll((cells) => cells.map((cell) => cell.title));
    const folded = readFileSync(fixture(`${name}.folded`), "utf8").trim().split("\n");
    const labels = new Set(folded.flatMap((line) => line.slice(0, line.lastIndexOf(" ")).split(";")));
    const asFolded = (label) => label.replaceAll(";", ":").replaceAll("->", "→");
    assert.deepEqual(titles.map(asFolded).sort(), [...labels].sort());
    await page.close();
  }
});

test("light and dark, as the system has it or as chosen", async () => {
  const page = await open("server.html", { scheme: "dark" });
  const ground = () => page.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const lightness = async () => Math.max(...(await ground()).match(/\d+/g).map(Number));
  assert.ok((await lightness()) < 60);
  await page.shows(0.2, 6, "optimized");
  const dark = await page.pixel(0.2, 6);
  await page.shot("flame-dark");
  await page.press("t");
  assert.ok((await lightness()) > 200);
  await page.shows(0.2, 6, "optimized");
  assert.ok((await page.pixel(0.2, 6))[1] > dark[1]);
  await page.press("t", "t");
  await page.does((tab) => tab.emulateMedia({ colorScheme: "light" }));
  assert.ok((await lightness()) > 200);
  await page.shows(0.2, 6, "optimized");
  await page.does((tab) => tab.emulateMedia({ colorScheme: "dark" }));
  for (const [view, name] of [["bottom", "bottom"], ["table", "table"], ["chart", "chart"]]) {
    await page.view(view);
    await page.shot(`${name}-dark`);
  }
  await page.click(".segments [data-view=flame]");
  await page.clickAt(0.6, 6);
  await page.view("sandwich");
  await page.shot("sandwich-dark");
  await page.close();
});

test("text on every kind's colour has a contrast of 4.5 or more, light and dark", async () => {
  for (const scheme of ["light", "dark"]) {
    const page = await open("server.html", { scheme });
    const kinds = JSON.parse(await page.page.locator("#meta").textContent()).kinds;
    const ink = await page.color("var(--ink)");
    for (const kind of [...kinds, "root"]) {
      const ratio = contrast(ink, await page.color(`var(--kind-${kind})`));
      assert.ok(ratio >= 4.5, `${kind}, ${scheme}: ${ratio.toFixed(2)}`);
    }
    for (const paint of ["var(--more)", "var(--less)", "var(--same)", "var(--hot)", "var(--cold)"]) {
      const ratio = contrast(ink, await page.color(paint));
      assert.ok(ratio >= 3.5, `${paint}, ${scheme}: ${ratio.toFixed(2)}`);
    }
    for (const ground of ["var(--ground)", "var(--panel)"]) {
      assert.ok(contrast(await page.color("var(--dim)"), await page.color(ground)) >= 4.5, `dim on ${ground}, ${scheme}`);
      assert.ok(contrast(await page.color("var(--accent)"), await page.color(ground)) >= 4.5, `accent on ${ground}, ${scheme}`);
    }
    await page.close();
  }
});

function contrast(one, other) {
  const luminance = (color) => {
    const [red, green, blue] = color.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

test("screen readers get the table, names for all controls, and what is selected", async () => {
  const page = await open("server.html");
  await page.view("table");
  const tree = await page.page.locator("#table").ariaSnapshot();
  assert.match(tree, /grid "Functions"/);
  assert.match(tree, /row "Shop\.render \/srv\/shop\/lib\/render\.js:12 JavaScript, optimized 18\.2 % 1\.82 s 180 40\.4 % 4\.04 s 400"/);
  assert.equal(await page.page.getAttribute("#table", "aria-rowcount"), "18");
  const nameless = await page.page.evaluate(() =>
    [...document.querySelectorAll("button, select, input, [tabindex='0']")]
      .filter((control) => control.checkVisibility() && !(control.textContent.trim() || control.ariaLabel || control.closest("label")))
      .map((control) => control.outerHTML));
  assert.deepEqual(nameless, []);
  await page.does((tab) => tab.locator("#table").focus());
  const active = () => page.page.evaluate(() => {
    const row = document.getElementById(document.getElementById("table").getAttribute("aria-activedescendant"));
    return row && [row.getAttribute("aria-selected"), row.textContent.slice(0, 11)];
  });
  assert.equal(await active(), null);
  await page.press("ArrowDown");
  assert.equal(await page.text("#live"), "Shop.render:/srv/shop/lib/render.js:12, total 40.4 %, 400 samples, self 18.2 %, 180 samples");
  assert.deepEqual(await active(), ["true", "Shop.render"]);
  await page.press("ArrowDown");
  assert.match(await page.text("#live"), /^(Pool\.query|sharpen):.*, self 12\.1 %, 120 samples$/);
  assert.notEqual((await active())[1], "Shop.render");
  await page.view("flame");
  await page.clickAt(0.2, 6);
  assert.match(await page.text("#live"), /, 40\.4 %, 4\.04 s, 400 samples, self 18\.2 %$/);
  await page.close();
});

test("the row that the keys are on is named to screen readers though it was not in sight before", async () => {
  const page = await open("wide20k.html", { hash: "#view=table" });
  await page.does((tab) => tab.locator("#table").focus());
  await page.press("End");
  const named = await page.page.evaluate(() => {
    const row = document.getElementById(document.getElementById("table").getAttribute("aria-activedescendant"));
    return row.classList.contains("selected") && row.getAttribute("aria-rowindex") === document.getElementById("table").getAttribute("aria-rowcount");
  });
  assert.ok(named);
  await page.close();
});

test("all of the page is reached by the keyboard alone", async () => {
  const page = await open("server.html");
  const reached = new Set();
  for (let step = 0; step < 60; step++) {
    await page.page.keyboard.press("Tab");
    reached.add(await page.page.evaluate(() => document.activeElement.id || document.activeElement.textContent));
  }
  for (const id of ["search", "svg", "coloring", "thread", "timeline", "graph", "Flame graph", "GC 8.1 %"]) {
    assert.ok(reached.has(id), `${id} of ${[...reached].join(", ")}`);
  }
  await page.close();
});

// What a PDF has on it: its text, its pages, and the picture of the first one as red, green and blue.
async function paper(page) {
  const directory = mkdtempSync(join(tmpdir(), "paper-"));
  let text, head, pixels;
  try {
    const file = join(directory, "page.pdf");
    writeFileSync(file, await page.page.pdf({ preferCSSPageSize: true }));
    text = execFileSync("pdftotext", ["-layout", file, "-"], { encoding: "utf8" });
    [head, pixels] = ppm(execFileSync("pdftoppm", ["-r", "72", "-l", "1", file], { maxBuffer: 1 << 28 }));
  } finally {
    rmSync(directory, { recursive: true });
  }
  const share = (red, green, blue) => {
    let count = 0;
    for (let at = 0; at < pixels.length; at += 3) {
      const far = Math.abs(pixels[at] - red) + Math.abs(pixels[at + 1] - green) + Math.abs(pixels[at + 2] - blue);
      if (far <= 12) count++;
    }
    return (count * 3) / pixels.length;
  };
  return { text: text.replace(/\u202f/g, " "), pages: text.split("\f").length - 1, share, size: head };
}

function ppm(bytes) {
  const head = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.subarray(0, 40).toString("latin1"));
  return [[Number(head[1]), Number(head[2])], bytes.subarray(head[0].length)];
}

test("it prints on white: head, legend and the drawing, without the controls", async () => {
  const page = await open("server.html", { scheme: "dark" });
  const dark = await page.color("var(--ground)");
  const { text, pages, share, size } = await paper(page);
  assert.ok(size[0] > size[1], "landscape");
  assert.equal(pages, 1);
  assert.match(text, /node \/srv\/shop\/server\.js\s+pid 4242/);
  assert.match(text, /10\.00 s at 99 Hz\s+samples 990/);
  assert.match(text, /GC 8\.1 %/);
  assert.doesNotMatch(text, /Save SVG|Bottom-up|Search|Icicle|JavaScript only/);
  assert.match(text, /Shop\.render render\.js:12\s+Pool\.query pool\.js:120\s+Compiler::Co…\s+handle layer\.js:86/, "the drawing's rows");
  assert.ok(share(255, 255, 255) > 0.4, `white: ${share(255, 255, 255)}`);
  assert.ok(share(...dark) < 0.01, "nothing of the dark ground");
  // Shop.render's box alone is 40 % of a row of the graph.
  assert.ok(share(88, 190, 123) > 0.004, `optimized functions: ${share(88, 190, 123)}`);
  await page.shows(0.2, 6, "optimized");
  assert.ok((await page.pixel(0.2, 6))[1] < 150, "dark again");

  await page.clickAt(0.6, 6);
  await page.view("sandwich");
  const sandwich = (await paper(page)).text;
  assert.match(sandwich, /node::Start[^]*handle[^]*Pool\.query[^]*self 12\.1 %, total 32\.3 %[^]*Pool\.query[^]*JsonParse/);
  await page.close();
});

test("a table is printed with all its rows, or with the first 500 and how many are left", async () => {
  const page = await open("server.html", { hash: "#view=table", viewport: { width: 1280, height: 400 } });
  const inSight = await page.page.locator("#table .row").evaluateAll((rows) =>
    rows.filter((row) => row.getBoundingClientRect().bottom < innerHeight).length);
  assert.ok(inSight < 9, "most rows are below the window's edge");
  const { text } = await paper(page);
  assert.match(text, /Shop\.render \/srv\/shop\/lib\/render\.js:12\s+JavaScript, optimized\s+18\.2 %\s+1\.82 s\s+180\s+40\.4 %/);
  const names = [
    "Shop.render", "sharpen", "Pool.query", "Heap::Scavenge", "__memmove_avx_unaligned_erms", "JsonParse", "Compiler::Compile",
    "uv_run", "escapeHtml", "(anonymous)", "Runtime_GetProperty", "[regexp]", "node::Start", "node::InternalCallbackScope::Close",
    "processTicksAndRejections", "handle", "ArrayMap",
  ];
  assert.deepEqual(names.filter((name) => !text.includes(`  ${name} `)), []);
  assert.doesNotMatch(text, /not printed/);
  await page.close();

  const wide = await open("wide20k.html", { hash: "#view=table" });
  const functions = Number(await wide.page.getAttribute("#table", "aria-rowcount")) - 1;
  const before = (await wide.rows()).length;
  const long = await paper(wide);
  assert.ok(long.pages > 5, `${long.pages} pages`);
  assert.equal(new Set(long.text.match(/\bfunction\d+\b/g)).size, 500);
  assert.match(long.text, new RegExp(`${functions - 500} more rows are not printed`));
  assert.equal((await wide.rows()).length, before, "only rows in sight are elements again");
  assert.equal(await wide.visible("#table .rest"), false);
  await wide.close();
});

// The boxes of the file that Save SVG gives, as a browser shows it.
async function savedSvg(page, shot) {
  const [saved] = await Promise.all([page.page.waitForEvent("download"), page.page.click("#svg")]);
  const text = readFileSync(await saved.path(), "utf8");
  assert.doesNotMatch(text, /href|script>/);
  const file = `${await saved.path()}.svg`;
  writeFileSync(file, text);
  const viewer = await page.page.context().newPage();
  await viewer.goto(`file://${file}`);
  const wrong = await viewer.evaluate(() => document.querySelector("parsererror")?.textContent);
  assert.equal(wrong, undefined, "it is well-formed XML");
  const boxes = await viewer.evaluate(() =>
    [...document.querySelectorAll("g")].map((box) => {
      const { top, width } = box.querySelector("rect").getBoundingClientRect();
      const fill = getComputedStyle(box.querySelector("rect")).fill;
      return { name: box.querySelector("text")?.textContent, title: box.querySelector("title").textContent, top, width, fill };
    }));
  const captions = await viewer.evaluate(() => [...document.querySelectorAll("svg > text")].map((text) => [text.textContent, text.getBoundingClientRect().top]));
  if (process.env.SHOTS && shot) await viewer.screenshot({ path: `${process.env.SHOTS}/${shot}.png` });
  await viewer.close();
  return { name: saved.suggestedFilename(), text, boxes, captions, box: (name) => boxes.find((box) => box.name?.startsWith(name)) };
}

test("Save SVG gives a file that stands alone and shows the same", async () => {
  const page = await open("server.html");
  await page.clickAt(0.2, 6);
  const { name, text, box } = await savedSvg(page, "saved-svg");
  assert.equal(name, "node-srv-shop-server.js-4242.svg");
  assert.match(text, /<title>Shop\.render:\/srv\/shop\/lib\/render\.js:12, JavaScript, optimized, 40\.4 %/);
  const width = await page.page.locator("#graph .scroller").evaluate((scroller) => scroller.clientWidth);
  const render = box("Shop.render");
  assert.deepEqual([render.name, Math.round(render.width), render.fill], ["Shop.render", width - 1, "rgb(88, 190, 123)"]);
  assert.equal(Math.round(box("escapeHtml").width), Math.round((60 / 400) * width) - 1);
  assert.ok(box("escapeHtml").top < render.top, "callees above their callers");
  await page.press("i");
  const icicle = await savedSvg(page);
  assert.ok(icicle.box("escapeHtml").top > icicle.box("Shop.render").top, "and below them in an icicle");
  await page.close();

  const plain = await open("hostile.html");
  assert.doesNotMatch((await savedSvg(plain)).text, /<img|<script/);
  await plain.close();
});

test("Save SVG of a sandwich has its callers and its callees", async () => {
  const page = await open("server.html");
  await page.clickAt(0.6, 6);
  await page.view("sandwich");
  const { boxes, box, captions } = await savedSvg(page, "saved-sandwich");
  assert.deepEqual(captions.map(([text]) => text), [
    "node /srv/shop/server.js: callers of Pool.query:/srv/shop/node_modules/pg/lib/pool.js:120",
    "node /srv/shop/server.js: callees of Pool.query:/srv/shop/node_modules/pg/lib/pool.js:120",
  ]);
  const halves = boxes.filter(({ name }) => name?.startsWith("Pool.query"));
  assert.equal(halves.length, 2);
  assert.ok(box("node::Start").top < box("handle").top && box("handle").top < halves[0].top);
  assert.ok(captions[1][1] > halves[0].top && captions[1][1] < halves[1].top, "a caption between them");
  assert.ok(box("JsonParse").top > halves[1].top);
  await page.close();
});

test("a table has no SVG to save, and the button says so", async () => {
  const page = await open("server.html");
  assert.equal(await page.page.isDisabled("#svg"), false);
  await page.view("table");
  assert.equal(await page.page.isDisabled("#svg"), true);
  assert.match(await page.page.getAttribute("#svg", "title"), /^Rows are no drawing; Print/);
  await page.view("flame");
  assert.match(await page.page.getAttribute("#svg", "title"), /^Save what is shown/);
  await page.close();
});

test("a difference: what grew is red, what shrank is blue, sorted by change", async () => {
  const page = await open("diff.html");
  assert.equal(await page.text("#command"), "monday.folded → tuesday.folded");
  assert.match(await page.text("#facts"), /before monday\.folded \(990 samples\) after tuesday\.folded \(535 samples\)/);
  await page.search("JsonParse");
  await page.press("Enter");
  assert.match(await page.text("#live"), /^JsonParse:\[builtin\], −8\.1 %/);
  assert.match(await page.text("#details"), /Self 8\.1 % 0 % −8\.1 % 80 0 samples/);
  await page.shot("diff-light");
  await page.search("");
  await page.click("#details .close");
  const colors = await page.page.locator("#graph canvas").first().evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let red = 0;
    let blue = 0;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at] > 200 && data[at + 2] < 100) red++;
      if (data[at] < 100 && data[at + 2] > 200) blue++;
    }
    return { red, blue };
  });
  assert.ok(colors.red > 200 && colors.blue > 600, JSON.stringify(colors));
  await page.view("table");
  const rows = await page.rows();
  assert.deepEqual(rows[0], ["JsonParse", "8.1 %", "0 %", "−8.1 %", "−8.1 %"]);
  assert.deepEqual(rows[1].slice(1), ["32.3 %", "37.4 %", "+5.1 %", "+10.3 %"]);
  assert.match(rows[2][0], /^Cache\.fill \/srv\/shop\/lib\/cache\.js:7/);
  await page.shot("diff-table-light");
  await page.view("sandwich");
  await page.view("bottom");
  await page.close();
});

test("after a removal each profile of a difference is measured by what is left of it", async () => {
  const page = await open("diff.html");
  await page.search("Shop.render");
  await page.press("Enter");
  await page.click("#details .actions button:has-text('Remove')");
  await page.search("Pool.query");
  await page.press("Enter");
  assert.match(await page.text("#details"), /Self 20\.3 % 35\.8 % \+15\.5 % 120 120 samples Total 54\.2 % 59\.7 % \+5\.5 % 320 200 samples/);
  await page.search("");
  await page.view("tree");
  assert.deepEqual((await page.rows("#tree"))[0].slice(1), ["100 %", "100 %", "±0.0 %"]);
  await page.click("#putback");
  assert.deepEqual((await page.rows("#tree")).find(([name]) => name.includes("Shop.render")).slice(1), ["40.4 %", "37.4 %", "−3.0 %"]);
  await page.close();
});

test("stacks that perf's collapser made are compared: names with blanks, kernel frames, unknown ones", async () => {
  const page = await open("perf.html");
  assert.match(await page.text("#facts"), /before before\.perf \(100 samples\) after after\.perf \(200 samples\)/);
  assert.equal(await page.visible("#remarks"), false, "every line is understood");
  await page.view("table");
  const rows = new Map((await page.rows()).map(([name, ...shares]) => [name, shares]));
  assert.deepEqual(rows.get("do_syscall_64"), ["40.0 %", "20.0 %", "−20.0 %", "±0.0 %"]);
  assert.deepEqual(rows.get("operator new(unsigned long)"), ["10.0 %", "35.0 %", "+25.0 %", "+25.0 %"]);
  assert.deepEqual(rows.get("[unknown]"), ["10.0 %", "5.0 %", "−5.0 %", "−5.0 %"]);
  assert.deepEqual([...rows.keys()].filter((name) => /_\[/.test(name)), [], "marks are no part of a name");
  // Both tiers of it are the one function, by its own name and place.
  assert.deepEqual(rows.get("handle request /srv/app.js:12"), ["90.0 %", "95.0 %", "+5.0 %", "±0.0 %"]);
  await page.view("flame");
  assert.match(await page.hover(0.5, 1), /^node Before 100 % 100 samples After 100 % 200 samples/);
  await page.shot("diff-perf-light");
  await page.close();
});

test("a fullraw file is compared as the folded one of the same stacks is", async () => {
  const [folded, fullraw] = [await open("diff.html"), await open("fullraw.html")];
  const facts = await fullraw.text("#facts");
  assert.match(facts, /before monday\.fullraw \(990 samples\) after tuesday\.folded \(535 samples\)/);
  for (const page of [folded, fullraw]) await page.view("table");
  assert.deepEqual(await fullraw.rows(), await folded.rows());
  for (const page of [folded, fullraw]) await page.view("flame");
  assert.equal(await fullraw.picture(), await folded.picture());
  await folded.close();
  await fullraw.close();
});
