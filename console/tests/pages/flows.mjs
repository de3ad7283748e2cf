// What people do in the console, mostly by keyboard, against an environment that this test changes.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { api } from "./api.mjs";
import { axe, check, open, settled, SIZES, until } from "./browser.mjs";

/** How the assets are served. */
export async function serving(url) {
  await check("assets are served with a strict policy, compressed and for ever", async () => {
    const page = await fetch(`${url}/`);
    assert.equal(page.status, 200);
    const policy = page.headers.get("content-security-policy");
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) assert.ok(policy?.includes(part), `${part} in ${policy}`);
    assert.ok(!policy.includes("unsafe"), policy);
    assert.equal(page.headers.get("x-content-type-options"), "nosniff");
    assert.equal(page.headers.get("cache-control"), "no-cache");
    const html = await page.text();
    assert.ok(!/<script>|<style|style=|onclick=/.test(html), "nothing stands inline");
    const script = /src="\/(assets\/[^"]+\.js)"/.exec(html)?.[1];
    const asset = await fetch(`${url}/${script}`, { headers: { "accept-encoding": "gzip" } });
    assert.equal(asset.headers.get("content-encoding"), "gzip");
    assert.match(asset.headers.get("cache-control"), /immutable/);
    assert.match(asset.headers.get("content-type"), /^text\/javascript/);
    assert.equal((await fetch(`${url}/assets/nothing.js`)).status, 404);
  });
}

/** Moving about: focus, keyboard, theme, zone, menu. */
export async function moving(context, url) {
  const { page, visit, quiet } = await open(context, url);
  await check("the first paint comes within a second", async () => {
    await visit("#/");
    const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    assert.ok(paint < 1000, `${paint} ms`);
    console.log(`ok first paint after ${Math.round(paint)} ms`);
  });
  await check("the keyboard reaches the content and every page", async () => {
    await visit("#/");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "content");
    const link = page.getByRole("navigation", { name: "Console" }).getByRole("link", { name: "Revisions" });
    await link.focus();
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Tab");
    const outline = await link.evaluate((link) => getComputedStyle(link).outlineStyle);
    assert.equal(outline, "solid", "focus can be seen");
    await page.keyboard.press("Enter");
    await settled(page);
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Revisions", "the heading has the focus");
    assert.equal(await page.title(), "Revisions · Tidegate");
    assert.equal(await link.getAttribute("aria-current"), "page");
    quiet();
  });
  await check("theme and zone are chosen and kept", async () => {
    await page.getByLabel("Theme").selectOption("dark");
    await page.getByRole("button", { name: "UTC", exact: true }).click();
    await page.reload();
    await settled(page);
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    assert.match(await page.locator("main time").first().innerText(), /UTC$/);
    await page.getByRole("button", { name: "Local" }).click();
    assert.doesNotMatch(await page.locator("main time").first().innerText(), /UTC$/);
    await page.getByLabel("Theme").selectOption("system");
    quiet();
  });
  await check("an answer that takes longer than the pause between two is waited for", async () => {
    let asked = 0;
    const slow = async (route) => {
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, 4_500));
      // The page may have left.
      await route.continue().catch(() => {});
    };
    await page.route("**/api/v1/records?*", slow);
    await page.goto(`${url}/#/records`);
    await page.getByRole("table", { name: "Records" }).or(page.getByText("No record is kept yet")).first().waitFor();
    assert.equal(asked, 1);
    await page.unroute("**/api/v1/records?*", slow);
    quiet();
  });
  await check("the menu of a narrow window opens and closes", async () => {
    await page.setViewportSize(SIZES.narrow);
    const menu = page.getByRole("button", { name: "Navigation" });
    const link = page.getByRole("link", { name: "Rollouts" });
    assert.equal(await link.isVisible(), false);
    await menu.click();
    await link.waitFor();
    assert.deepEqual(await axe(page), []);
    await link.focus();
    await page.keyboard.press("Escape");
    assert.equal(await menu.getAttribute("aria-expanded"), "false");
    await page.setViewportSize(SIZES.wide);
    quiet();
  });
  await page.close();
}

/** A plan's verdict. */
function verdict(page, word) {
  return page.locator(".badge").filter({ hasText: new RegExp(`^${word}$`) });
}

