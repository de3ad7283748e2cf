// Incidents: what happened, who does what about it, what outsiders are told.

import { useState } from "preact/hooks";
import { call, get, path } from "../api";
import { count, dollars, percent } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import { useSession } from "../session";
import type { ActionItem, GameDay, IncidentDetail, IncidentSummary, Page, StatusPreview } from "../types";
import { Chart } from "../ui/chart";
import { Named, seconds } from "./experiments";
import { Ask } from "../ui/dialog";
import { Act, Badge, Card, Empty, Field, Head, Load, Note, RevisionLink, Table, Time, type Tone } from "../ui/parts";

const TONES: Record<string, Tone> = { detected: "bad", triaged: "bad", mitigated: "warn", resolved: "good", reviewed: "" };
const NEXT: Record<string, [string, string][]> = {
  detected: [["mitigated", "Mitigated"], ["resolved", "Resolved"]],
  triaged: [["mitigated", "Mitigated"], ["resolved", "Resolved"]],
  mitigated: [["triaged", "Burns again"], ["resolved", "Resolved"]],
  resolved: [["triaged", "Burns again"], ["reviewed", "Reviewed"]],
  reviewed: [],
};
const ROLES = [["commander", "Incident commander"], ["communications", "Communications lead"], ["operations", "Operations lead"]] as const;

