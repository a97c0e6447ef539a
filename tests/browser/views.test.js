// Bottom-up, sandwich, the table, colours and the legend, details, threads and time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { near, useBrowser } from "./browser.js";

const open = useBrowser();

test("bottom-up: hot functions first, and above each who called it", async () => {
  const page = await open("server.html");
  await page.view("bottom");
  await page.shows(0.1, 1, "optimized");
  assert.match(await page.hover(0.1, 1), /^Shop\.render.*Here 18\.2 % 1\.82 s 180 samples/);
  assert.match(await page.hover(0.1, 2), /^handle .*This way 18\.2 %/);
  assert.match(await page.hover(0.1, 6), /^node::Start/);
  await page.clickAt(0.1, 1);
  await page.shows(0.98, 2, "maglev");
  await page.shot("bottom-light");
  await page.close();
});

test("bottom-up counts what a recursive function called once", async () => {
  const page = await open("recursion.html");
  await page.view("bottom");
  assert.match(await page.hover(0.3, 1), /^walk .*Here 60\.0 %/);
  assert.match(await page.hover(0.1, 2), /^(walk|main) .*This way 30\.0 %/);
  await page.close();
});

test("sandwich: callers above and callees below the selected function", async () => {
  const page = await open("server.html");
  await page.clickAt(0.6, 6);
  await page.view("sandwich");
  assert.match(await page.text("#middle"), /^Pool\.query pool\.js:120 self 12\.1 %, total 32\.3 %/);
  await page.shows(0.5, 0, "baseline", { graph: "callers" });
  assert.match(await page.hover(0.5, 1, { graph: "callers" }), /^handle/);
  assert.match(await page.hover(0.5, 5, { graph: "callers" }), /^node::Start/);
  await page.shows(0.5, 0, "baseline");
  const callees = [await page.hover(0.1, 1), await page.hover(0.3, 1), await page.hover(0.55, 1)];
  assert.ok(callees.some((tip) => /Heap::Scavenge/.test(tip)), `${callees}`);
  assert.ok(callees.some((tip) => /^JsonParse V8 builtin Total 8\.1 %/.test(tip)), `${callees}`);
  const cut = await page.page.locator("#table .row:has-text('InternalCallbackScope') .name span").last().evaluate((span) =>
    [span.textContent, span.parentElement.clientWidth - span.offsetLeft - span.offsetWidth < 12]);
  assert.deepEqual(cut, ["node::InternalCallbackScope::Close", true], "a name has the room of a place that it has not");
  await page.shot("sandwich-light");

  await page.does((tab) => tab.click(".row:has-text('JsonParse')"));
  assert.match(await page.text("#middle"), /^JsonParse/);
  assert.match(await page.hover(0.5, 1, { graph: "callers" }), /^Pool\.query/);
  await page.close();
});

test("a sandwich of a recursive function has its total once", async () => {
  const page = await open("recursion.html");
  await page.clickAt(0.1, 2);
  await page.view("sandwich");
  assert.match(await page.text("#middle"), /^walk tree\.js:5 self 60\.0 %, total 60\.0 %/);
  assert.match(await page.hover(0.5, 0), /Total 60\.0 %/);
  assert.match(await page.hover(0.5, 1, { graph: "callers" }), /^main .*This way 60\.0 %/);
  await page.close();
});

test("the table sorts by every column, both ways", async () => {
  const page = await open("server.html");
  await page.view("table");
  const names = async () => (await page.rows()).map((cells) => cells[0].split(" ")[0]);
  const share = (text) => Number.parseFloat(text);
  assert.equal((await names())[0], "Shop.render");
  assert.deepEqual((await page.row("Shop.render")).slice(1), ["JavaScript, optimized", "18.2 %", "1.82 s", "180", "40.4 %", "4.04 s", "400"]);
  const column = async (at) => (await page.rows()).map((cells) => share(cells[at]));
  const self = await column(2);
  assert.deepEqual(self, [...self].sort((a, b) => b - a));
  await page.click(".tablehead button:has-text('Total')");
  const total = await column(5);
  assert.deepEqual(total, [...total].sort((a, b) => b - a));
  assert.equal(await page.page.getAttribute("[role=columnheader]:has-text('Total')", "aria-sort"), "descending");
  await page.click(".tablehead button:has-text('Total')");
  assert.deepEqual(await column(5), [...total].sort((a, b) => a - b));
  await page.click(".tablehead button:has-text('Function')");
  const sorted = (await names()).map((name) => name.toLowerCase());
  assert.deepEqual(sorted, [...sorted].sort());
  await page.click(".tablehead button:has-text('Kind')");
  assert.equal((await page.rows())[0][1], "C library, kernel's edge");
  await page.shot("table-light");
  await page.close();
});

