// The flame graph itself: what is drawn where, zoom and the ways back, hover, keys.
//
// Rows of the server's profile, from the root: all, node::Start (80.8 %) | uv_run, uv_run,
// Close, processTicksAndRejections, handle, then Shop.render (40.4 %), Pool.query (32.3 %) and
// the compiler (8.1 %).

import assert from "node:assert/strict";
import { test } from "node:test";
import { near, useBrowser } from "./browser.js";

const open = useBrowser();
const RENDER = 400 / 990;
const QUERY = 320 / 990;

test("boxes are as wide as their share, callees on their callers, heaviest first", async () => {
  const page = await open("server.html");
  await page.shows(0.5, 0, "root");
  await page.shows(0.4, 1, "native");
  await page.shows(0.81, 1, "native");
  await page.shows(0.4, 4, "interpreted");
  await page.shows(0.4, 5, "maglev");
  await page.shows(RENDER - 0.003, 6, "optimized");
  await page.shows(RENDER + 0.003, 6, "baseline");
  await page.shows(RENDER + QUERY + 0.003, 6, "compiler");
  await page.shows(0.01, 7, "libc");
  near(await page.pixel(0.9, 6), [0, 0, 0], "nothing above the worker");
  await page.shot("flame-light");
  await page.close();
});

test("icicle turns the graph over", async () => {
  const page = await open("server.html");
  await page.click("[data-icicle='1']");
  await page.shows(RENDER - 0.003, 6, "optimized", { down: true });
  await page.shows(0.5, 0, "root", { down: true });
  near(await page.pixel(0.2, 0, { down: false }), [0, 0, 0], "nothing at the bottom");
  assert.match(await page.hash(), /icicle=1/);
  await page.press("i");
  await page.shows(0.5, 0, "root", { down: false });
  await page.close();
});

test("order by name puts Pool.query first", async () => {
  const page = await open("server.html");
  await page.does((tab) => tab.selectOption("#order", "name"));
  await page.shows(0.02, 6, "baseline");
  await page.close();
});

test("a click zooms; breadcrumb, Esc and the browser's Back lead out again", async () => {
  const page = await open("server.html");
  await page.clickAt(0.2, 6);
  await page.shows(0.99, 6, "optimized");
  const crumbs = await page.texts("#crumbs button");
  assert.deepEqual(crumbs.slice(-2), ["handle", "Shop.render"]);
  assert.equal(crumbs[0], "all");
  assert.match(await page.text("#crumbs"), /40\.4 %/);

  await page.press("Escape");
  await page.does((tab) => tab.waitForFunction(() => !document.querySelector("#crumbs button")));
  await page.shows(0.99, 0, "root");
  near(await page.pixel(0.99, 6), [0, 0, 0], "zoomed out");

  await page.does((tab) => tab.goForward());
  await page.shows(0.97, 6, "optimized");
  await page.does((tab) => tab.goBack());
  assert.equal(await page.page.locator("#crumbs button").count(), 0);

  await page.clickAt(0.6, 6);
  await page.clickAt(0.1, 7);
  await page.does((tab) => tab.click("#crumbs button:has-text('Pool.query')"));
  await page.shows(0.98, 6, "baseline");
  await page.press("0");
  assert.equal(await page.page.locator("#crumbs button").count(), 0);
  await page.close();
});

test("zooming is smooth", async () => {
  const page = await open("server.html", { reducedMotion: "no-preference" });
  const { x, y, inY } = await page.point(0.6, 6);
  // How far the function that is zoomed to reaches from the left, frame by frame.
  const edges = page.page.locator("#graph canvas").first().evaluate(async (canvas, [x, y, inY]) => {
    const edges = [];
    const scroller = document.querySelector("#graph .scroller");
    scroller.dispatchEvent(new MouseEvent("click", { clientX: x, clientY: y, shiftKey: false, bubbles: true }));
    for (let frame = 0; frame < 40; frame++) {
      await new Promise(requestAnimationFrame);
      const row = canvas.getContext("2d").getImageData(0, Math.round(inY * devicePixelRatio), canvas.width, 1).data;
      let edge = 0;
      while (edge < canvas.width && row[edge * 4] < 150) edge++;
      edges.push(edge);
    }
    return edges;
  }, [x, y, inY - 8]);
  const seen = [...new Set(await edges)];
  assert.ok(seen.length >= 4, `${seen}`);
  assert.deepEqual(seen, [...seen].sort((a, b) => b - a), "Shop.render shrinks step by step");
  await page.page.waitForTimeout(400);
  await page.shows(0.98, 6, "baseline");
  await page.close();
});

