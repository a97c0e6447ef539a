// cpupro, a viewer of V8's CPU profiles, opens a file in a browser and shows the same figures.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const application = join(dirname(require.resolve("cpupro/package.json")), "build/app.html");

// All that the page shows, piece by piece: cpupro draws into a shadow tree.
const shown = (page) => page.evaluate(() => {
  const pieces = [];
  const walk = (node) => {
    if (node.shadowRoot) walk(node.shadowRoot);
    for (const child of node.childNodes) {
      if (child.nodeType !== Node.TEXT_NODE) walk(child);
      else if (child.data.trim() && !["STYLE", "SCRIPT", "NOSCRIPT"].includes(node.nodeName)) pieces.push(child.data.trim());
    }
  };
  walk(document.body);
  return pieces.join(" ");
});

test("cpupro shows a cpuprofile's functions, packages and times", async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`file://${application}`);
  const chosen = page.waitForEvent("filechooser");
  await page.getByText("Open file…", { exact: true }).click();
  await (await chosen).setFiles(join(process.env.FIXTURES, "server.cpuprofile"));
  await page.getByText("Call tree nodes").waitFor();
  const text = await shown(page);
  await browser.close();
  assert.deepEqual(errors, []);
  assert.match(text, /server\.cpuprofile/);
  for (const words of [
    // Packages, then functions: own time, total time, name. The idle time is one of them.
    /Package 8 982\.8 47\.3% 8 982\.8 47\.3% \(idle\) /,
    / 1 212\.1 6\.4% 3 232\.3 17\.0% pg 606\.1 3\.2% 606\.1 3\.2% @shop\/escape .* 42\.6% express Self time/,
    /Call frame .* 1 818\.2 9\.6% 4 040\.4 21\.3% Shop\.render /,
    / 1 212\.1 6\.4% 3 232\.3 17\.0% pg Pool\.query /,
    / 606\.1 3\.2% 606\.1 3\.2% @shop\/escape escapeHtml /,
  ]) assert.match(text, words);
});
