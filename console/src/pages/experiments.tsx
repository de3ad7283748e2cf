// Failures on purpose: what runs, starting and stopping one, and what was noticed of those before.

import { useState } from "preact/hooks";
import { call, get, path } from "../api";
import { count, NONE } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import { useSession } from "../session";
import type { Experiment, GameDay, Page } from "../types";
import { Ask } from "../ui/dialog";
import { Act, Badge, Card, Empty, Field, Head, Load, Note, Table, Time, type Tone } from "../ui/parts";

const STATES: Record<string, [Tone, string]> = {
  awaited: ["", "awaited"], running: ["bad", "running"], ended: ["", "ended"], stopped: ["good", "stopped"],
  stopped_by_guard: ["warn", "stopped by its guard"], stopped_by_budget: ["warn", "stopped for a budget"],
};
const FAILURES: [string, string, unknown][] = [
  ["abort", "Abort with 503", { abort: { status: 503 } }], ["delay", "Delay by 1 s", { delay: { duration: "1s" } }], ["reset", "Reset the connection", { reset: {} }],
  ["refuse", "Refuse with 429 (models)", { refuse: {} }], ["cut_stream", "Cut the stream (models)", { cut_stream: { after: 5 } }], ["refuse_tool", "Refuse tools", { refuse_tool: {} }],
];
const PLACES: [string, string][] = [["route", "Route"], ["upstream", "Upstream"], ["provider", "Provider"], ["model", "Model"], ["mcp_server", "Server of tools"]];

/** A time in seconds, or that there is none. */
export function seconds(value: number | null | undefined): string {
  return value == null ? NONE : `${value.toFixed(1)} s`;
}

/** Whether the place was named, and how soon among the answers. */
export function Named({ of }: { of: GameDay }) {
  if (of.rank == null) return <Badge tone={of.ended ? "warn" : ""}>not named</Badge>;
  return <Badge tone={of.rank <= 3 ? "good" : "warn"}>answer {of.rank}</Badge>;
}

function scope(of: Record<string, string>): string {
  return Object.entries(of).map(([kind, name]) => `${kind} ${name}`).join(", ");
}

function Start({ close, begun }: { close: () => void; begun: () => void }) {
  const { environment, say } = useSession();
  const [name, setName] = useState("");
  const [failure, setFailure] = useState("abort");
  const [place, setPlace] = useState("route");
  const [where, setWhere] = useState("");
  const [share, setShare] = useState("10");
  const [minutes, setMinutes] = useState("10");
  const [bad, setBad] = useState("50");
  const run = async () => {
    const body = {
      inject: FAILURES.find(([kind]) => kind === failure)?.[2], scope: { [place]: where.trim() },
      share: `${share} %`, for: `${minutes}m`, stop_at: { bad: `${bad} %` },
    };
    await call("PUT", `/environments${path(environment?.name ?? "", "resources", "experiments", name.trim())}`, { body, headers: { "tidegate-manager": "console" } });
    say(`${name.trim()} begins once gateways have the revision`);
    begun();
  };
  const number = (label: string, value: string, set: (value: string) => void, hint: string) => (
    <Field label={label} hint={hint}>{(id, described) => <input id={id} type="number" min="1" value={value} aria-describedby={described} onInput={(event) => set(event.currentTarget.value)} />}</Field>
  );
  return (
    <Ask title="Start an experiment" verb="Start" danger ready={name.trim() !== "" && where.trim() !== ""} run={run} close={close}>
      <Field label="Name">{(id) => <input id={id} value={name} onInput={(event) => setName(event.currentTarget.value)} />}</Field>
      <Field label="What goes wrong">{(id) => <select id={id} value={failure} onChange={(event) => setFailure(event.currentTarget.value)}>{FAILURES.map(([kind, words]) => <option key={kind} value={kind}>{words}</option>)}</select>}</Field>
      <Field label="Where">{(id) => <select id={id} value={place} onChange={(event) => setPlace(event.currentTarget.value)}>{PLACES.map(([kind, words]) => <option key={kind} value={kind}>{words}</option>)}</select>}</Field>
      <Field label="Its name there">{(id) => <input id={id} value={where} onInput={(event) => setWhere(event.currentTarget.value)} />}</Field>
      {number("Share of the tries, %", share, setShare, "How many of the tries in its scope it strikes.")}
      {number("Minutes", minutes, setMinutes, "It ends by itself, in each gateway.")}
      {number("Stop at bad exchanges, %", bad, setBad, "Each gateway stops it when so many end badly.")}
      <p class="muted small">Everything else, such as a floor under an error budget, is set under <a href={to(["configure", "experiments", "+"])}>Configure</a>.</p>
    </Ask>
  );
}

