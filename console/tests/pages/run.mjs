// The console in a real browser against a running gateway: `node tests/pages/run.mjs JOB`, where JOB
// is a file of JSON: `browser` (the executable), `admin` (address of the admin API), `environment`
// (made here), `upstream` (an address that answers everything), `shots` (a folder for screenshots),
// and `signing` ({ admin, keys }: a second gateway, with keys). A line `ok NAME` is printed for each
// check that was right.

import { readFileSync } from "node:fs";
import { api } from "./api.mjs";
import { browse } from "./browser.mjs";
import { breaking, changing, learning, looking, moving, serving, signing } from "./flows.mjs";
import { seed } from "./seed.mjs";
import { failures, visits } from "./visits.mjs";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const admin = api(job.admin);

/** Addresses of every page, with something to show on those that show one thing. */
async function pages(traffic, keeps) {
  const name = job.environment;
  const { revision } = await admin.environment(name);
  const { items: rollouts } = await admin.done("GET", `/environments/${name}/rollouts`);
  const all = {
    traffic: "#/", providers: "#/providers", versions: "#/versions", caches: "#/caches", firewall: "#/firewall", notifications: "#/notifications", delivery: "#/delivery", objectives: "#/objectives", objective: "#/objectives/silent-available", forecast: "#/objectives/silent-available/forecast",
    configure: "#/configure", kind: "#/configure/routes", resource: `#/configure/routes/${traffic.route}`, fresh: "#/configure/models/+", plan: "#/configure/plan",
    revisions: "#/revisions", revision: `#/revisions/${revision}`, rollouts: "#/rollouts",
    environments: "#/environments", environment: `#/environments/${name}`, consumers: "#/consumers", audit: "#/audit", playground: "#/playground", experiments: "#/experiments", incidents: "#/incidents", runbooks: "#/runbooks", jobs: "#/jobs", queries: "#/queries", subscribers: "#/subscribers", subscriber: "#/subscribers/nowhere", diagnosis: "#/diagnosis", lost: "#/no/such/page",
  };
  if (keeps) {
    const { items: [record] } = await admin.done("GET", "/records?limit=1");
    Object.assign(all, { records: "#/records", record: `#/records/${record.id}` });
  }
  if (rollouts[0]) all.rollout = `#/rollouts/${rollouts[0].id}`;
  return all;
}

/** Pages that load something beside the environments. */
const LOADING = ["traffic", "records", "record", "providers", "caches", "firewall", "notifications", "delivery", "objectives", "objective", "forecast", "experiments", "incidents", "incident", "postmortem", "runbooks", "jobs", "queries", "subscribers", "subscriber", "diagnosis", "configure", "kind", "resource", "revisions", "revision", "rollouts", "consumers", "audit"];

const { context, close } = await browse(job.browser);
try {
  await serving(job.admin);
  const { traffic, keeps, plays, roll } = await seed(admin, job.environment, job.upstream);
  await moving(context, job.admin);
  await looking(context, job.admin, traffic, { keeps, plays });
  await changing(context, job.admin, admin, job.environment);
  const incident = await learning(context, job.admin, admin, traffic, job.environment);
  await breaking(context, job.admin, admin, traffic, job.environment);
  const rolled = await roll();
  if (!rolled?.rollout) console.log(`no rollout was begun: ${JSON.stringify(rolled)}`);
  const all = await pages(traffic, keeps);
  if (incident) Object.assign(all, { incident: `#/incidents/${incident}`, postmortem: `#/incidents/${incident}/postmortem` });
  const { revision } = await admin.environment(job.environment);
  all.diff = `#/diff/${revision - 1}/${revision}`;
  await visits(context, job.admin, all, job.shots);
  await failures(context, job.admin, Object.fromEntries(LOADING.filter((name) => all[name]).map((name) => [name, all[name]])), job.shots);
  if (job.signing) await signing(context, job.signing.admin, job.signing.keys, job.shots);
} finally {
  await close();
}
