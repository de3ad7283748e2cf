// The developer portal in a real browser against a running gateway: `node tests/portal.mjs JOB`, where
// JOB is a file of JSON: `browser` (the executable), `url` (of the portal, open to everybody), `guarded`
// (of the same behind keys), `key` (one that is let in) and `shots` (a folder for screenshots). A line
// `ok NAME` is printed for each check that was right.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { axe, browse, check, open, SIZES } from "./pages/browser.mjs";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
mkdirSync(job.shots, { recursive: true });

/** Opens a page of the portal whose APIs have been read. */
async function visit(context, url) {
  const { page, quiet } = await open(context, url);
  await page.goto(url);
  await page.locator("#api h2").waitFor();
  return { page, quiet };
}

/** Opens an operation, and returns the form that tries it. */
async function operation(page, method, path) {
  const box = page.locator("#api details").filter({ has: page.locator("summary code", { hasText: path }) }).filter({ has: page.locator(".method", { hasText: method }) });
  await box.locator("summary").click();
  await box.locator("form").waitFor();
  return { box, form: box.locator("form") };
}

/** Presses Send, and returns what is shown of the answer. */
async function sent(form) {
  const answered = form.page().waitForResponse((response) => response.request().resourceType() === "fetch");
  await form.getByRole("button", { name: "Send" }).click();
  await answered;
  const output = form.locator("pre");
  await form.page().waitForFunction((shown) => shown.textContent.includes("\n\n"), await output.elementHandle());
  return output.textContent();
}

const { context, close } = await browse(job.browser);
try {
  await check("an API is shown with its operations", async () => {
    const { page, quiet } = await visit(context, job.url);
    assert.equal(await page.locator("#api h2").textContent(), "Orders 1.0.0");
    const { box } = await operation(page, "POST", "/v1/orders");
    const text = await box.textContent();
    for (const words of ["Body: application/json", "\"maxLength\": 40", "201", "made"]) assert.ok(text.includes(words), `${words} in ${text}`);
    assert.match(await page.locator("#me").textContent(), /not signed in/);
    quiet();
    await page.close();
  });

  await check("a request is really sent with the key, and its answer is shown", async () => {
    const { page, quiet } = await visit(context, job.url);
    const { form } = await operation(page, "POST", "/v1/orders");
    await form.getByLabel("Header with your key").fill(`Authorization: Bearer ${job.key}`);
    await form.getByLabel("Body").fill('{"item":"chair","count":2}');
    const shown = await sent(form);
    assert.match(shown, /^201/);
    assert.ok(shown.includes('{"made":{"item":"chair","count":2}}'), shown);
    quiet();
    await page.close();
  });

  await check("an example of the contract keeps to it, and what does not is told by place", async () => {
    const { page, quiet } = await visit(context, job.url);
    const { form } = await operation(page, "POST", "/v1/orders");
    await form.getByLabel("Header with your key").fill(`Authorization: Bearer ${job.key}`);
    assert.match(await sent(form), /^201/, "what the form offers is a sound request");
    await form.getByLabel("Body").fill('{"item":"chair","count":0}');
    const shown = await sent(form);
    assert.match(shown, /^400/);
    assert.ok(shown.includes('"pointer":"/count"'), shown);
    quiet(/status of 400/);
    await page.close();
  });

  await check("parameters go where they belong, and no key is no way in", async () => {
    const { page, quiet } = await visit(context, job.url);
    const { form } = await operation(page, "GET", "/v1/orders/{id}");
    await form.getByLabel("id (path)").fill("7");
    await form.getByLabel("note (query)").fill("a&b=c");
    await form.getByLabel("X-Shop (header)").fill("corner");
    assert.match(await sent(form), /^401/);
    await form.getByLabel("Header with your key").fill(`X-Api-Key: ${job.key}`);
    const shown = await sent(form);
    assert.match(shown, /^200/);
    assert.ok(shown.includes('"/v1/orders/7?note=a%26b%3Dc corner"'), shown);
    quiet(/status of 401/);
    await page.close();
  });

  await check("texts of a document are texts and nothing else", async () => {
    const { page, quiet } = await visit(context, job.url);
    await page.getByRole("button", { name: /Hostile/ }).click();
    await page.getByRole("heading", { level: 2, name: /Hostile/ }).waitFor();
    assert.equal(new URL(page.url()).hash, "#hostile", "each API has an address of its own");
    await page.reload();
    await page.getByRole("heading", { level: 2, name: /Hostile/ }).waitFor();
    const summaries = page.locator("#api details summary");
    for (let at = 0; at < (await summaries.count()); at += 1) await summaries.nth(at).click();
    await page.locator("#api form").first().waitFor();
    const found = await page.evaluate(() => ({
      made: document.querySelectorAll("#api img, #api script, #api iframe, #api svg, #api [onerror], #api [onclick]").length,
      ran: Boolean(globalThis.pwned),
      scripts: [...document.scripts].map((script) => script.getAttribute("src")),
      links: [...document.querySelectorAll("#api a")].map((link) => link.getAttribute("href")),
    }));
    assert.deepEqual(found, { made: 0, ran: false, scripts: ["page.js"], links: ["apis/hostile/openapi.json"] });
    assert.ok((await page.locator("#api").textContent()).includes("<img src=x onerror=pwned=1>"), "it is shown as it is written");
    quiet();
    await page.close();
  });

  await check("the policy of the page keeps out what others would put in", async () => {
    const { page } = await visit(context, job.url);
    const ran = await page.evaluate(async () => {
      const script = document.createElement("script");
      script.textContent = "globalThis.pwned = true";
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="globalThis.pwned = true">');
      const elsewhere = await fetch("http://127.0.0.1:9/").then(() => "sent", () => "refused");
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { pwned: Boolean(globalThis.pwned), elsewhere };
    });
    assert.deepEqual(ran, { pwned: false, elsewhere: "refused" });
    await page.close();
  });

  await check("callers see their own keys and usage", async () => {
    await context.setExtraHTTPHeaders({ "x-api-key": job.key });
    const { page, quiet } = await visit(context, job.guarded);
    const me = page.locator("#me");
    await me.locator("table").first().waitFor();
    const text = await me.textContent();
    assert.ok(text.includes("storefront") && text.includes("849bcdf2…"), text);
    assert.ok(!text.includes("849bcdf2697"), "never the whole hash");
    assert.match(text, /orders[1-9]/);
    quiet();
    await page.close();
    await context.setExtraHTTPHeaders({});
  });

  await check("it can be read and used by everybody", async () => {
    const { page } = await visit(context, job.url);
    await operation(page, "POST", "/v1/orders");
    for (const [name, size] of Object.entries(SIZES)) {
      await page.setViewportSize(size);
      await page.screenshot({ path: join(job.shots, `portal-${name}.png`) });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `nothing is wider than a ${name} window: ${wide}`);
    }
    // The script of axe is put in from outside, which the page's policy allows to nobody else.
    assert.deepEqual(await axe(page), []);
    await page.close();
  });
} finally {
  await close();
}