test("hover says name, place, kind, total and self as share, time and samples", async () => {
  const page = await open("server.html");
  const tip = await page.hover(0.2, 6);
  assert.match(tip, /^Shop\.render \/srv\/shop\/lib\/render\.js:12 JavaScript, optimized/);
  assert.match(tip, /Total 40\.4 % 4\.04 s 400 samples Self 18\.2 % 1\.82 s 180 samples/);
  assert.match(await page.hover(0.01, 7), /memmove.*libc\.so\.6 C library/);
  assert.match(await page.hover(0.9, 2), /sharpen WebAssembly Total 12\.1 % 1\.21 s 120 samples/);
  assert.equal(await page.hover(0.9, 9), "");
  await page.close();
});

test("the function everywhere is counted once a stack, however deep it recurses", async () => {
  const page = await open("recursion.html");
  const tip = await page.hover(0.1, 2);
  assert.match(tip, /^walk/);
  assert.match(tip, /everywhere Total 60.0 % 600 ms 60 samples Self 60.0 % /);
  await page.close();
});

test("arrows move between frames, Enter zooms, and each is said", async () => {
  const page = await open("server.html");
  await page.clickAt(0.6, 6, {});
  await page.press("0", "ArrowLeft");
  assert.match(await page.text("#live"), /^Shop\.render:\/srv\/shop\/lib\/render\.js:12, JavaScript, optimized, 40\.4 %/);
  await page.press("ArrowDown");
  assert.match(await page.text("#live"), /^handle:/);
  await page.press("ArrowUp", "ArrowUp");
  assert.match(await page.text("#live"), /^__memmove/);
  await page.press("ArrowRight");
  assert.match(await page.text("#live"), /^escapeHtml:/);
  await page.press("Enter");
  assert.deepEqual((await page.texts("#crumbs button")).at(-1), "escapeHtml");
  await page.close();
});

test("shift-click selects without zooming", async () => {
  const page = await open("server.html");
  const { x, y } = await page.point(0.2, 6);
  await page.does(async (tab) => {
    await tab.keyboard.down("Shift");
    await tab.mouse.click(x, y);
    await tab.keyboard.up("Shift");
  });
  assert.match(await page.text("#details h2"), /Shop\.render/);
  assert.equal(await page.page.locator("#crumbs button").count(), 0);
  await page.close();
});

test("Ctrl and the wheel zoom about the mouse", async () => {
  const page = await open("server.html");
  const { x, y } = await page.point(0.2, 6);
  await page.does(async (tab) => {
    await tab.mouse.move(x, y);
    await tab.keyboard.down("Control");
    for (let turn = 0; turn < 6; turn++) await tab.mouse.wheel(0, -120);
    await tab.keyboard.up("Control");
    await tab.waitForTimeout(100);
  });
  await page.shows(0.9, 6, "optimized");
  await page.close();
});

test("the deepest stack there can be is drawn and can be scrolled to its end", async () => {
  const page = await open("deep.html");
  await page.shows(0.5, 3, "interpreted");
  const height = await page.page.locator("#graph .scroller").evaluate((scroller) => {
    scroller.scrollTop = 0;
    return scroller.scrollHeight;
  });
  assert.ok(height > 12_288 * 18, `${height}`);
  await page.does((tab) => tab.waitForTimeout(50));
  const top = await page.page.locator("#graph .scroller").boundingBox();
  await page.does((tab) => tab.mouse.move(640, top.y + 20));
  assert.match(await page.text("#tip"), /^(even|odd) /);
  await page.close();
});