test("where a path does not fit, its file and line stay in sight", async () => {
  const page = await open("server.html", { hash: "#view=table", viewport: { width: 460, height: 800 } });
  const place = page.page.locator("#table .row:has-text('handle') .place");
  const [start, end] = await place.evaluate((place) => {
    const area = place.getBoundingClientRect();
    const text = place.querySelector("bdi").firstChild;
    const inSight = (from, to) => {
      const range = document.createRange();
      range.setStart(text, from);
      range.setEnd(text, to);
      const part = range.getBoundingClientRect();
      return part.left >= area.left && part.right <= area.right + 1;
    };
    return [inSight(0, 4), inSight(text.length - 11, text.length)];
  });
  assert.deepEqual([start, end], [false, true], "layer.js:86, not /srv");
  await page.close();
});

test("the table's totals count a recursive function once a stack", async () => {
  const page = await open("recursion.html");
  await page.view("table");
  assert.deepEqual((await page.row("walk")).slice(2), ["60.0 %", "600 ms", "60", "60.0 %", "600 ms", "60"]);
  assert.deepEqual((await page.row("main")).slice(2, 3), ["10.0 %"]);
  await page.close();
});

test("search filters the table and marks what matched; a row selects, and opens a sandwich", async () => {
  const page = await open("server.html");
  await page.view("table");
  await page.search("shop/lib");
  assert.deepEqual((await page.rows()).map((cells) => cells[0].split(" ")[0]), ["Shop.render", "(anonymous)"]);
  assert.equal(await page.page.locator("#table mark").first().innerText(), "shop/lib");
  await page.click(".row:nth-child(2)");
  assert.match(await page.text("#details"), /\(anonymous\) \/srv\/shop\/lib\/render\.js:33/);
  await page.search("");
  assert.match(await page.text(".row.selected"), /^\(anonymous\)/);
  await page.does((tab) => tab.dblclick(".row:has-text('ArrayMap')"));
  assert.equal(await page.page.getAttribute("#main", "data-view"), "sandwich");
  assert.match(await page.text("#middle"), /^ArrayMap/);
  await page.close();
});

test("the keys of the table", async () => {
  const page = await open("server.html");
  await page.view("table");
  await page.does((tab) => tab.locator("#table").focus());
  await page.press("ArrowDown", "ArrowDown");
  assert.match(await page.text("#details h2"), /sharpen|Pool\.query/);
  await page.press("Enter");
  assert.equal(await page.page.getAttribute("#main", "data-view"), "sandwich");
  await page.close();
});

test("a kind that is switched off gives its time to its callers", async () => {
  const page = await open("server.html");
  await page.view("table");
  assert.equal((await page.row("Pool.query"))[2], "12.1 %");
  await page.click("[data-kind=gc]");
  assert.equal((await page.row("Pool.query"))[2], "20.2 %");
  assert.equal(await page.row("Heap::Scavenge"), undefined);
  assert.equal(await page.page.getAttribute("[data-kind=gc]", "aria-pressed"), "false");
  await page.click("[data-kind=native]");
  await page.view("flame");
  await page.shows(0.4, 1, "interpreted");
  await page.shows(0.85, 1, "wasm");
  near(await page.pixel(0.97, 1), [0, 0, 0], "what was native alone is the root's own");
  assert.match(await page.text("[data-kind=gc]"), /GC 8\.1 %/);
  await page.shot("kinds-off-light");
  await page.click("[data-kind=native]");
  await page.click("[data-kind=gc]");
  await page.shows(0.4, 1, "native");
  await page.close();
});

