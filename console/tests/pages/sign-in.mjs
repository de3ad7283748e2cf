// Signing in at an identity provider, in a real browser: `node tests/pages/sign-in.mjs JOB`, where JOB
// is a file of JSON: `browser` (the executable), `admin` (address of the admin API), `provider` (the
// provider's URL), `shots` (a folder for screenshots). A line `ok NAME` is printed for each check that
// was right.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { axe, browse, check, open, settled } from "./browser.mjs";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
mkdirSync(job.shots, { recursive: true });

/** Goes from the console's door to the provider, and through its pages as `name`. */
async function signIn(page, name) {
  await page.goto(`${job.admin}/`);
  await page.getByRole("link", { name: "Sign in at your identity provider" }).click();
  await page.waitForURL((url) => url.href.startsWith(job.provider), { waitUntil: "commit" });
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill("anything");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL((url) => url.href.startsWith(job.admin));
}

const { context, close } = await browse(job.browser);
// The provider's pages ask for a font of the web, which is not there.
await context.route((url) => url.hostname !== "127.0.0.1", (route) => route.abort());
try {
  const { page, quiet } = await open(context, job.admin);
  await check("the door leads to the provider and back into a session", async () => {
    await page.goto(`${job.admin}/`);
    await page.getByRole("link", { name: "Sign in at your identity provider" }).waitFor();
    await page.screenshot({ path: `${job.shots}/sign-in-oidc.png` });
    assert.deepEqual(await axe(page), []);
    quiet(/status of 401/);
    await signIn(page, "ada");
    await page.getByRole("heading", { name: "Live traffic" }).waitFor();
    const me = await page.evaluate(async () => (await fetch("/api/v1/me")).json());
    assert.deepEqual([me.actor, me.role, me.authentication], ["ada", "operator", "session"]);
  });
  await check("the session's cookie is out of reach of scripts and of other sites", async () => {
    assert.equal(await page.evaluate(() => document.cookie), "");
    const cookies = (await context.cookies(job.admin)).filter((cookie) => cookie.name.startsWith("tidegate"));
    assert.deepEqual(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]), [["tidegate_session", true, "Strict"]]);
  });
  await check("a write with the session and without its header is refused", async () => {
    const lock = (headers) => page.evaluate(async (headers) => (await fetch("/api/v1/environments/production/lock", { method: "POST", headers: { "content-type": "application/json", ...headers }, body: '{"reason":"x"}' })).status, headers);
    assert.equal(await lock({}), 403);
    // Nobody has made the environment, which is only said to those who may ask.
    assert.equal(await lock({ "tidegate-csrf": "1" }), 404);
  });
  await check("signing out ends the session", async () => {
    await page.goto(`${job.admin}/`);
    await settled(page);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal(await page.evaluate(async () => (await fetch("/api/v1/me")).status), 401);
  });
  await check("somebody in no group is told so", async () => {
    await context.clearCookies();
    await signIn(page, "eve");
    await page.getByText("none of your groups may use this gateway").waitFor();
    assert.deepEqual(await axe(page), []);
    assert.ok(!page.url().includes("sign_in="), page.url());
  });
} finally {
  await close();
}
