// Sources of the console, bundled as the browser gets them, for tests without a browser.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "vite";

const folder = mkdtempSync(join(tmpdir(), "console-"));

/** A module under `src`. */
export async function load(name) {
  const fileName = `${name.replaceAll(/\W/g, "-")}.mjs`;
  const lib = { entry: resolve("src", name), formats: ["es"], fileName: () => fileName };
  await build({ configFile: false, logLevel: "error", build: { lib, outDir: folder, emptyOutDir: false } });
  return import(join(folder, fileName));
}

/** Removes what was bundled. */
export function unload() {
  rmSync(folder, { recursive: true, force: true });
}
