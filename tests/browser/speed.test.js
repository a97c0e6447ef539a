// How fast the page is. Times are the best of several, since the machine may have other work.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { test } from "node:test";
import { fixture, useBrowser } from "./browser.js";

const open = useBrowser();

// Milliseconds from the start of loading until the graph is painted, by the clock, and what the
// page's thread worked for it.
async function firstPaint(name, tries) {
  const best = { clock: Infinity, work: Infinity };
  for (let attempt = 0; attempt < tries && best.clock >= 200; attempt++) {
    const page = await open("about", { address: "about:blank" });
    const session = await page.page.context().newCDPSession(page.page);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const work = async () => {
      const { metrics } = await session.send("Performance.getMetrics");
      return metrics.find((metric) => metric.name === "TaskDuration").value * 1000;
    };
    const before = await work();
    await page.page.goto(`file://${fixture(name)}`);
    await page.page.waitForFunction(() => performance.getEntriesByName("drawn").length);
    const clock = await page.page.evaluate(() => performance.getEntriesByName("drawn")[0].startTime);
    best.clock = Math.min(best.clock, clock);
    best.work = Math.min(best.work, (await work()) - before);
    await page.close();
  }
  return best;
}

test("20,000 nodes are on the screen in 300 ms", async (context) => {
  await firstPaint("empty.html", 1);
  const { clock, work } = await firstPaint("wide20k.html", 10);
  context.diagnostic(`first paint of 20,000 nodes after ${clock.toFixed(0)} ms, of ${work.toFixed(0)} ms of work`);
  // On a machine with more work than processors the clock says little.
  const busy = loadavg()[0] > cpus().length;
  assert.ok(clock < 300 || (busy && work < 300), `${clock} ms by the clock, ${work} ms of work`);
});

test("200,000 nodes can be worked with", async (context) => {
  const page = await open("wide200k.html");
  const times = await page.page.evaluate(async () => {
    const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    const timed = async (action) => {
      const start = performance.now();
      action();
      await frame();
      return Math.round(performance.now() - start);
    };
    const field = document.getElementById("search");
    const type = (text) => () => {
      field.value = text;
      field.dispatchEvent(new Event("input"));
    };
    const press = (key) => () => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    return {
      search: await timed(type("function12")),
      clear: await timed(type("")),
      arrow: await timed(press("ArrowUp")),
      zoom: await timed(press("Enter")),
      table: await timed(() => document.querySelector("[data-view=table]").click()),
      flame: await timed(() => document.querySelector("[data-view=flame]").click()),
      kind: await timed(() => document.querySelector("#legend button").click()),
      bottom: await timed(() => document.querySelector("[data-view=bottom]").click()),
    };
  });
  context.diagnostic(`milliseconds with 200,000 nodes: ${JSON.stringify(times)}`);
  assert.ok(times.search < 500 && times.arrow < 500 && times.zoom < 500 && times.table < 700, JSON.stringify(times));
  await page.shot("wide200k");
  await page.close();
});

test("the file is a fraction of its folded text", (context) => {
  for (const name of ["wide20k", "wide200k"]) {
    const [page, folded] = ["html", "folded"].map((kind) => statSync(fixture(`${name}.${kind}`)).size);
    context.diagnostic(`${name}: page ${page} bytes, folded ${folded}`);
    assert.ok(page < folded / 4);
  }
});