test("each kind can be switched off: its frames are gone, and no sample with them", async () => {
  const page = await open("server.html");
  const colored = (kind) => page.color(`var(--kind-${kind})`).then((color) =>
    page.page.locator("#graph canvas").first().evaluate((canvas, color) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) count += color.every((part, of) => data[at + of] === part) && data[at + 3] === 255;
      return count;
    }, color));
  const samples = async () => (await page.rows()).reduce((all, cells) => all + Number(cells[4]), 0);
  const kinds = await page.page.locator("#legend [data-kind]").evaluateAll((chips) =>
    chips.map((chip) => [chip.dataset.kind, chip.title.split(":")[0]]));
  assert.equal(kinds.length, 13);
  for (const [kind, name] of kinds) {
    assert.ok((await colored(kind)) > 0, `${kind} is drawn`);
    await page.click(`[data-kind=${kind}]`);
    assert.equal(await colored(kind), 0, `${kind} is drawn no more`);
    assert.match(await page.hover(0.99, 0), /^all, 990 samples Total 100 %/, `without ${kind}`);
    await page.view("table");
    const left = await page.rows();
    assert.ok(left.length > 8 && left.every((cells) => cells[1] !== name), `${name} in the table`);
    // What called nothing but native code has no frame left, and its samples are the root's own.
    assert.equal(await samples(), kind === "native" ? 920 : 990, `without ${kind}`);
    await page.view("flame");
    await page.click(`[data-kind=${kind}]`);
    assert.ok((await colored(kind)) > 0, `${kind} is drawn again`);
  }
  await page.close();
});

test("JavaScript only leaves out every other kind", async () => {
  const page = await open("server.html");
  await page.click(".only");
  await page.shows(0.4, 1, "interpreted");
  await page.shows(0.2, 3, "optimized");
  near(await page.pixel(0.9, 1), [0, 0, 0], "the worker ran none");
  await page.view("table");
  const names = (await page.rows()).map((cells) => cells[1]);
  assert.ok(names.length > 4 && names.every((kind) => kind.startsWith("JavaScript")), `${names}`);
  await page.press("Escape");
  await page.click(".only");
  await page.shows(0.4, 1, "native");
  await page.close();
});

test("the legend names every kind with its colour and share", async () => {
  const page = await open("server.html");
  assert.deepEqual(await page.texts("#legend button"), [
    "JS interpreted 3.0 %", "JS baseline 12.1 %", "JS Maglev", "JS optimized 21.2 %", "JS inlined 6.1 %",
    "Builtin 8.1 %", "RegExp 2.0 %", "Wasm 12.1 %", "Native 7.1 %", "V8 runtime 4.0 %", "GC 8.1 %", "Compiler 8.1 %",
    "libc 8.1 %", "JavaScript only",
  ]);
  await page.close();
});

test("after a removal the legend's shares are of what is left", async () => {
  const page = await open("server.html");
  await page.clickAt(0.2, 6);
  await page.click("#details .actions button:has-text('Remove')");
  assert.deepEqual(await page.texts("#legend button"), [
    "JS interpreted", "JS baseline 20.3 %", "JS Maglev", "JS optimized", "JS inlined", "Builtin 13.6 %", "RegExp",
    "Wasm 20.3 %", "Native 11.9 %", "V8 runtime 6.8 %", "GC 13.6 %", "Compiler 13.6 %", "libc", "JavaScript only",
  ]);
  await page.click("[data-kind=gc]");
  assert.equal(await page.text("[data-kind=gc]"), "GC 13.6 %", "switched off, it keeps its share");
  await page.does((tab) => tab.selectOption("#coloring", "package"));
  const packages = await page.texts("#legend .chip");
  for (const share of ["native code 45.8 %", "application", "pg 20.3 %"]) assert.ok(packages.includes(share), `${packages}`);
  await page.close();
});