function Running({ rows, reload }: { rows: Experiment[]; reload: () => void }) {
  const { me, say } = useSession();
  const stop = (one: Experiment) => call("POST", `/experiments${path(one.name)}/stop`, { body: { reason: "stopped in the console" } }).then(
    () => { say(`${one.name} is stopped`); reload(); },
    (error: unknown) => say(error instanceof Error ? error.message : String(error), "bad"),
  );
  return (
    <Table label="Experiments">
      <thead><tr><th scope="col">Experiment</th><th scope="col">State</th><th scope="col">Injects</th><th scope="col">Where</th><th scope="col">Ends</th><th scope="col" class="number">Active</th><th scope="col" class="number">Struck</th><th scope="col" class="number">Spared</th><th scope="col" class="number">Bad</th><th scope="col"><span class="quiet">Stop it</span></th></tr></thead>
      <tbody>
        {rows.map((one) => {
          const [tone, words] = STATES[one.state] ?? ["", one.state];
          return (
            <tr key={one.name}>
              <th scope="row"><a href={to(["configure", "experiments", one.name])}>{one.name}</a></th>
              <td><Badge tone={tone}>{words}</Badge></td><td>{one.inject}</td><td class="wrap">{scope(one.scope)}</td>
              <td class="nowrap">{one.ends ? <Time at={one.ends} /> : NONE}</td>
              <td class="number">{count(one.active)}</td><td class="number">{count(one.strikes)}</td><td class="number">{count(one.spared)}</td>
              <td class="number">{count(one.bad)} of {count(one.seen)}</td>
              <td>{me.role !== "viewer" && one.state === "running" && <Act class="small danger" run={() => stop(one)}>Stop<span class="quiet"> {one.name}</span></Act>}</td>
            </tr>
          );
        })}
      </tbody>
    </Table>
  );
}

function Days({ rows }: { rows: GameDay[] }) {
  return (
    <Table label="Scores">
      <thead><tr><th scope="col">Incident</th><th scope="col">Plan</th><th scope="col">Experiment</th><th scope="col">Where</th><th scope="col">Began</th><th scope="col" class="number">Suspected</th><th scope="col" class="number">Paged</th><th scope="col">Place</th><th scope="col" class="number">Mitigated</th><th scope="col" class="number">Recovered</th><th scope="col">As hoped</th></tr></thead>
      <tbody>
        {rows.map((day) => (
          <tr key={day.incident}>
            <th scope="row"><a href={to(["incidents", day.incident])}>{day.incident}</a></th>
            <td>{day.plan || NONE}</td><td>{day.experiment} <span class="muted small">{day.inject}</span></td><td class="wrap">{scope(day.scope)}</td>
            <td class="nowrap"><Time at={day.began} /></td>
            <td class="number">{seconds(day.suspected_s)}</td><td class="number">{seconds(day.paged_s)}</td><td><Named of={day} /></td>
            <td class="number">{seconds(day.mitigated_s)}</td><td class="number">{seconds(day.recovered_s)}</td>
            <td>{day.passed == null ? NONE : <Badge tone={day.passed ? "good" : "bad"}>{day.passed ? "yes" : "no"}</Badge>}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

/** The page. */
export function Experiments() {
  const { me, mayChange } = useSession();
  const [starts, setStarts] = useState(false);
  const loaded = useLoad("experiments", async (signal) => (await get<Page<Experiment>>("/experiments", { limit: 1000 }, signal)).items, 2000);
  const days = useLoad("game-days", async (signal) => (await get<Page<GameDay>>("/game-days", { limit: 100 }, signal)).items, 5000);
  return (
    <>
      <Head title="Experiments and game days" lead="Failures on purpose, with an end, a cap and a guard in every gateway, and what was noticed of them." actions={mayChange && me.role !== "viewer" && <button type="button" class="danger" onClick={() => setStarts(true)}>Start an experiment</button>} />
      {loaded.data?.some((one) => one.state === "running") && <Note tone="warn"><p>Something fails on purpose now: its alerts carry the label <code>experiment</code>.</p></Note>}
      <Card title="Experiments" flush>
        <Load of={loaded} lines={2}>
          {(rows) => rows.length === 0 ? <Empty title="Nothing fails on purpose">An experiment is a resource: it begins with the revision that has it.</Empty> : <Running rows={rows} reload={loaded.reload} />}
        </Load>
      </Card>
      <Card title="What was noticed" flush>
        <Load of={days} lines={2}>
          {(rows) => rows.length === 0 ? <Empty title="No experiment was scored yet">Each one is an incident: how soon it is seen, whether its place is named and how soon all is well stands here. <code>tidegate gameday PLAN</code> runs one by a written plan.</Empty> : <Days rows={rows} />}
        </Load>
      </Card>
      {starts && <Start close={() => setStarts(false)} begun={() => { loaded.reload(); days.reload(); }} />}
    </>
  );
}
