// Every page, light and dark, wide and narrow: it loads, says nothing on the browser's console,
// scrolls in one direction only, and axe finds nothing wrong. Screenshots are kept.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { axe, check, open, settled, SIZES } from "./browser.mjs";

/** Themes and sizes, and whether axe looks: each theme and each size is looked at once. */
const MODES = [["light", "wide", true], ["dark", "narrow", true], ["dark", "wide", false], ["light", "narrow", false]];

/** Visits pages: their names with their addresses. */
export async function visits(context, url, pages, shots) {
  mkdirSync(shots, { recursive: true });
  const { page, visit, quiet } = await open(context, url);
  for (const [theme, size, look] of MODES) {
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize(SIZES[size]);
    await page.goto("about:blank");
    for (const [name, hash] of Object.entries(pages)) {
      await check(`${name}, ${theme}, ${size}`, async () => {
        await visit(hash);
        await page.screenshot({ path: join(shots, `${name}-${theme}-${size}.png`) });
        const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(over <= 0, `the page is ${over} pixels too wide`);
        if (look) assert.deepEqual(await axe(page), []);
        assert.equal(await page.locator("main .note.bad[role=alert]").count(), 0, `an error is shown: ${await page.locator("main").innerText()}`);
        quiet();
      });
    }
  }
  await page.close();
}

/** Pages that show what they could not load, each where it belongs. */
export async function failures(context, url, pages, shots) {
  const { page, visit, quiet } = await open(context, url);
  await visit("#/");
  const problem = { type: "about:blank", title: "The store cannot be reached", status: 503, code: "store_unavailable", detail: "It did not answer within a second." };
  const broken = (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify(problem) });
  await page.route(/\/api\/v1\/(?!me$|environments$|watch)/, broken);
  for (const [name, hash] of Object.entries(pages)) {
    await check(`${name} shows a failure`, async () => {
      await page.goto("about:blank");
      await visit(hash);
      await page.getByRole("alert").first().waitFor();
      const said = await page.getByRole("alert").first().innerText();
      assert.match(said, /The store cannot be reached[\s\S]*store_unavailable/);
      assert.deepEqual(await axe(page), []);
      quiet(/status of 503/);
    });
  }
  await check("a page recovers from a failure", async () => {
    await page.unroute(/\/api\/v1\/(?!me$|environments$|watch)/);
    await visit("#/revisions");
    await page.screenshot({ path: join(shots, "recovered.png") });
    const again = page.getByRole("button", { name: "Try again" });
    if (await again.isVisible()) await again.click();
    await settled(page);
    await page.getByRole("alert").waitFor({ state: "detached" });
    quiet(/status of 503/);
  });
  await page.close();
}