/** Changing an environment: form, document, plan, apply; what stands against it; going back. */
export async function changing(context, url, admin, name) {
  const { page, visit, quiet } = await open(context, url);
  await check("a resource is made by its form, planned and applied by keyboard", async () => {
    await visit("#/configure/upstreams/+");
    await page.getByLabel("Name", { exact: true }).focus();
    await page.keyboard.type("by-form");
    await page.getByLabel("endpoints").focus();
    await page.keyboard.type("127.0.0.1:9\n127.0.0.1:10");
    const document = page.getByLabel("The document that these settings produce");
    assert.equal((await document.innerText()).replace(/\n+/g, "\n").trim(), 'upstreams:\n  by-form:\n    endpoints:\n      - "127.0.0.1:9"\n      - "127.0.0.1:10"');
    await page.getByRole("button", { name: "Plan", exact: true }).focus();
    await page.keyboard.press("Enter");
    await verdict(page, "allowed").waitFor();
    assert.match(await page.locator("main").innerText(), /upstreams\/by-form/);
    assert.deepEqual(await axe(page), []);
    await page.getByLabel("Message").focus();
    await page.keyboard.type("Made by the form");
    await page.getByRole("button", { name: `Apply to ${name}` }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /^Revision #\d+$/ }).waitFor();
    await page.getByText("Made by the form").first().waitFor();
    const kept = await admin.done("GET", `/environments/${name}/resources/upstreams/by-form`);
    assert.deepEqual(kept.resource, { endpoints: ["127.0.0.1:9", "127.0.0.1:10"] });
    assert.equal(kept.manager, "console");
    quiet();
  });
  await check("choices, nested settings and ordered policies make the document that the API keeps", async () => {
    await visit("#/configure/routes/+");
    await page.getByLabel("Name", { exact: true }).fill("by-form");
    await page.getByLabel("upstream", { exact: true }).fill("by-form");
    await page.getByText("More settings", { exact: false }).first().click();
    await page.getByRole("button", { name: "Add match" }).click();
    const match = page.getByRole("group", { name: "match" });
    await match.getByLabel("path", { exact: true }).fill("/by-form/{*rest}");
    await page.getByRole("button", { name: "Add policies" }).click();
    const add = page.getByRole("button", { name: "Add to policies" });
    await add.click();
    await page.getByLabel("policies 1", { exact: true }).selectOption("request_id");
    await add.click();
    await page.getByLabel("policies 2", { exact: true }).selectOption("limit");
    await page.getByLabel("rate", { exact: true }).fill("5");
    await page.getByText("Not in the form that is needed", { exact: false }).waitFor();
    await page.getByLabel("rate", { exact: true }).fill("5/s");
    await page.getByRole("button", { name: "Move policies 2 up" }).click();
    await page.getByRole("button", { name: "Plan", exact: true }).click();
    await verdict(page, "allowed").waitFor();
    await page.getByRole("button", { name: `Apply to ${name}` }).click();
    await page.getByRole("heading", { name: /^Revision #\d+$/ }).waitFor();
    const kept = await admin.done("GET", `/environments/${name}/resources/routes/by-form`);
    assert.deepEqual(Object.keys(kept.resource.policies[0]), ["limit"]);
    assert.equal(kept.resource.policies[0].limit.rate, "5/s");
    assert.deepEqual(kept.resource.policies[1], { request_id: {} });
    assert.equal(kept.resource.match.path, "/by-form/{*rest}");
    assert.deepEqual(kept.resource.target, { upstream: "by-form" });
    quiet();
  });
  await check("a key is made in the browser and kept as its hash", async () => {
    await visit("#/configure/consumers/+");
    await page.getByLabel("Name", { exact: true }).fill("partner");
    await page.getByText("Settings (", { exact: false }).first().click();
    await page.getByRole("button", { name: "Add keys" }).click();
    await page.getByRole("button", { name: "Add to keys" }).click();
    await page.getByRole("button", { name: "Make a new key" }).click();
    const key = await page.locator(".form .note code").innerText();
    const hash = createHash("sha256").update(key).digest("hex");
    assert.match(key, /^tg_[A-Za-z0-9_-]{43}$/);
    assert.equal(await page.getByLabel("sha256", { exact: true }).inputValue(), hash);
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Keep in the draft" }).click();
    await page.getByRole("heading", { name: "partner" }).waitFor();
    await page.getByRole("button", { name: "Take back" }).click();
    quiet();
  });
  await check("usage is summed by what is chosen, and a consumer is forgotten once its name is typed", async () => {
    await visit("#/consumers");
    await page.getByLabel("By", { exact: true }).selectOption("tag");
    await page.getByLabel("And by", { exact: true }).selectOption("revision");
    await page.getByRole("heading", { name: "Usage of the last 30 days" }).waitFor();
    await page.getByRole("button", { name: "Forget storefront" }).click();
    const dialog = page.getByRole("dialog");
    const forget = dialog.getByRole("button", { name: "Forget for good" });
    assert.equal(await forget.isDisabled(), true);
    await dialog.getByRole("textbox").fill("storefront");
    assert.deepEqual(await axe(page), []);
    await forget.click();
    const row = page.getByRole("group", { name: "Forgotten consumers" }).getByRole("row", { name: /storefront/ });
    await row.getByText("done", { exact: true }).waitFor();
    const kept = await admin.done("GET", "/forgotten");
    assert.equal(kept.items[0].consumer, "storefront");
    assert.equal(kept.items[0].steps.find((step) => step.place === "journal").state, "done");
    quiet();
  });
  await check("an error of the plan is shown and keeps the change back", async () => {
    await visit("#/configure/routes/by-form");
    await page.getByLabel("upstream", { exact: true }).fill("nowhere");
    await page.getByRole("button", { name: "Plan", exact: true }).click();
    await verdict(page, "forbidden").or(page.getByRole("alert")).first().waitFor();
    assert.match(await page.locator("main").innerText(), /nowhere/);
    const apply = page.getByRole("button", { name: `Apply to ${name}` });
    if (await apply.count()) assert.equal(await apply.isDisabled(), true);
    await page.getByRole("link", { name: /^routes\.by-form/ }).first().click();
    await page.getByRole("heading", { name: "by-form" }).waitFor();
    await settled(page);
    assert.match(await page.locator("main").innerText(), /nowhere/);
    await page.locator(".form [aria-invalid=true]").or(page.locator(".note.bad")).first().waitFor();
    await page.getByRole("button", { name: "Plan", exact: true }).click();
    await page.getByRole("button", { name: "Discard the draft" }).click();
    quiet(/status of 422/);
  });
  await check("whoever is slower is told what has changed", async () => {
    await visit("#/configure/upstreams/by-form");
    await page.getByLabel("endpoints").fill("127.0.0.1:11");
    await page.getByRole("button", { name: "Plan", exact: true }).click();
    await verdict(page, "allowed").waitFor();
    await admin.apply(name, { upstreams: { faster: { endpoints: ["127.0.0.1:12"] } } });
    await page.getByText("has changed since this draft was begun", { exact: false }).waitFor();
    await verdict(page, "allowed").waitFor();
    await page.getByRole("button", { name: `Apply to ${name}` }).click();
    const alert = page.getByRole("alert").filter({ hasText: "stale" });
    await alert.waitFor();
    assert.match(await alert.innerText(), /What changed since you looked[\s\S]*upstreams\/faster/);
    await page.getByRole("button", { name: "I have looked at it" }).click();
    await page.getByRole("button", { name: `Apply to ${name}` }).click();
    await page.getByRole("heading", { name: /^Revision #\d+$/ }).waitFor();
    quiet(/status of 412/);
  });
  await check("an environment goes back, after a question that Escape answers with no", async () => {
    const before = await admin.environment(name);
    await visit(`#/environments/${name}`);
    await page.getByRole("button", { name: "Roll back" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    assert.deepEqual(await axe(page), []);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.equal((await admin.environment(name)).revision, before.revision);
    await page.getByRole("button", { name: "Roll back" }).click();
    await dialog.getByLabel("Why").fill("Practice");
    await dialog.getByRole("button", { name: "Roll back" }).click();
    await dialog.waitFor({ state: "detached" });
    await until("a new revision is current", async () => (await admin.environment(name)).revision > before.revision);
    quiet();
  });
  await check("an environment is locked, shown as locked, and opened", async () => {
    await page.getByRole("button", { name: "Lock" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Why").fill("Looking closely");
    await dialog.getByRole("button", { name: "Lock" }).click();
    const note = page.locator("main > .note").filter({ hasText: "Looking closely" });
    await note.waitFor();
    assert.equal((await admin.environment(name)).lock.reason, "Looking closely");
    await page.getByRole("button", { name: "Unlock" }).click();
    await dialog.getByRole("button", { name: "Unlock" }).click();
    await note.waitFor({ state: "detached" });
    quiet();
  });
  await check("a change by others shows without a reload", async () => {
    await page.getByText("Live", { exact: true }).waitFor();
    const { generation, variables, promotes_to } = await admin.environment(name);
    await admin.done("PUT", `/environments/${name}`, { variables: { ...variables, SHOWN: "by-events" }, promotes_to }, { "if-match": `"${generation}"` });
    const values = () => page.getByLabel(/^Value/).evaluateAll((inputs) => inputs.map((input) => input.value));
    await until("the variable is shown", async () => (await values()).includes("by-events"));
    quiet();
  });
  await page.close();
}

/** Traffic and records, where the gateway keeps any. */
async function recorded(page, visit, quiet, traffic) {
  await check("traffic shows with its figures", async () => {
    await visit("#/");
    await page.getByRole("row", { name: new RegExp(traffic.route) }).waitFor();
    assert.ok((await page.getByRole("img", { name: /Requests and errors/ }).count()) === 1);
    await page.getByRole("button", { name: "Consumers", exact: true }).click();
    quiet();
  });
  await check("records are searched, and one of them shows its attempts", async () => {
    await visit("#/records");
    await page.getByLabel("Route", { exact: true }).fill("no-such-route");
    await page.keyboard.press("Enter");
    await page.getByText("No record matches").waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await page.getByLabel("Route", { exact: true }).fill(traffic.route);
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: `GET ${traffic.path}` }).first().click();
    await page.getByRole("heading", { name: "Timeline" }).waitFor();
    await page.getByText("attempt 1", { exact: true }).waitFor();
    await page.getByText("whole exchange").waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
}

/** Where versions are in their life, and who calls them; what broke a contract is in its record. */
async function versioned(page, visit, quiet, { shop }, keeps) {
  await check("versions show where they are in their life and who calls them", async () => {
    for (const [version, status] of [["1.0.0", 200], ["1.0", 200], ["1.1.0", 503], ["2", 200], ["3.0.0", 200]]) {
      assert.equal(await shop(version, 1), status, version);
    }
    const row = (name) => page.getByRole("group", { name: "Versions of shop" }).locator("tr").filter({ has: page.getByRole("rowheader", { name, exact: true }) });
    await until("every call is counted", async () => {
      await visit("#/versions");
      // The page asks again every 15 seconds, and this every time.
      await page.reload();
      await settled(page);
      return /2\s*0\s*0/.test((await row("1.0.0").locator("td.number").allInnerTexts()).join(" "));
    });
    const stages = { "1.0.0": /deprecated[^]*ends/, "1.1.0": /deprecated[^]*refuses[^]*until/, "2.0.0": /active/, "3.0.0": /preview/ };
    for (const [version, stage] of Object.entries(stages)) assert.match(await row(version).innerText(), stage);
    assert.deepEqual(await row("1.1.0").locator("td.number").allInnerTexts(), ["1", "0", "1"], "what was refused in the window");
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  if (!keeps) return;
  await check("a record says where its request broke the contract", async () => {
    assert.equal(await shop("2", "no-number"), 400);
    await until("it is kept", async () => {
      await visit("#/records");
      await page.getByLabel("Route", { exact: true }).fill("shop.list");
      await page.keyboard.press("Enter");
      const refused = page.getByRole("row", { name: /400/ }).getByRole("link", { name: "GET /shop" });
      await page.getByRole("link", { name: "GET /shop" }).first().waitFor();
      if ((await refused.count()) === 0) return false;
      await refused.first().click();
      return true;
    });
    await page.getByRole("heading", { name: "What else is kept" }).waitFor();
    const kept = await page.getByRole("main").innerText();
    for (const words of ["shop@2.0.0", "operation: list", "side: request", "in: query", "name: page"]) assert.ok(kept.includes(words), `${words} in ${kept}`);
    quiet();
  });
}

/** What the gateway knows of a provider that fails for a while. */
async function failing(page, visit, quiet, { talk, vendor }) {
  const health = (state) => page.locator(`section[aria-label=nearby][data-state=${state}]`);
  await check("a provider that fails shows as failing, and recovers", async () => {
    await visit("#/providers");
    await until("the provider answers", async () => (await talk()) === 200);
    await health("healthy").waitFor();
    vendor.set(false);
    await talk();
    await health("degraded").or(health("down")).waitFor();
    await page.getByText("Degraded:").or(page.getByText("Down:")).waitFor();
    assert.match(await page.locator("section[aria-label=nearby]").innerText(), /\(503\)/);
    assert.deepEqual(await axe(page), []);
    vendor.set(true);
    await until("it answers again", async () => (await talk()) === 200);
    await health("healthy").waitFor();
    quiet();
  });
  await check("calls to models show their time to the first token", async () => {
    await visit("#/");
    await talk(true);
    await page.getByRole("button", { name: "Models", exact: true }).click();
    const row = page.getByRole("row", { name: /assistant/ });
    await row.getByRole("cell").nth(6).filter({ hasText: /ms|s$/ }).waitFor();
    quiet();
  });
}

/** The playground, where the gateway has one. */
async function played(page, visit, quiet, traffic, keeps) {
  await check("the playground asks a route", async () => {
    await visit("#/playground");
    await page.getByRole("button", { name: "Any route" }).click();
    await page.getByLabel("Path and query").fill(traffic.path);
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText("200", { exact: true }).waitFor();
    assert.deepEqual(await axe(page), []);
    quiet(keeps ? undefined : /status of 501/);
  });
}

/** Looking: what was asked of the gateway, and asking it something. */
export async function looking(context, url, traffic, { keeps, plays }) {
  const { page, visit, quiet } = await open(context, url);
  if (keeps) await recorded(page, visit, quiet, traffic);
  await versioned(page, visit, quiet, traffic, keeps);
  await failing(page, visit, quiet, traffic);
  await kept(page, visit, quiet, traffic);
  if (plays) await played(page, visit, quiet, traffic, keeps);
  await screened(page, visit, quiet);
  await told(page, visit, quiet);
  await run(page, visit, quiet);
  await worked(page, visit, quiet, url);
  await queried(page, visit, quiet);
  await batched(page, visit, quiet);
  await promised(page, visit, quiet);
  await check("the chain of the audit log is checked", async () => {
    await visit("#/audit");
    await page.getByRole("button", { name: "Check the chain" }).click();
    await page.getByText(/The chain of .* is whole/).waitFor();
    quiet();
  });
  await page.close();
}

/** Caches: how often they answer, and a purge by tag. */
async function kept(page, visit, quiet, traffic) {
  await check("a cache shows its hit ratio, and a purge by tag empties it", async () => {
    await visit("#/caches");
    const row = page.getByRole("row", { name: /kept\/0\/cache/ });
    await row.getByText(/^9\d.*%$/).waitFor();
    await page.getByRole("group", { name: "What is forgotten" }).getByRole("button", { name: "A tag" }).click();
    await page.getByLabel("Name", { exact: true }).fill("items");
    await page.getByRole("button", { name: "Purge", exact: true }).click();
    await page.getByRole("status").getByText("1 entry forgotten here").waitFor();
    await until("the cache is empty", async () => (await row.getByRole("cell").nth(3).textContent()) === "0");
    // The service is asked again, and what it says is kept again.
    await traffic.ask("/kept/1");
    await until("the answer is kept again", async () => (await row.getByRole("cell").nth(3).textContent()) === "1");
    await page.getByLabel("Name", { exact: true }).fill("nothing-has-this-tag");
    await page.getByRole("button", { name: "Purge", exact: true }).click();
    await page.getByRole("status").getByText("0 entries forgotten here").waitFor();
    quiet();
  });
}

/** What the firewall matched, and what could be left out of it. */
async function screened(page, visit, quiet) {
  const matches = page.getByRole("group", { name: "Matches of the firewall" });
  const asked = page.getByRole("search", { name: "Matches of the firewall" });
  await check("matches of the firewall are listed and searched", async () => {
    await visit("#/firewall");
    await matches.getByText("SQL union").first().waitFor();
    const row = await matches.getByRole("row").nth(1).innerText();
    assert.match(row, /942190[\s\S]*ARGS:comment[\s\S]*aaa aaaaa aaaa aaaaaa aaaaa 99?[\s\S]*detected/);
    assert.ok(!(await page.locator("main").innerText()).includes("chair"), "values are not shown");
    await asked.getByLabel("Variable").fill("REQUEST_HEADERS");
    await asked.getByRole("button", { name: "Search" }).click();
    await page.getByText("No match fits").waitFor();
    await asked.getByLabel("Variable").fill("ARGS");
    await asked.getByLabel("Action").selectOption("detected");
    await asked.getByLabel("Rule").fill("942190");
    await page.keyboard.press("Enter");
    await matches.getByText("SQL union").first().waitFor();
    assert.match(page.url(), /rule=942190/);
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await check("the narrowest exclusion is suggested, with the text to copy", async () => {
    await visit("#/firewall");
    await page.getByText("Nothing to suggest").waitFor();
    await page.getByLabel("Least callers").fill("1");
    const text = page.getByRole("group", { name: "Exclusions for reviews as YAML" });
    await text.waitFor();
    assert.equal(await text.innerText(), 'exclude:\n- { rule: 942190, target: "ARGS:comment" }');
    const row = await page.getByRole("group", { name: "Exclusions for reviews", exact: true }).getByRole("row").nth(1).innerText();
    assert.match(row, /942190[\s\S]*ARGS:comment[\s\S]*12[\s\S]*12[\s\S]*1/);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy the exclusions for reviews" }).click();
    await page.getByText("Copied").waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await text.innerText());
    assert.deepEqual(await axe(page), []);
    quiet();
  });
}

/** A batch that a caller handed in, which is a job. */
async function batched(page, visit, quiet) {
  await check("a batch stands beside the jobs, with who runs it and how far it is", async () => {
    await visit("#/jobs");
    const row = page.getByRole("group", { name: "Batches", exact: true }).getByRole("row", { name: /msgbatch_tg_/ });
    await row.getByText("3 of 3").waitFor();
    await row.getByText("completed").waitFor();
    assert.match(await row.innerText(), /assistant[\s\S]*this gateway/);
    await page.getByRole("group", { name: "Jobs", exact: true }).getByRole("link", { name: /msgbatch_tg_/ }).click();
    await page.getByText("POST /v1/messages").waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
}

/** Work in bulk: a job that is submitted, paused, resumed and read. */
async function worked(page, visit, quiet, url) {
  await check("a job is paused, goes on, and shows what its items answered", async () => {
    const admin = api(url);
    const job = await admin.done("POST", "/jobs", { name: "nightly orders", listener: "public", path: "/orders/{{index}}", count: 40, concurrency: 1 });
    await admin.done("POST", `/jobs/${job.id}/pause`);
    await visit("#/jobs");
    const jobs = page.getByRole("group", { name: "Jobs", exact: true });
    await jobs.getByText("nightly orders").waitFor();
    await jobs.getByRole("button", { name: `Resume ${job.id}` }).or(jobs.getByText("succeeded")).first().waitFor();
    assert.deepEqual(await axe(page), []);
    const resume = jobs.getByRole("button", { name: `Resume ${job.id}` });
    if (await resume.isVisible()) await resume.click();
    await jobs.getByText("40 of 40").waitFor();
    await jobs.getByRole("link", { name: job.id }).click();
    await page.getByRole("group", { name: "First results" }).getByRole("rowheader", { name: "7", exact: true }).waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
}

/** Questions to the lake: one's own, saved ones, and the parts of it that teams answer for. */
async function queried(page, visit, quiet) {
  const answer = page.getByRole("group", { name: "Answer" });
  await check("the lake is asked in SQL, and its answer is shown, drawn and saved", async () => {
    await visit("#/queries");
    const sql = page.getByLabel("SQL");
    const run = page.getByRole("form", { name: "Ask the lake" }).getByRole("button", { name: "Run" });
    await sql.fill("SELECT route, count(*) AS calls FROM records WHERE route IS NOT NULL GROUP BY route");
    await until("orders are in the lake", async () => {
      await run.click();
      await page.getByText("looked at").waitFor();
      return (await answer.count()) > 0 && (await answer.getByRole("cell", { name: "orders", exact: true }).count()) > 0;
    });
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Bars" }).click();
    await page.getByRole("img", { name: /^calls by route/ }).waitFor();
    assert.deepEqual(await axe(page), []);
    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save the answer as CSV" }).click();
    assert.equal((await saved).suggestedFilename(), "Answer.csv");
    await sql.fill("SELECT colour FROM records");
    await sql.press("Control+Enter");
    await page.getByText("no such column: colour").waitFor();
    quiet(/status of 422/);
  });
  await check("a saved query runs with a value, over a product that its owner keeps fresh", async () => {
    await visit("#/queries");
    const form = page.getByRole("form", { name: "Run orders-by-status" });
    await form.getByLabel("below").fill("300");
    await form.getByRole("button", { name: "Run orders-by-status" }).click();
    await page.getByRole("img", { name: /^calls by status/ }).waitFor();
    await page.getByRole("button", { name: "Table", exact: true }).click();
    await answer.getByRole("cell", { name: "200", exact: true }).waitFor();
    const products = page.getByRole("group", { name: "Data products" });
    const row = products.getByRole("row", { name: /order_calls/ });
    await row.getByText("kept").waitFor();
    await row.getByText("shop", { exact: true }).waitFor();
    await row.getByRole("button", { name: "order_calls" }).click();
    await until("it stands in the editor", async () => (await page.getByLabel("SQL").inputValue()) === "SELECT * FROM order_calls LIMIT 100");
    assert.deepEqual(await axe(page), []);
    quiet();
  });
}

/** What is done when something is wrong, and what is in force for a while. */
async function run(page, visit, quiet) {
  await check("a runbook says what it would do, and runs as far as people let it", async () => {
    await visit("#/runbooks");
    const books = page.getByRole("group", { name: "Runbooks", exact: true });
    await books.getByText("The service is overloaded").waitFor();
    assert.deepEqual(await axe(page), []);
    await books.getByRole("button", { name: "Dry run of slow-down" }).click();
    const lines = page.getByRole("group", { name: "What was seen and done" });
    await lines.getByText("would let orders have 500 requests in flight, for 1h").waitFor();
    await visit("#/runbooks");
    await books.getByRole("button", { name: "Run slow-down" }).click();
    await page.getByText("Is it overloaded?").waitFor();
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "yes", exact: true }).click();
    await lines.getByText("answered: yes").waitFor();
    await lines.getByText("in force: let orders have 500 requests in flight").waitFor();
    quiet();
  });
  await check("a subscriber is paused with a reason, and goes on", async () => {
    await visit("#/subscribers");
    const all = page.getByRole("group", { name: "Subscribers", exact: true });
    await all.getByRole("link", { name: "everything" }).waitFor();
    assert.deepEqual(await axe(page), []);
    await all.getByRole("link", { name: "everything" }).click();
    await page.getByText("Tells the hook of all that happens.").waitFor();
    await page.getByLabel("Why").fill("the hook moves");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("the hook moves").waitFor();
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("button", { name: "Pause" }).waitFor();
    quiet();
  });
  await check("a dead letter is shown with its reason, and sent again", async () => {
    await visit("#/subscribers/nowhere");
    const dead = page.getByRole("group", { name: "Dead letters" });
    await dead.getByRole("button", { name: /^Send again/ }).first().waitFor();
    await dead.getByText("127.0.0.1:9").first().waitFor();
    assert.deepEqual(await axe(page), []);
    const attempts = async () => Number((await page.getByText("attempts failed").innerText()).match(/(\d+) attempts failed/)[1]);
    const before = await attempts();
    await dead.getByRole("button", { name: /^Send again/ }).first().click();
    await until("it is tried again", async () => await attempts() > before);
    quiet();
  });
  await check("an action in force is shown, and undone", async () => {
    await visit("#/runbooks");
    const acts = page.getByRole("group", { name: "Actions in force" });
    await acts.getByRole("button", { name: "Undo let orders have 500 requests in flight" }).click();
    await acts.waitFor({ state: "detached" });
    const runs = page.getByRole("group", { name: "Runs of runbooks" });
    await runs.getByText("slow-down").first().waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
}

/** Who is told, what is silenced, and how changes fare. */
async function told(page, visit, quiet) {
  const groups = page.getByRole("group", { name: "Groups of alerts" });
  await check("a group of alerts is shown with what has not arrived, and taken in hand", async () => {
    await visit("#/notifications");
    await groups.getByText("orders fails 12 % of its requests").waitFor();
    await page.getByRole("group", { name: "Messages that have not arrived" }).getByText("gone").first().waitFor();
    // Other alerts of the same gateway may be on by now.
    await groups.getByRole("button", { name: /Take in hand.*inc-7/ }).click();
    await groups.getByText("in hand").first().waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await check("alerts are silenced with a reason, until the silence is ended", async () => {
    const form = page.getByRole("form", { name: "A new silence" });
    await form.getByLabel("Alerts").fill("severity");
    await form.getByText("LABEL=VALUE or LABEL!=VALUE").waitFor();
    await form.getByLabel("Alerts").fill("severity=page route!=orders");
    await form.getByLabel("Reason").fill("known, being mended");
    await page.keyboard.press("Enter");
    const silences = page.getByRole("group", { name: "Silences" });
    await silences.getByText("severity=page route!=orders").first().waitFor();
    assert.match(await silences.innerText(), /known, being mended/);
    assert.deepEqual(await axe(page), []);
    await silences.getByRole("button", { name: /^End/ }).click();
    await silences.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Send a test to hook" }).click();
    await page.getByText("A message to hook is on its way").waitFor();
    quiet();
  });
  await check("delivery metrics come with counts and intervals, and say what they do not mean", async () => {
    await visit("#/delivery");
    await page.getByText("What these figures do not mean").waitFor();
    const row = await page.getByRole("group", { name: "Services" }).getByRole("row").nth(1).innerText();
    assert.match(row, /gateway\/[\s\S]*counted/);
    await page.getByRole("group", { name: "Forecasts" }).getByText("2099-01-01").first().waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
}

/** Promises: what is left of their budgets, and where they fail. */
async function promised(page, visit, quiet) {
  const table = page.getByRole("group", { name: "Objectives", exact: true });
  const row = (name) => table.getByRole("row").filter({ hasText: name });
  await check("objectives show what is left, and which one burns", async () => {
    await visit("#/objectives");
    await row("orders-available").getByText("kept").waitFor();
    await row("silent-available").getByText("page", { exact: true }).waitFor();
    assert.match(await row("silent-available").innerText(), /-9900 %[\s\S]*100\.0 ×[\s\S]*spent[\s\S]*99 %[\s\S]*30d/);
    assert.match(await row("orders-available").innerText(), /100 %[\s\S]*0\.0 ×[\s\S]*lasts[\s\S]*99\.9 %/);
    assert.match(await row("reviews-fast").innerText(), /month Europe\/Berlin/);
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await check("an objective says how fast it burns and where it fails", async () => {
    await visit("#/objectives/orders-available");
    await page.getByText("Orders are answered.").waitFor();
    await page.getByText("route orders").waitFor();
    assert.equal(await page.getByRole("link", { name: "https://runbooks.example/orders" }).getAttribute("href"), "https://runbooks.example/orders");
    await visit("#/objectives/silent-available");
    await page.getByRole("group", { name: "Burn by window" }).getByRole("row").filter({ hasText: "5m" }).getByText("100.0 × as fast as allowed").waitFor();
    await page.getByText("page since").waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await check("a forecast says when an error budget is spent, at which pace", async () => {
    await visit("#/objectives");
    await page.getByRole("group", { name: "Objectives" }).getByRole("row").filter({ hasText: "silent-available" }).getByRole("link", { name: "spent" }).click();
    await page.getByRole("heading", { name: "Forecast of silent-available" }).waitFor();
    const row = page.getByRole("group", { name: "Forecast by window" }).getByRole("row").filter({ has: page.getByRole("rowheader", { name: "1h", exact: true }) });
    await row.getByText("spent").waitFor();
    await page.getByRole("img", { name: /Error budget left, if it burns on as it does/ }).waitFor();
    await visit("#/objectives/orders-available/forecast");
    await page.getByText("lasts").first().waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
}

/** Signing in and out, and what a role may do. */
export async function signing(context, url, keys, shots) {
  const { page, quiet } = await open(context, url);
  await check("a wrong key is refused, a right one begins a session that scripts cannot read", async () => {
    await page.goto(`${url}/`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.screenshot({ path: `${shots}/sign-in.png` });
    assert.deepEqual(await axe(page), []);
    await page.getByLabel("Key or token").fill("not-a-key");
    await page.keyboard.press("Enter");
    await page.getByText("This key or token is not valid").waitFor();
    await page.getByLabel("Key or token").fill(keys.viewer);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Live traffic" }).waitFor();
    assert.equal(await page.evaluate(() => document.cookie), "");
    const [cookie] = await context.cookies(url);
    assert.equal(cookie?.httpOnly, true);
    assert.equal(cookie?.sameSite, "Strict");
    quiet(/status of 401/);
  });
  await check("a viewer sees and cannot change", async () => {
    await page.goto(`${url}/#/environments`);
    await settled(page);
    assert.equal(await page.getByRole("button", { name: "New environment" }).count(), 0);
    const status = await page.evaluate(async () => (await fetch("/api/v1/environments/production/lock", { method: "POST", headers: { "content-type": "application/json", "tidegate-csrf": "1" }, body: '{"reason":"x"}' })).status);
    assert.equal(status, 403);
    quiet(/status of 403/);
  });
  await check("signing out ends the session", async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal(await page.evaluate(async () => (await fetch("/api/v1/me")).status), 401);
    quiet(/status of 401/);
  });
  await check("a write with a session's cookie and without its header is refused", async () => {
    await page.getByLabel("Key or token").fill(keys.admin);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    const status = await page.evaluate(async () => (await fetch("/api/v1/environments/production/lock", { method: "POST", headers: { "content-type": "application/json" }, body: '{"reason":"x"}' })).status);
    assert.equal(status, 403);
    quiet(/status of 403/);
  });
  await page.close();
}

/** A failure on purpose: begun, seen, stopped, and scored from its incident. */
export async function breaking(context, url, admin, traffic, name) {
  const { page, visit, quiet } = await open(context, url);
  const row = (group, text) => page.getByRole("group", { name: group, exact: true }).getByRole("row").filter({ hasText: text });
  await check("an experiment is started with an end, a share and a guard", async () => {
    await visit("#/experiments");
    await page.getByText("Nothing fails on purpose").waitFor();
    await page.getByRole("button", { name: "Start an experiment" }).click();
    await page.getByLabel("Name", { exact: true }).fill("break-kept");
    await page.getByLabel("What goes wrong").selectOption("reset");
    await page.getByLabel("Its name there").fill("guarded");
    await page.getByLabel("Share of the tries, %").fill("100");
    await page.getByLabel("Stop at bad exchanges, %").fill("100");
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await row("Experiments", "break-kept").getByText("running").waitFor();
    assert.match(await row("Experiments", "break-kept").innerText(), /reset[\s\S]*route guarded/);
    await page.getByText("Something fails on purpose now").waitFor();
    const { document } = await admin.done("GET", `/environments/${name}`).then(({ revision }) => admin.done("GET", `/revisions/${revision}/document`));
    assert.deepEqual(document.experiments["break-kept"].scope, { route: "guarded" });
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await check("its incident says what it does, and its score is kept", async () => {
    await row("Scores", "break-kept").getByText("not named").waitFor();
    await row("Experiments", "break-kept").getByRole("button", { name: "Stop break-kept" }).click();
    await row("Experiments", "break-kept").getByText("stopped", { exact: true }).waitFor();
    await row("Scores", "break-kept").getByRole("link").click();
    await page.getByRole("heading", { name: "Experiment", exact: true }).waitFor();
    const timeline = page.getByRole("group", { name: "Timeline" });
    await timeline.getByText("the experiment `break-kept` injects `reset` at route guarded").waitFor();
    await timeline.getByText("the experiment `break-kept` ended: it was stopped").waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await admin.done("DELETE", `/environments/${name}/resources/experiments/break-kept`, undefined, { "tidegate-manager": "console" });
  await page.close();
}

/** A revision that fails is taken back, and its incident worked on to its postmortem; the incident. */
export async function learning(context, url, admin, traffic, name) {
  const flaky = (status) => ({ routes: { flaky: { match: { path: "/flaky" }, target: { fixed: { status } } } } });
  await admin.apply(name, flaky(200));
  await until("the new route is served", async () => (await traffic.ask("/flaky")) === 200);
  const { rollout } = await admin.apply(name, flaky(500), { canary: { settings: { steps: ["50%"], step_minimum: "500ms", signals: ["errors"] } } });
  await until("the candidate is taken back", async () => {
    for (let at = 0; at < 20; at += 1) await traffic.ask("/flaky");
    return (await admin.done("GET", `/rollouts/${rollout}`)).state === "rolled_back";
  });
  const { page, visit, quiet } = await open(context, url);
  let id = "";
  await check("an incident tells what happened, with what shows it", async () => {
    await visit("#/incidents");
    const list = page.getByRole("group", { name: "Incidents", exact: true });
    await list.getByText("revision").first().waitFor();
    // What fails besides may have opened another.
    id = (await admin.done("GET", "/incidents")).items.find((one) => one.revisions.length > 0).id;
    await list.getByRole("link", { name: id, exact: true }).click();
    const timeline = page.getByRole("group", { name: "Timeline" });
    await timeline.getByText("was taken back").first().waitFor();
    await timeline.getByText("target.fixed.status from 200 to 500").first().waitFor();
    await page.getByRole("heading", { name: "Exchanges by second" }).waitFor();
    await page.getByRole("heading", { name: "Share that failed" }).waitFor();
    assert.match(await page.getByText(/^Marked: /).innerText(), /began|action/);
    assert.match(await page.getByRole("group", { name: "Hypotheses" }).innerText(), /100 %/);
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await check("people take roles and tell the public", async () => {
    await page.getByRole("button", { name: "Take it Incident commander" }).click();
    await page.getByLabel("Who has it from now on").fill("Ada Byron");
    await page.getByRole("button", { name: "Assign" }).click();
    await page.getByRole("button", { name: "Hand over Incident commander" }).waitFor();
    await page.getByLabel("A word to the public").fill("Some requests failed for a moment.");
    await page.getByRole("button", { name: "Publish" }).click();
    await page.getByText("Some requests failed for a moment.").first().waitFor();
    await page.getByRole("button", { name: "It holds" }).first().click();
    await page.getByText("supported").waitFor();
    await visit("#/incidents");
    await page.getByRole("region", { name: "What the public sees" }).getByText("Some requests failed for a moment.").waitFor();
    quiet();
  });
  await check("a postmortem that blames is refused, another is published with its actions", async () => {
    await visit(`#/incidents/${id}/postmortem`);
    await page.getByLabel("Overview").fill("Human error.");
    await page.getByRole("button", { name: "Publish" }).click();
    await page.getByText("say what made this possible or likely").first().waitFor();
    quiet(/status of 409/);
    await page.getByLabel("Overview").fill("A status was changed.");
    await page.getByLabel("Contributing factors").fill("The plan did not show it.");
    await page.getByRole("button", { name: "Add an action item" }).click();
    await page.getByLabel("Action 1").fill("Show it in plans");
    await page.getByLabel("Team 1").fill("gateway");
    await page.getByRole("button", { name: "Publish" }).click();
    await page.locator("main").getByText("published", { exact: true }).waitFor();
    assert.match(await page.getByRole("group", { name: "The postmortem as Markdown" }).innerText(), /The plan did not show it[\s\S]*Show it in plans \(team gateway\)/);
    await visit("#/incidents");
    await page.getByRole("button", { name: "Done Show it in plans" }).click();
    await page.getByText("Nothing is open").waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await check("a diagnosis is drilled down by dimension", async () => {
    await visit("#/diagnosis");
    await page.getByRole("group", { name: "Failures by route" }).getByText("silent").first().waitFor();
    await page.getByRole("button", { name: "status", exact: true }).click();
    await page.getByRole("group", { name: "Failures by status" }).getByText("502").first().waitFor();
    await page.getByRole("group", { name: "Findings" }).getByText("saturation").first().waitFor();
    assert.deepEqual(await axe(page), []);
    quiet();
  });
  await page.close();
  return id;
}
