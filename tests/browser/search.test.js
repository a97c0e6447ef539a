// Search, and the address that keeps what is shown.

import assert from "node:assert/strict";
import { test } from "node:test";
import { near, useBrowser } from "./browser.js";

const open = useBrowser();

test("a search says the matched share and fades the rest", async () => {
  const page = await open("server.html");
  await page.search("pool");
  assert.equal(await page.text("#matched"), "32.3 % in 1 function");
  await page.shows(0.5, 6, "baseline");
  const faded = await page.color("color-mix(in oklab, var(--kind-optimized) 22%, var(--ground))");
  near(await page.pixel(0.2, 6), faded, "what does not match is faded");
  await page.shot("search-light");
  await page.close();
});

test("a stack with a match twice is counted once", async () => {
  const page = await open("recursion.html");
  await page.search("walk");
  assert.equal(await page.text("#matched"), "60.0 % in 1 function");
  await page.search("walk:");
  assert.equal(await page.text("#matched"), "60.0 % in 1 function");
  await page.search("tree.js");
  assert.equal(await page.text("#matched"), "100 % in 3 functions");
  await page.close();
});

test("a regular expression, one that is none, and no match", async () => {
  const page = await open("server.html");
  await page.search("^(Pool|Shop)\\.");
  assert.equal(await page.text("#matched"), "no match");
  await page.click("#regexp");
  assert.equal(await page.text("#matched"), "72.7 % in 2 functions");
  await page.search("(");
  assert.equal(await page.text("#matched"), "not a regular expression");
  assert.equal(await page.page.getAttribute("#search", "aria-invalid"), "true");
  await page.close();
});

test("next and previous go from match to match, heaviest first", async () => {
  const page = await open("server.html");
  await page.press("/");
  await page.does((tab) => tab.keyboard.type("v8::"));
  await page.press("Enter");
  assert.match(await page.text("#live"), /^v8::internal::(Heap|Compiler)/);
  assert.match(await page.text("#matched"), /20\.2 % in 3 functions, 1 of 3/);
  await page.press("Enter", "Enter");
  assert.match(await page.text("#live"), /^v8::internal::Runtime_GetProperty/);
  await page.press("Shift+Enter");
  assert.match(await page.text("#matched"), /2 of 3/);
  await page.click("#next");
  assert.match(await page.text("#matched"), /3 of 3/);
  await page.does((tab) => tab.locator("#graph").focus());
  await page.press("n");
  assert.match(await page.text("#matched"), /1 of 3/);
  await page.press("Shift+N");
  assert.match(await page.text("#matched"), /3 of 3/);
  await page.close();
});

test("the match that is gone to is in sight, though the details open beside it", async () => {
  const page = await open("tower.html");
  const accent = await page.color("var(--accent)");
  const outlined = () => page.page.locator("#graph canvas.over").evaluate((canvas, accent) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255 && accent.every((part, of) => data[at + of] === part)) return true;
    return false;
  }, accent);
  await page.search("roof");
  assert.equal(await outlined(), false);
  await page.press("Enter");
  await page.does((tab) => tab.waitForTimeout(100));
  assert.match(await page.text("#details h2"), /^roof/);
  assert.equal(await outlined(), true);
  await page.close();
});

test("Ctrl-F and / go to the search, Esc clears it", async () => {
  const page = await open("server.html");
  const focused = () => page.page.evaluate(() => document.activeElement.id);
  await page.press("Control+f");
  assert.equal(await focused(), "search");
  await page.does((tab) => tab.keyboard.type("map"));
  assert.notEqual(await page.text("#matched"), "");
  await page.press("Escape");
  assert.equal(await page.page.inputValue("#search"), "");
  assert.equal(await page.text("#matched"), "");
  await page.press("Escape", "/");
  assert.equal(await focused(), "search");
  await page.close();
});

test("the address shows the same again: view, zoom, search, selection, range, thread, kinds", async () => {
  const first = await open("server.html");
  await first.clickAt(0.6, 6);
  await first.search("json");
  await first.press("Enter");
  await first.click("[data-kind=gc]");
  await first.does((tab) => tab.selectOption("#coloring", "package"));
  const { x, y } = await first.page.locator("#timeline").boundingBox();
  await first.does(async (tab) => {
    await tab.mouse.move(x + 300, y + 15);
    await tab.mouse.down();
    await tab.mouse.move(x + 900, y + 15, { steps: 4 });
    await tab.mouse.up();
  });
  await first.does((tab) => tab.selectOption("#thread", "0"));
  await first.clickAt(0.5, 6);
  const hash = new URL(first.page.url()).hash;
  for (const word of ["zoom=n", "query=json", "off=gc", "color=package", "range=", "thread=0", "selected="]) {
    assert.ok(decodeURIComponent(hash).includes(word), `${word} in ${hash}`);
  }
  const second = await open("server.html", { hash });
  assert.equal(await second.picture(), await first.picture(), "the same pixels");
  assert.equal(await second.text("#matched").then((text) => text.split(",")[0]), await first.text("#matched").then((text) => text.split(",")[0]));
  assert.equal(await second.text("#details"), await first.text("#details"));
  assert.equal(await second.text("#crumbs"), await first.text("#crumbs"));

  for (const view of ["bottom", "sandwich", "table", "chart", "tree"]) {
    await first.view(view);
    const copy = await open("server.html", { hash: new URL(first.page.url()).hash });
    assert.equal(await copy.page.getAttribute("#main", "data-view"), view);
    if (view === "table" || view === "tree") assert.deepEqual(await copy.rows(`#${view}`), await first.rows(`#${view}`));
    else assert.equal(await copy.picture(), await first.picture(), view);
    await copy.close();
  }
  await second.close();
  await first.close();
});

test("a broken address shows the whole graph", async () => {
  const page = await open("server.html", { hash: "#view=nothing&zoom=n99999999&range=9-1&selected=-4&thread=x&sort=?&off=,,&color=red" });
  await page.shows(0.2, 6, "optimized");
  const other = await open("server.html", { hash: "#view=bottom&zoom=p1.2.3.4.5&selected=99999" });
  await other.shows(0.5, 0, "root");
  await other.close();
  await page.close();
});
