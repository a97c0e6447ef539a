// A browser with one of the made-up profiles in it, and what can be seen there.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const ROW = 18;

export const fixture = (name) => `${process.env.FIXTURES}/${name}`;

// A browser for the tests of one file. Every page of it fails its test on an error or a request.
export function useBrowser() {
  let context;
  let profile;
  before(async () => {
    profile = mkdtempSync(join(tmpdir(), "browser-"));
    context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM,
      args: FLAGS,
      viewport: { width: 1280, height: 800 },
      colorScheme: "light",
      acceptDownloads: true,
    });
  });
  after(async () => {
    try {
      await context?.close();
    } finally {
      // Processes of the browser may still write into it.
      if (profile) rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    }
  });

  return async function open(name, { hash = "", scheme = "light", reducedMotion = "reduce", viewport, address } = {}) {
    const page = await context.newPage();
    page.problems = [];
    page.on("pageerror", (error) => page.problems.push(String(error.stack ?? error)));
    page.on("console", (message) => message.type() === "error" && page.problems.push(message.text()));
    page.on("request", (request) => {
      if (!/^(file|data|blob):/.test(request.url())) page.problems.push(`request for ${request.url()}`);
    });
    if (viewport) await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme: scheme, reducedMotion });
    await page.goto(address ?? `file://${fixture(name)}${hash}`);
    await settled(page);
    return new Page(page);
  };
}

// Two frames later: what was asked for is drawn.
const settled = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))));

export class Page {
  constructor(page) {
    this.page = page;
  }

  async close() {
    assert.deepEqual(this.page.problems, []);
    await this.page.close();
  }

  async does(action) {
    await action(this.page);
    await settled(this.page);
    return this;
  }

  click(selector) {
    return this.does((page) => page.click(selector));
  }

  press(...keys) {
    return this.does(async (page) => {
      for (const key of keys) await page.keyboard.press(key);
    });
  }

  async text(selector) {
    return (await this.page.locator(selector).innerText()).replace(/\u202f/g, " ").replace(/\s+/g, " ").trim();
  }

  async texts(selector) {
    const all = await this.page.locator(selector).allInnerTexts();
    return all.map((text) => text.replace(/\u202f/g, " ").replace(/\s+/g, " ").trim());
  }

  visible(selector) {
    return this.page.locator(selector).isVisible();
  }

  hash() {
    return this.page.evaluate(() => decodeURIComponent(location.hash));
  }

  view(name) {
    return this.click(`[data-view=${name}]`);
  }

  // A point of a graph: `part` of its width, in a row counted from the root.
  async point(part, row, { graph = "graph", down = graph === "graph" ? "auto" : false, dy = 0 } = {}) {
    const icicle = down === "auto" ? await this.page.evaluate(() => {
      const { view } = document.getElementById("main").dataset;
      return view === "sandwich" || document.querySelector("[data-icicle='1']").getAttribute("aria-pressed") === "true";
    }) : down;
    const area = await this.page.locator(`#${graph} .scroller`).evaluate((scroller) => {
      const { left, top, height } = scroller.getBoundingClientRect();
      return { left, top, height, width: scroller.clientWidth };
    });
    const y = icicle ? row * ROW + ROW / 2 : area.height - 3 - row * ROW - ROW / 2;
    return { x: area.left + part * area.width, y: area.top + y + dy, inX: part * area.width, inY: y + dy };
  }

  // The colour that is drawn there.
  async pixel(part, row, options = {}) {
    const { graph = "graph" } = options;
    const { inX, inY } = await this.point(part, row, { ...options, dy: -8 });
    return this.page.locator(`#${graph} canvas`).first().evaluate((canvas, [x, y]) => {
      const ratio = devicePixelRatio;
      return [...canvas.getContext("2d").getImageData(Math.round(x * ratio), Math.round(y * ratio), 1, 1).data].slice(0, 3);
    }, [inX, inY]);
  }

  // Whether a box has a line around it: its upper edge is drawn on the canvas above.
  async outlined(part, row, options = {}) {
    const { inX, inY } = await this.point(part, row, options);
    return this.page.locator("#graph canvas.over").evaluate((canvas, [x, y]) => {
      const { data } = canvas.getContext("2d").getImageData(Math.round(x), Math.round(y) - 9, 1, 3);
      return data.some((value) => value > 0);
    }, [inX, inY]);
  }

  // What a colour of the style sheet comes to.
  color(css) {
    return this.page.evaluate((css) => {
      const probe = document.body.appendChild(document.createElement("span"));
      probe.style.color = css;
      const context = document.createElement("canvas").getContext("2d");
      context.fillStyle = getComputedStyle(probe).color;
      context.fillRect(0, 0, 1, 1);
      probe.remove();
      return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }, css);
  }

  async shows(part, row, kind, options) {
    const expected = await this.color(kind.includes("(") ? kind : `var(--kind-${kind})`);
    near(await this.pixel(part, row, options), expected, `${kind} at ${part} of row ${row}`);
  }

  async clickAt(part, row, options) {
    const { x, y } = await this.point(part, row, options);
    return this.does((page) => page.mouse.click(x, y));
  }

  async hover(part, row, options) {
    const { x, y } = await this.point(part, row, options);
    await this.does((page) => page.mouse.move(x, y));
    return (await this.visible("#tip")) ? this.text("#tip") : "";
  }

  // All of a graph's pixels, as one word.
  async picture(graph = "graph") {
    const pixels = await this.page.locator(`#${graph} canvas`).first().evaluate((canvas) => canvas.toDataURL());
    return createHash("sha256").update(pixels).digest("hex");
  }

  async search(query) {
    return this.does((page) => page.fill("#search", query));
  }

  // Rows of the table in sight: each its cells' texts.
  rows(table = "#table") {
    return this.page.locator(`${table} .row`).evaluateAll((rows) =>
      rows.map((row) => [...row.children].map((cell) => cell.innerText.replace(/\u202f/g, " ").replace(/\s+/g, " ").trim())));
  }

  // A table's row by the function's name.
  async row(name) {
    return (await this.rows()).find((cells) => cells[0].startsWith(name));
  }

  async shot(name) {
    if (!process.env.SHOTS) return;
    mkdirSync(process.env.SHOTS, { recursive: true });
    await this.page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });
  }
}

export function near(actual, expected, what, slack = 3) {
  const far = actual.some((value, at) => Math.abs(value - expected[at]) > slack);
  assert.ok(!far, `${what}: found ${actual}, expected ${expected}`);
}
