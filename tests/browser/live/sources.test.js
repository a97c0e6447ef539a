// The page of a program that really ran, with the source that V8 had of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { useBrowser } from "../browser.js";

const open = useBrowser();

test("the hottest line of a function that ran stands there as it was written", async () => {
  const page = await open("hot.html");
  await page.view("table");
  await page.search("weigh");
  const [name] = (await page.rows())[0];
  assert.match(name, /^weigh .*hot\.js:3$/);
  await page.click("#table .row");
  const rows = await page.page.locator("#details .lines tr").evaluateAll((rows) =>
    rows.slice(1).map((row) => ({
      line: Number(row.children[0].textContent),
      part: Number.parseFloat(row.style.getPropertyValue("--part")),
      text: row.children[3].textContent,
    })));
  const hottest = rows.reduce((most, row) => (row.part > most.part ? row : most));
  assert.deepEqual([hottest.line, hottest.text], [5, "  for (let at = 0; at < 1e6; at++) sum += Math.sqrt(sum + at); // größer </script>"]);
  assert.deepEqual([rows[0].line, rows[0].text], [3, "function weigh(sum) {"]);
  await page.shot("live-sources-light");
  await page.close();
});
