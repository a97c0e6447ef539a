// speedscope itself, in a browser, loads four of the formats and shows the same figures.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const application = join(dirname(require.resolve("speedscope/dist/release/file-format-schema.json")), "index.html");
const FLAGS = [
  "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
];
let browser;

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
});
after(() => browser?.close());

// The rows of speedscope's table of functions: [total, self, name].
async function functions(file) {
  const directory = mkdtempSync(join(tmpdir(), "speedscope-"));
  try {
    return await functionsLoadedFrom(directory, file);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function functionsLoadedFrom(directory, file) {
  const loader = join(directory, "profile.js");
  const bytes = readFileSync(join(process.env.FIXTURES, file)).toString("base64");
  writeFileSync(loader, `speedscope.loadFileFromBase64(${JSON.stringify(file)}, ${JSON.stringify(bytes)})`);
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`file://${application}#localProfilePath=${loader}`);
  await page.waitForFunction(() => document.title.includes(" - speedscope"), null, { timeout: 60_000 });
  await page.keyboard.press("3");
  await page.waitForFunction(() => [...document.querySelectorAll("tr")].some((row) => row.textContent.includes("Shop.render")));
  const rows = await page.locator("tr").evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.innerText.trim())));
  assert.deepEqual(errors, []);
  await page.close();
  return rows;
}

for (const [file, total, self, name] of [
  ["server.cpuprofile", "4.04s (40%)", "1.82s (18%)", "Shop.render"],
  ["server.speedscope", "4.04s (50%)", "1.82s (23%)", "Shop.render"],
  ["server.pprof", "4.04s (40%)", "1.82s (18%)", "Shop.render"],
  ["server.folded", "400 (40%)", "180 (18%)", "Shop.render:/srv/shop/lib/render.js:12"],
]) {
  test(`speedscope shows ${file}`, async () => {
    const rows = await functions(file);
    const row = rows.find((cells) => cells.at(-1) === name);
    assert.deepEqual(row?.slice(0, 2), [total, self], JSON.stringify(rows.slice(0, 5)));
  });
}