test("colours by package and by share of self time", async () => {
  const page = await open("server.html");
  await page.does((tab) => tab.selectOption("#coloring", "package"));
  assert.deepEqual((await page.texts("#legend .chip")).slice(0, 2), ["native code 35.4 %", "application 24.2 %"]);
  assert.ok((await page.texts("#legend .chip")).includes("V8 builtins 10.1 %"));
  assert.ok((await page.texts("#legend .chip")).includes("pg 12.1 %"));
  assert.ok((await page.texts("#legend .chip")).includes("@shop/escape 6.1 %"));
  await page.shows(0.2, 6, "var(--kind-optimized)");
  await page.shows(0.4, 4, "var(--kind-builtin)");
  const express = await page.pixel(0.4, 5);
  const pg = await page.pixel(0.6, 6);
  assert.notDeepEqual(express, pg);
  await page.shot("package-light");
  await page.does((tab) => tab.selectOption("#coloring", "share"));
  near(await page.pixel(0.2, 6), await page.color("var(--hot)"), "the hottest function");
  near(await page.pixel(0.4, 5), await page.color("var(--cold)"), "a function with nothing of its own");
  await page.shot("share-light");
  await page.press("c");
  await page.shows(0.2, 6, "optimized");
  await page.close();
});

test("a package that is switched off gives its time to its callers", async () => {
  const page = await open("server.html", { hash: "#color=package" });
  await page.click("#legend [data-package='pg']");
  assert.match(await page.hover(0.6, 5), /^handle .*Total 80\.8 % .*Self 12\.1 %/);
  assert.equal(await page.page.getAttribute("#legend [data-package='pg']", "aria-pressed"), "false");
  assert.match(await page.hash(), /without=pg/);
  // Where the legend shows kinds, the place line says what is left out.
  await page.does((tab) => tab.selectOption("#coloring", "kind"));
  assert.equal(await page.text("#removed"), "without pg put back");
  await page.click("#putback");
  assert.match(await page.hover(0.6, 6), /^Pool\.query /);
  await page.close();
});

test("Application only leaves out packages, Node.js and native code", async () => {
  const page = await open("server.html", { hash: "#color=package" });
  await page.click("#legend .only");
  await page.view("table");
  assert.deepEqual((await page.rows()).map(([name]) => name.split(" ")[0]), ["Shop.render", "(anonymous)"]);
  assert.equal((await page.row("Shop.render"))[2], "34.3 %", "with what it called outside of the application");
  await page.click("#legend .only");
  assert.ok(await page.row("sharpen"));
  await page.close();
});

test("all boxes of the selected function are outlined", async () => {
  const page = await open("recursion.html");
  const outlined = (part, row) => page.outlined(part, row);
  assert.equal(await outlined(0.1, 4), false);
  await page.clickAt(0.45, 2);
  assert.match(await page.text("#details h2"), /^walk/);
  for (const row of [2, 4, 5]) assert.equal(await outlined(0.1, row), true, `row ${row}`);
  assert.equal(await outlined(0.1, 3), false, "visit");
  await page.close();
});

test("Copy stack copies the labels from a frame to the root", async () => {
  const page = await open("server.html");
  await page.clickAt(0.6, 6);
  await page.click("#details .actions button:has-text('Copy stack')");
  await page.does((tab) => tab.evaluate(() => document.body.appendChild(document.createElement("textarea")).focus()));
  await page.press("Control+v");
  const stack = await page.page.inputValue("textarea");
  assert.deepEqual(stack.split("\n").slice(0, 2), [
    "Pool.query:/srv/shop/node_modules/pg/lib/pool.js:120", "handle:/srv/shop/node_modules/express/lib/router/layer.js:86",
  ]);
  assert.deepEqual(stack.split("\n").slice(-2), ["node::Start(int, char**):[native]", ""]);
  await page.close();
});

