// What `tidegate demo --scenario bad-revision` leaves behind, looked at in a real browser:
// `node tests/scenario.mjs JOB`, where JOB is a file of JSON: `browser` (the executable), `admin` (base URL
// of the console), `rollout` and `incident` (their names), and `shots` (a folder for screenshots). A line
// `ok NAME` is printed for each check that was right.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { axe, browse, check, open } from "./pages/browser.mjs";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
mkdirSync(job.shots, { recursive: true });

const { context, close } = await browse(job.browser);
try {
  const { page, visit, quiet } = await open(context, job.admin);
  /** Ends a check: nothing was said, axe finds nothing, the page is kept as it is. */
  const looked = async (name) => {
    await page.screenshot({ path: join(job.shots, `scenario-${name}.png`), fullPage: true });
    assert.deepEqual(await axe(page), []);
    quiet();
  };
  await check("the rollout was taken back by its evidence", async () => {
    await visit("#/rollouts");
    const list = page.getByRole("group", { name: "Rollouts" });
    await list.getByText("rolled back").waitFor();
    await list.getByRole("link", { name: "careful" }).click();
    const evidence = page.getByRole("group", { name: "Evidence by route and signal" });
    const row = evidence.getByRole("row").filter({ hasText: "orders" }).first();
    await row.waitFor();
    const [slice, signal, current, , candidate] = await row.getByRole("cell").or(row.getByRole("rowheader")).allInnerTexts();
    assert.deepEqual([slice, signal], ["orders", "errors"]);
    assert.match(current, /^0 of [1-9]/);
    assert.match(candidate, /^[1-9]\d* of [1-9]/);
    assert.match(await page.locator("main").innerText(), /taken back at (25|50) %: errors on `orders`/);
    await looked("rollout");
  });
  await check("the incident is attributed to the revision, with its facts", async () => {
    await visit("#/incidents");
    await page.getByRole("group", { name: "Incidents", exact: true }).getByRole("link", { name: job.incident, exact: true }).click();
    const timeline = page.getByRole("group", { name: "Timeline" });
    for (const words of ["was taken back", "from \"orders-v1\" to \"orders-next\"", "the first exchange that failed"]) await timeline.getByText(words).first().waitFor();
    const hypotheses = page.getByRole("group", { name: "Hypotheses" });
    await hypotheses.getByText(`revision \`${job.candidate}\``).first().waitFor();
    await hypotheses.getByText("100 % of the excess").first().waitFor();
    await page.getByRole("heading", { name: "Exchanges by second" }).waitFor();
    await looked("incident");
  });
  await check("a fact leads to the exchange that shows it", async () => {
    await page.getByRole("group", { name: "Timeline" }).getByRole("row").filter({ hasText: "the first exchange that failed" }).getByRole("link").click();
    await page.locator("main").getByText("500").first().waitFor();
    await page.locator("main").getByText("shop-app").first().waitFor();
    await looked("record");
  });
  await check("the postmortem is drafted from the facts", async () => {
    await visit(`#/incidents/${job.incident}/postmortem`);
    const text = await page.getByRole("group", { name: "The postmortem as Markdown" }).innerText();
    for (const words of ["## Timeline", "## Contributing factors", "## Action items", "orders-next", "was taken back"]) assert.ok(text.includes(words), `${words} in ${text}`);
    await looked("postmortem");
  });
  await check("delivery metrics count the failure, its recovery and the mending", async () => {
    await visit("#/delivery");
    const row = page.getByRole("group", { name: "Services" }).getByRole("row").filter({ hasText: "gateway/production" });
    await row.waitFor();
    const cells = await row.getByRole("cell").allInnerTexts();
    const [lead, , failed, recovery, rework] = cells;
    assert.match(lead, /1 counted/);
    assert.match(failed, /^33\.3.*[\s\S]*3 counted/);
    assert.match(recovery, /1 counted/);
    assert.match(rework, /^33\.3/);
    await looked("delivery");
  });
  await check("the objective shows what the failures cost", async () => {
    await visit("#/objectives/orders-available");
    await page.locator("main").getByText("route orders").waitFor();
    await looked("objective");
  });
  await check("revisions tell who wrote them and why", async () => {
    await visit("#/revisions");
    const list = page.locator("main");
    for (const words of ["Orders 1.1: prices from the new table", "Orders 1.1.1: shelves have prices, too"]) await list.getByText(words).first().waitFor();
    await looked("revisions");
  });
  await page.close();
} finally {
  await close();
}