test("rows beyond the edge are counted there, a click goes on to them", async () => {
  const page = await open("deep.html");
  const rows = async () => Number((await page.text("#graph .more:not(.back)")).replace(/\D/g, ""));
  const before = await rows();
  assert.ok(before > 12_200 && before < 12_289, `${before}`);
  await page.click("#graph .more:not(.back)");
  assert.ok((await rows()) < before - 10);
  await page.press("i");
  assert.match(await page.text("#graph .more:not(.back)"), /^↓/);
  await page.close();
  const flat = await open("server.html");
  assert.deepEqual(await flat.texts("#graph .more:visible"), []);
  await flat.close();
});

test("a trunk that all stacks share is scrolled past, and the way to the root is shown", async () => {
  const page = await open("trunk.html");
  for (const icicle of [false, true]) {
    const area = await page.page.locator("#graph .scroller").boundingBox();
    await page.does((tab) => tab.mouse.move(area.x + 300, icicle ? area.y + area.height - 15 : area.y + 12));
    assert.match(await page.text("#tip"), /^search /, "the outermost row is in sight");
    assert.deepEqual(await page.texts("#graph .more:not(.back):visible"), []);
    assert.match(await page.text("#graph .back"), /^. [45]\d rows to the root$/);
    await page.click("#graph .back");
    assert.match(await page.hover(0.3, 0), /^all, 50 samples/);
    assert.equal(await page.visible("#graph .back"), false);
    await page.press("i");
  }
  await page.close();
});

test("a profile without samples says so", async () => {
  const page = await open("empty.html");
  assert.match(await page.text("#empty"), /No samples/);
  await page.close();
});

test("a zoomed graph is dragged to the side, and the address keeps where it is", async () => {
  const page = await open("server.html");
  await page.clickAt(0.2, 6);
  await page.shows(0.98, 6, "optimized");
  const { x, y } = await page.point(0.9, 6);
  await page.does(async (tab) => {
    await tab.mouse.move(x, y);
    await tab.mouse.down();
    await tab.mouse.move(x - 300, y, { steps: 5 });
    await tab.mouse.up();
    await tab.waitForTimeout(300);
  });
  await page.shows(0.98, 6, "baseline");
  await page.shows(0.5, 6, "optimized");
  assert.match(await page.hash(), /zoom=f0\.\d+-0\.\d+/);
  assert.match(await page.text("#crumbs"), /^all 40\.4 % of the width/);
  const copy = await open("server.html", { hash: new URL(page.page.url()).hash });
  assert.equal(await copy.picture(), await page.picture());
  await copy.close();
  await page.press("Escape");
  await page.does((tab) => tab.waitForFunction(() => /Shop\.render/.test(document.getElementById("crumbs").textContent)));
  await page.shows(0.98, 6, "optimized");
  await page.press("-");
  await page.does((tab) => tab.waitForTimeout(300));
  await page.shows(0.98, 6, "baseline");
  await page.close();
});

test("Alt-click leaves out all stacks with a function, until they are put back", async () => {
  const page = await open("server.html");
  const { x, y } = await page.point(0.2, 6);
  await page.does(async (tab) => {
    await tab.keyboard.down("Alt");
    await tab.mouse.click(x, y);
    await tab.keyboard.up("Alt");
  });
  assert.equal(await page.text("#removed"), "without Shop.render put back");
  await page.shows(0.3, 6, "baseline");
  assert.match(await page.hover(0.5, 0), /^all, 590 samples/);
  await page.clickAt(0.3, 6);
  await page.click("#details .actions button:has-text('Remove')");
  assert.match(await page.hover(0.5, 0), /^all, 270 samples/);
  await page.click("#putback");
  assert.match(await page.hover(0.5, 0), /^all, 990 samples/);
  await page.close();
});
