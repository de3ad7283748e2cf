// Debian's Chromium, driven by Playwright, with a profile of its own. Whatever a page writes to the
// browser's console is remembered: every check ends by asking that it was nothing.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
/** Rules of axe: WCAG 2.2 AA and what its makers call best practice. */
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** Sizes of windows, in CSS pixels. */
export const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } };

/** Starts a browser; `close` ends it and removes its profile. */
export async function browse(executable) {
  const folder = mkdtempSync(join(tmpdir(), "chromium-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: executable, headless: true, args: FLAGS,
    viewport: SIZES.wide, timezoneId: "Europe/Paris", locale: "en-GB",
  });
  context.setDefaultTimeout(60_000);
  const close = async () => {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { context, close };
}

/** A page of the console, with what it had to say. */
export async function open(context, url) {
  const page = await context.newPage();
  const said = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") said.push(message.text());
  });
  page.on("pageerror", (error) => said.push(`uncaught: ${error.message}`));
  const visit = async (hash = "#/") => {
    await page.goto(`${url}/${hash}`);
    await settled(page);
  };
  const quiet = (but = /^$/) => {
    const loud = said.splice(0).filter((line) => !but.test(line));
    assert.deepEqual(loud, [], "nothing is written to the browser's console");
  };
  return { page, visit, quiet };
}

/** Waits until a page shows something else than that it is loading. */
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector("main h1") && !document.querySelector(".ghosts, main.splash"));
  await page.waitForTimeout(60);
}

/** What axe finds wrong, in lines to read. */
export async function axe(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate((rules) => globalThis.axe.run(document, { runOnly: rules }), RULES);
  return found.violations.flatMap((violation) => violation.nodes.map((node) => `${violation.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}

/** Runs a named check; prints `ok NAME`, or what was wrong with it. */
export async function check(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    const text = String(error?.stack ?? error).split("\n").slice(0, 12).join("\n    ");
    console.log(`FAILED ${name}: ${text}`);
    process.exitCode = 1;
  }
}

/** Tries until a condition holds, for at most a minute: other tests use the machine, too. */
export async function until(what, holds) {
  const end = Date.now() + 60_000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `${what} within a minute`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