test("details: figures, tiers, hottest lines, callers and callees", async () => {
  const page = await open("server.html");
  await page.clickAt(0.2, 6);
  const details = await page.text("#details");
  assert.match(details, /Self 18\.2 % 1\.82 s 180 samples Total 40\.4 % 4\.04 s 400 samples/);
  assert.match(details, /JavaScript, optimized 37\.4 % JavaScript, interpreted 3\.0 %/);
  assert.match(details, /Line Self Total 18 3\.0 % 25\.3 % 31 15\.2 % 15\.2 %/);
  assert.match(details, /Callers handle 40\.4 %/);
  assert.match(details, /Callees .*memmove\S* 8\.1 % escapeHtml 6\.1 % ArrayMap 6\.1 % \[regexp\] 2\.0 %/);
  await page.click("#details .related button:has-text('ArrayMap')");
  assert.match(await page.text("#details h2"), /^ArrayMap/);
  await page.click("#details .close");
  assert.equal(await page.visible("#details"), false);
  await page.close();
});

test("lines of a recursive function are counted once a stack", async () => {
  const page = await open("recursion.html");
  await page.clickAt(0.1, 2);
  assert.match(await page.text("#details .lines"), /6 60\.0 % 60\.0 %/);
  await page.close();
});

test("with sources, the lines themselves stand beside their counts", async () => {
  const page = await open("sources.html");
  await page.clickAt(0.2, 6);
  const rows = await page.texts("#details .lines tr");
  assert.ok(rows.includes("18 3.0 % 25.3 % const parts = items.map((item) => this.part(item)); // </script>"), `${rows}`);
  assert.ok(rows.includes("12 render(items) {"), `${rows}`);
  assert.ok(rows.includes("33 // line 33"), "two lines more");
  const seen = await page.page.locator("#details .hottest").evaluate((row) => {
    const [box, line] = [row.closest(".linebox"), row].map((element) => element.getBoundingClientRect());
    return row.firstChild.textContent === "31" && line.top >= box.top && line.bottom <= box.bottom;
  });
  assert.ok(seen, "the hottest line is in sight");
  await page.view("table");
  const width = await page.page.locator("#table .row:has-text('Pool.query') .name").evaluate((cell) => cell.clientWidth);
  assert.ok(width > 360, `beside the source the functions' names still have room: ${width}`);
  await page.shot("sources-light");
  await page.close();
});

test("Lines tells a function's lines apart", async () => {
  const page = await open("server.html");
  await page.view("table");
  await page.click("#lines");
  const places = (await page.rows()).map((cells) => cells[0]);
  assert.ok(places.includes("Shop.render /srv/shop/lib/render.js:31") && places.includes("Shop.render /srv/shop/lib/render.js:18"), `${places}`);
  await page.close();
});

test("one thread can be chosen", async () => {
  const page = await open("server.html");
  assert.deepEqual(await page.texts("#thread option"), ["all", "main (100)", "worker 1 (4250)"]);
  await page.does((tab) => tab.selectOption("#thread", "1"));
  await page.shows(0.3, 2, "wasm");
  near(await page.pixel(0.3, 3), [0, 0, 0], "nothing of the main thread");
  assert.match(await page.hover(0.3, 0), /^worker 1, 190 samples/);
  await page.does((tab) => tab.selectOption("#thread", "0"));
  await page.shows(0.49, 6, "optimized");
  await page.close();
});

test("a range brushed on the time strip is all that is shown", async () => {
  const page = await open("server.html");
  const strip = await page.page.locator("#timeline").boundingBox();
  const at = (seconds) => strip.x + (seconds / 10) * strip.width;
  await page.does(async (tab) => {
    await tab.mouse.move(at(2), strip.y + 12);
    await tab.mouse.down();
    await tab.mouse.move(at(3), strip.y + 12, { steps: 3 });
    await tab.mouse.move(at(4), strip.y + 12, { steps: 3 });
    await tab.mouse.up();
  });
  assert.match(await page.text("#range"), /2\.00 to 4\.00 s of 10\.00 s/);
  assert.match(await page.hover(0.5, 0), /^all, 19\d samples/);
  await page.shows(0.39, 6, "optimized");
  await page.shot("range-light");
  await page.press("Escape");
  assert.equal(await page.visible("#range"), false);
  await page.does((tab) => tab.goForward());
  await page.click("#allofit");
  assert.match(await page.hover(0.5, 0), /^all, 990 samples/);
  await page.does((tab) => tab.locator("#timeline").focus());
  await page.press("ArrowRight");
  assert.match(await page.text("#range"), /0\.25 to 2\.75 s/);
  await page.close();
});