/** The page of a link below the admin API, where the console has one. */
function shown(link: string): string | undefined {
  const [where = "", query = ""] = link.replace(/^\/v1\//, "").split("?");
  const [kind = "", id] = where.split("/");
  if (!["records", "revisions", "rollouts", "incidents"].includes(kind)) return undefined;
  if (id) return to([kind, decodeURIComponent(id)]);
  const filter = new URLSearchParams(query);
  for (const name of ["from_ms", "until_ms"]) filter.delete(name);
  return to([kind], Object.fromEntries(filter));
}

function Status() {
  const loaded = useLoad("status-pages", async (signal) => (await get<Page<StatusPreview>>("/status-pages", {}, signal)).items, 10_000);
  return (
    <Card title="What the public sees">
      <Load of={loaded} lines={2}>
        {(pages) => (
          <>
            {pages.map((page) => {
              const read = new DOMParser().parseFromString(page.html.replace(/<style>[^]*?<\/style>/, ""), "text/html");
              return (
                <section key={page.title} aria-label={`Status page ${page.title}`}>
                  <p class="strong">{page.title} {page.is_served ? <Badge tone="good">served</Badge> : <Badge tone="warn">no route serves it</Badge>}</p>
                  {[...read.querySelectorAll("body > p, section > p")].map((line, at) => <p key={at}>{line.textContent}</p>)}
                </section>
              );
            })}
            {!pages.some((page) => page.is_served) && <p class="muted small">A route with the target <code>status_page: {"{}"}</code> serves it to everybody, also while the rest is down.</p>}
          </>
        )}
      </Load>
    </Card>
  );
}

function Actions() {
  const { me, say } = useSession();
  const loaded = useLoad("action-items", async (signal) => (await get<Page<ActionItem>>("/action-items", { state: "open", limit: 1000 }, signal)).items, 10_000);
  const set = async (item: ActionItem, state: string) => {
    await call("PUT", `/incidents${path(item.incident)}/action-items${path(item.number)}`, { body: { state } });
    say(`${item.text}: ${state}`);
    loaded.reload();
  };
  return (
    <Card title="To be done" flush>
      <Load of={loaded} lines={2}>
        {(items) => items.length === 0 ? <Empty title="Nothing is open">Action items of postmortems stand here until they are closed.</Empty> : (
          <Table label="Action items">
            <thead><tr><th scope="col">What</th><th scope="col">Team</th><th scope="col">Due</th><th scope="col">Incident</th><th scope="col"><span class="quiet">Close it</span></th></tr></thead>
            <tbody>
              {items.map((item) => (
                <tr key={`${item.incident}/${item.number}`}>
                  <th scope="row" class="wrap">{item.text}</th><td>{item.team}</td><td class="nowrap">{item.due ?? "–"}</td>
                  <td><a href={to(["incidents", item.incident])}>{item.incident}</a></td>
                  <td class="nowrap">{me.role !== "viewer" && <><Act class="small" run={() => set(item, "done")}>Done<span class="quiet"> {item.text}</span></Act> <Act class="small" run={() => set(item, "dropped")}>Drop<span class="quiet"> {item.text}</span></Act></>}</td>
                </tr>
              ))}
            </tbody>
          </Table>
        )}
      </Load>
    </Card>
  );
}

/** The list. */
export function Incidents() {
  const loaded = useLoad("incidents", async (signal) => (await get<Page<IncidentSummary>>("/incidents", {}, signal)).items, 3000);
  return (
    <>
      <Head title="Incidents" lead="Written while they happen: facts with what shows them, and what could be so." actions={<a class="button" href="#/diagnosis">Where does it fail now?</a>} />
      <Card flush>
        <Load of={loaded}>
          {(rows) => rows.length === 0 ? <Empty title="No incident yet">One opens when a revision is taken back, an objective pages, or a suspicion is attributed.</Empty> : (
            <Table label="Incidents">
              <thead><tr><th scope="col">Incident</th><th scope="col">State</th><th scope="col" class="number">Severity</th><th scope="col">What</th><th scope="col">Began</th><th scope="col" class="number">Failed</th><th scope="col" class="number">Consumers</th></tr></thead>
              <tbody>
                {rows.map((one) => (
                  <tr key={one.id}>
                    <th scope="row"><a href={to(["incidents", one.id])}>{one.id}</a> {one.experiment && <Badge tone="info">experiment</Badge>}</th>
                    <td><Badge tone={TONES[one.life] ?? ""}>{one.life}</Badge></td><td class="number">{one.severity ?? "–"}</td>
                    <td class="wrap">{one.headline}</td><td class="nowrap"><Time at={one.began} /></td>
                    <td class="number">{count(one.bad)} of {count(one.total)}</td><td class="number">{count(one.consumers)}</td>
                  </tr>
                ))}
              </tbody>
            </Table>
          )}
        </Load>
      </Card>
      <Actions />
      <Status />
    </>
  );
}

/** What somebody says or does, in one field with a button. */
function Say({ label, verb, run }: { label: string; verb: string; run: (text: string) => Promise<unknown> }) {
  const { say } = useSession();
  const [text, set] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = (event: Event) => {
    event.preventDefault();
    setBusy(true);
    run(text).then(() => set(""), (error: unknown) => say(error instanceof Error ? error.message : String(error), "bad")).finally(() => setBusy(false));
  };
  return (
    <form class="row" onSubmit={submit}>
      <Field label={label}>{(id) => <input id={id} value={text} required onInput={(event) => set(event.currentTarget.value)} />}</Field>
      <button type="submit" disabled={busy || text.trim() === ""} aria-busy={busy}>{verb}</button>
    </form>
  );
}

/** The share that failed, second by second, with what happened meanwhile. */
function Share({ of }: { of: IncidentDetail }) {
  const x = of.series.map((one) => Date.parse(one.at) / 1000);
  const [first, last] = [x[0], x[x.length - 1]];
  if (first === undefined || last === undefined) return null;
  const kinds: Record<string, string> = { onset: "began", action: "action", recovery: "over", experiment: "experiment" };
  const marks = of.facts.flatMap((fact) => {
    const label = kinds[fact.kind];
    const at = Date.parse(fact.at) / 1000;
    return label && at >= first && at <= last + 1 ? [{ at, label }] : [];
  });
  return (
    <Card title="Share that failed">
      <Chart title="Share of the exchanges that failed, by second" x={x} format={(value) => (value == null ? "" : percent(value))} least={0.01} marks={marks.slice(0, 20)}
        series={[{ label: "Failed", tone: "sbad", filled: true, values: of.series.map((one) => (one.total === 0 ? null : one.bad / one.total)) }]} />
      {marks.length > 0 && <p class="muted small">Marked: {[...new Set(marks.map((mark) => mark.label))].join(", ")}.</p>}
    </Card>
  );
}

/** What was noticed of the experiment that makes it. */
function Noticed({ of }: { of: GameDay }) {
  return (
    <Card title="Experiment">
      <dl class="facts">
        <dt>What fails</dt><dd>{of.experiment}: {of.inject} at {Object.entries(of.scope).map(([kind, name]) => `${kind} ${name}`).join(", ")}</dd>
        <dt>Ran</dt><dd><Time at={of.began} /> {of.ended ? <>to <Time at={of.ended} /></> : "until now"}</dd>
        <dt>Suspected after</dt><dd>{seconds(of.suspected_s)}</dd>
        <dt>Paged after</dt><dd>{seconds(of.paged_s)}</dd>
        <dt>Place</dt><dd><Named of={of} /> {of.said}</dd>
        <dt>Mitigated after</dt><dd>{seconds(of.mitigated_s)}</dd>
        <dt>Recovered</dt><dd>{of.recovered_s == null ? "not yet" : `${seconds(of.recovered_s)} after its end`}</dd>
        {of.passed != null && <><dt>{of.plan}</dt><dd><Badge tone={of.passed ? "good" : "bad"}>{of.passed ? "as hoped" : "not as hoped"}</Badge></dd></>}
      </dl>
    </Card>
  );
}

function Curves({ of }: { of: IncidentDetail }) {
  const evidence = of.facts.filter((fact) => fact.log_evidence != null);
  return (
    <div class="grid two">
      <Share of={of} />
      {of.series.length > 0 && (
        <Card title="Exchanges by second">
          <Chart title="Exchanges by second, all and failed" x={of.series.map((one) => Date.parse(one.at) / 1000)} format={count} series={[
            { label: "All", tone: "s1", values: of.series.map((one) => one.total) },
            { label: "Failed", tone: "sbad", filled: true, values: of.series.map((one) => one.bad) },
          ]} />
        </Card>
      )}
      {evidence.length > 1 && (
        <Card title="Evidence, as a logarithm">
          <Chart title="Logarithm of the evidence" x={evidence.map((fact) => Date.parse(fact.at) / 1000)} format={count} series={[{ label: "Evidence", tone: "s2", values: evidence.map((fact) => fact.log_evidence ?? null) }]} />
        </Card>
      )}
    </div>
  );
}

function Timeline({ of }: { of: IncidentDetail }) {
  return (
    <Card title="Timeline" flush>
      <Table label="Timeline">
        <thead><tr><th scope="col">Time</th><th scope="col" class="number">Fact</th><th scope="col">What</th></tr></thead>
        <tbody>
          {of.facts.map((fact) => {
            const where = shown(fact.link);
            return (
              <tr key={fact.id}>
                <td class="nowrap"><Time at={fact.at} /></td>
                <td class="number">{where ? <a href={where}>{fact.id}<span class="quiet"> what shows it</span></a> : <a href={`/api${fact.link}`}>{fact.id}<span class="quiet"> what shows it, as JSON</span></a>}</td>
                <td class="wrap">{fact.text}</td>
              </tr>
            );
          })}
        </tbody>
      </Table>
      {of.facts_left_out > 0 && <p class="body muted">{count(of.facts_left_out)} further facts were not kept.</p>}
    </Card>
  );
}

function People({ of, change }: { of: IncidentDetail; change: (rest: string, body: unknown, method?: string) => Promise<void> }) {
  const { me } = useSession();
  const [role, setRole] = useState<string>();
  const [who, setWho] = useState("");
  return (
    <Card title="Who does what">
      <dl class="stats">
        {ROLES.map(([name, label]) => (
          <div class="stat" key={name}>
            <dt>{label}</dt><dd>{of.roles[name] ?? <span class="muted">nobody</span>}</dd>
            {me.role !== "viewer" && <dd class="under"><button type="button" class="small" onClick={() => { setRole(name); setWho(""); }}>{of.roles[name] ? "Hand over" : "Take it"}<span class="quiet"> {label}</span></button></dd>}
          </div>
        ))}
      </dl>
      {me.role !== "viewer" && <Say label="What was done" verb="Note it" run={(text) => change("/actions", { text, role: "operations" })} />}
      {me.role !== "viewer" && <Say label="A word to the public" verb="Publish" run={(text) => change("/updates", { text })} />}
      {of.updates.map((update, at) => <p key={at} class="small"><Time at={update.at} /> {update.text}</p>)}
      {role && (
        <Ask title={ROLES.find(([name]) => name === role)?.[1] ?? role} verb="Assign" ready={who.trim() !== ""} run={() => change("/roles", { role, who })} close={() => setRole(undefined)}>
          <Field label="Who has it from now on" hint="Postmortems show the role, never the name.">{(id) => <input id={id} value={who} onInput={(event) => setWho(event.currentTarget.value)} />}</Field>
        </Ask>
      )}
    </Card>
  );
}

function Hypotheses({ of, change }: { of: IncidentDetail; change: (rest: string, body: unknown, method?: string) => Promise<void> }) {
  const { me } = useSession();
  if (of.hypotheses.length === 0) return null;
  return (
    <Card title="What could be so" flush>
      <Table label="Hypotheses">
        <thead><tr><th scope="col">What</th><th scope="col" class="number">Explains</th><th scope="col">Facts</th><th scope="col">Held?</th></tr></thead>
        <tbody>
          {of.hypotheses.map((one) => (
            <tr key={one.number}>
              <th scope="row" class="wrap">{one.text}</th><td class="number">{percent(one.explained)}</td><td>{one.facts.join(", ")}</td>
              <td class="nowrap">
                <Badge tone={one.standing === "supported" ? "good" : one.standing === "refuted" ? "bad" : ""}>{one.standing}</Badge>{" "}
                {me.role !== "viewer" && one.standing === "open" && <><Act class="small" run={() => change(`/hypotheses${path(one.number)}`, { standing: "supported" }, "PUT")}>It holds<span class="quiet"> {one.text}</span></Act> <Act class="small" run={() => change(`/hypotheses${path(one.number)}`, { standing: "refuted" }, "PUT")}>It does not<span class="quiet"> {one.text}</span></Act></>}
              </td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Card>
  );
}

/** One incident. */
export function IncidentPage({ id }: { id: string }) {
  const { me, say } = useSession();
  const loaded = useLoad(`incidents/${id}`, (signal) => get<IncidentDetail>(`/incidents${path(id)}`, {}, signal), 3000);
  const change = async (rest: string, body: unknown, method = "POST") => {
    await call(method, `/incidents${path(id)}${rest}`, { body });
    loaded.reload();
  };
  const go = (life: string) => change("/life", { life }).catch((error: unknown) => say(error instanceof Error ? error.message : String(error), "bad"));
  return (
    <>
      <Head title={id} crumbs={[["Incidents", "#/incidents"]]} lead={loaded.data?.incident.headline} actions={
        <>
          {me.role !== "viewer" && (NEXT[loaded.data?.incident.life ?? "reviewed"] ?? []).map(([life, word]) => <Act key={life} run={() => go(life)}>{word}</Act>)}
          <a class="button" href={to(["incidents", id, "postmortem"])}>Postmortem</a>
        </>
      } />
      <Load of={loaded} lines={10}>
        {(data) => (
          <>
            {!data.is_durable && <Note tone="warn"><p>This gateway has no store: the incident ends with its process.</p></Note>}
            <dl class="stats">
              <div class="stat"><dt>State</dt><dd><Badge tone={TONES[data.incident.life] ?? ""}>{data.incident.life}</Badge></dd><dd class="under">severity {data.incident.severity ?? "not judged"}</dd></div>
              <div class="stat"><dt>Began</dt><dd><Time at={data.incident.began} /></dd><dd class="under">noticed <Time at={data.incident.opened} /></dd></div>
              <div class="stat"><dt>Over</dt><dd>{data.incident.recovered ? <Time at={data.incident.recovered} /> : "not yet"}</dd></div>
              <div class="stat"><dt>Failed</dt><dd>{count(data.incident.bad)}</dd><dd class="under">of {count(data.incident.total)}, {count(data.incident.consumers)} consumers</dd></div>
              <div class="stat"><dt>Cost</dt><dd>{dollars(data.incident.cost)}</dd><dd class="under">{percent(data.incident.budget_spent)} of the budget</dd></div>
              <div class="stat"><dt>Revisions</dt><dd>{data.incident.revisions.length === 0 ? "–" : data.incident.revisions.map((one) => <RevisionLink key={one} number={Number(one)} />)}</dd><dd class="under">{data.incident.routes.join(", ")}</dd></div>
            </dl>
            {data.game_day && <Noticed of={data.game_day} />}
            <Curves of={data} />
            <Timeline of={data} />
            <Hypotheses of={data} change={change} />
            <People of={data} change={change} />
            {data.similar.length > 0 && <Card title="Alike before"><ul>{data.similar.map((one) => <li key={one.id}><a href={to(["incidents", one.id])}>{one.id}</a> {percent(one.share)}: {one.common.join(", ")}</li>)}</ul></Card>}
          </>
        )}
      </Load>
    </>
  );
}
