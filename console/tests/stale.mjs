// Builds the console anew and compares it with what is committed: `node tests/stale.mjs [COMMITTED]`.
// Compressed files are compared by what they hold, because versions of zlib may pack differently.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { build } from "vite";

/** Most that a browser may have to load before the first page, in bytes as sent. */
const BYTES_MAX = 400 * 1024;

const committed = process.argv[2] ?? "dist";
const built = mkdtempSync(join(tmpdir(), "console-"));
process.env.CONSOLE_DIST = built;
await build({ logLevel: "error" });

function files(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

function content(folder, file) {
  const bytes = readFileSync(join(folder, file));
  return file.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

const wrong = [...new Set([...files(committed), ...files(built)])].filter((file) => {
  const both = existsSync(join(committed, file)) && existsSync(join(built, file));
  return !both || !content(committed, file).equals(content(built, file));
});
const size = files(built).filter((file) => !file.endsWith(".gz") && !file.endsWith(".rs"))
  .reduce((sum, file) => sum + gzipSync(readFileSync(join(built, file)), { level: 9 }).length, 0);
rmSync(built, { recursive: true });

if (wrong.length > 0) {
  console.log(`console/dist is stale: run \`npm ci && npm run build\` in console/. Differs: ${wrong.join(", ")}`);
  process.exitCode = 1;
} else {
  console.log("ok the committed console is what its sources build");
}
if (size > BYTES_MAX) {
  console.log(`the console has ${size} bytes compressed, more than ${BYTES_MAX}`);
  process.exitCode = 1;
} else {
  console.log(`ok the console has ${size} bytes compressed`);
}