test("the time strip is as high as the thread is busy, and empty where it is idle", async () => {
  const page = await open("server.html");
  const ink = (seconds) => page.page.locator("#timeline").evaluate((canvas, seconds) => {
    const x = Math.round((seconds / 10) * canvas.width);
    const data = canvas.getContext("2d").getImageData(x - 4, 0, 9, Math.round(33 * devicePixelRatio)).data;
    let count = 0;
    for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
    return count;
  }, seconds);
  assert.ok((await ink(0.3)) > 50);
  assert.equal(await ink(0.85), 0);
  assert.ok((await ink(0.1)) > (await ink(0.5)) * 1.3, "two threads, then one");
  await page.close();
});

test("over time: stacks in their order, gaps where the thread did not run", async () => {
  const page = await open("server.html");
  await page.view("chart");
  await page.shows(0.03, 1, "native");
  near(await page.pixel(0.085, 1), [0, 0, 0], "idle");
  await page.shows(0.13, 5, "maglev");
  assert.match(await page.hover(0.03, 5), /^handle .*from 0\.0\d+ s on/);
  await page.shot("chart-light");
  await page.close();
});

test("the call tree: unfolded where the time is, and by click and arrows", async () => {
  const page = await open("server.html");
  await page.press("6");
  const names = async () => (await page.rows("#tree")).map(([name]) => name.replace(/^[▸▾] ?/, "").split(" ")[0]);
  assert.deepEqual((await names()).slice(0, 6), ["all", "node::Start", "uv_run", "node::InternalCallbackScope::Close", "processTicksAndRejections", "handle"]);
  const row = async (name) => (await page.rows("#tree")).find(([cell]) => cell.includes(name))?.slice(1);
  assert.deepEqual(await row("Shop.render"), ["40.4 %", "18.2 %"]);
  const rendered = page.page.locator("#tree .row:has-text('Shop.render')");
  assert.equal(await rendered.getAttribute("aria-expanded"), "true");
  assert.equal(await rendered.getAttribute("aria-level"), "7");
  assert.ok(await row("escapeHtml"));
  await page.does(() => rendered.locator(".twist").click());
  assert.equal(await row("escapeHtml"), undefined);
  assert.equal(await rendered.getAttribute("aria-expanded"), "false");

  await page.does(() => rendered.click());
  assert.match(await page.text("#details h2"), /^Shop\.render/);
  assert.match(await page.text("#live"), /^Shop\.render:.*, 40\.4 %/);
  await page.press("ArrowRight", "ArrowRight");
  assert.match(await page.text("#live"), /^__memmove/, "unfolds, and goes on to the heaviest callee");
  await page.press("ArrowLeft", "ArrowLeft");
  assert.equal(await row("escapeHtml"), undefined, "back to the caller, which folds");
  await page.shot("tree-light");

  await page.search("escape");
  await page.press("Enter");
  assert.ok(await row("escapeHtml"), "a match is unfolded");
  assert.equal(await page.page.locator("#tree mark").first().innerText(), "escape");
  assert.match(await page.text("#tree .row.selected"), /^escapeHtml/);
  await page.search("");
  await page.does((tab) => tab.selectOption("#thread", "1"));
  assert.deepEqual(await names(), ["all", "uv_run", "sharpen"]);
  await page.close();

  const diff = await open("diff.html", { hash: "#view=tree" });
  assert.deepEqual((await diff.rows("#tree"))[0].slice(1), ["100 %", "100 %", "±0.0 %"]);
  const fill = (await diff.rows("#tree")).find(([cell]) => cell.includes("Cache.fill"));
  assert.equal(fill[1], "0 %");
  assert.match(fill[3], /^\+/);
  await diff.close();
});
