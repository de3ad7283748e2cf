// Rollouts: a candidate serves a share of exchanges beside the current revision; evidence decides.

import { useEffect, useRef, useState } from "preact/hooks";
import { call, get, path } from "../api";
import { count, figure, percent } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import { useSession } from "../session";
import type { Evidence, Json, Page, Rollout } from "../types";
import { Chart } from "../ui/chart";
import { Ask } from "../ui/dialog";
import { Badge, Card, Empty, Field, Head, Load, Note, RevisionLink, Table, Time } from "../ui/parts";
import { Yaml } from "../ui/yaml";

const TONES = { running: "info", held: "warn", promoted: "good", rolled_back: "bad" } as const;
const WORDS = { running: "running", held: "held", promoted: "promoted", rolled_back: "rolled back" } as const;
/** Points of a chart that are kept while the page is open. */
const POINTS_MAX = 600;

/** The list. */
export function Rollouts() {
  const { environment, environments, fileManaged } = useSession();
  const address = environment && !fileManaged ? `/environments${path(environment.name)}/rollouts` : null;
  const loaded = useLoad(address && `${address}/${environment?.generation}`, async (signal) => (await get<Page<Rollout>>(address ?? "", {}, signal)).items, 3000);
  return (
    <>
      <Head title="Rollouts" lead="A candidate serves a share of requests beside the current revision, until evidence promotes it or takes it back." />
      <Card flush>
        {address === null ? (fileManaged ? <Empty title="This gateway's configuration is a file">Rollouts need an environment in a store: <code>gateway.environment</code>.</Empty> : <Load of={environments}>{() => null}</Load>) : (
          <Load of={loaded}>
            {(rows) => rows.length === 0 ? <Empty title="Nothing was rolled out yet">A change that is applied with a canary starts one: choose it <a href="#/configure">when you apply</a>, or <code>tidegate apply --canary</code>.</Empty> : (
              <Table label="Rollouts">
                <thead><tr><th scope="col">Rollout</th><th scope="col">State</th><th scope="col">Candidate</th><th scope="col">Beside</th><th scope="col" class="number">Share</th><th scope="col" class="number">Strongest evidence</th><th scope="col">Began</th><th scope="col">Why it stands so</th></tr></thead>
                <tbody>
                  {rows.map((rollout) => (
                    <tr key={rollout.id}>
                      <th scope="row"><a href={to(["rollouts", rollout.id])}>{rollout.strategy}</a> <code class="muted small">{rollout.id.slice(0, 8)}</code></th>
                      <td><Badge tone={TONES[rollout.state]}>{WORDS[rollout.state]}</Badge></td>
                      <td><RevisionLink number={rollout.candidate} /></td><td><RevisionLink number={rollout.control} /></td>
                      <td class="number">{percent(rollout.share)}</td><td class="number">{figure(strongest(rollout.evidence))}</td>
                      <td class="nowrap"><Time at={rollout.started} /></td><td class="wrap small">{rollout.reason}</td>
                    </tr>
                  ))}
                </tbody>
              </Table>
            )}
          </Load>
        )}
      </Card>
    </>
  );
}

function strongest(evidence: Evidence[]): number | undefined {
  return evidence.length === 0 ? undefined : Math.max(...evidence.map((one) => one.e_value));
}

/** The evidence at which a candidate is taken back: one over the probability of a false rollback. */
function bound(settings: Json): number {
  const found = typeof settings === "object" && settings !== null && !Array.isArray(settings) ? settings.false_rollback : undefined;
  const share = typeof found === "string" ? Number.parseFloat(found) / (found.includes("%") ? 100 : 1) : NaN;
  return share > 0 ? 1 / share : 1000;
}

interface Track { x: number[]; share: number[]; lines: Map<string, (number | null)[]> }

/** Remembers evidence as it comes while the page is open. */
function useTrack(rollout: Rollout | undefined): Track {
  const track = useRef<Track>({ x: [], share: [], lines: new Map() });
  const [, drawn] = useState(0);
  useEffect(() => {
    if (!rollout) return;
    const { x, share, lines } = track.current;
    x.push(Date.now() / 1000);
    share.push(rollout.share);
    for (const one of rollout.evidence) {
      const name = `${one.slice} · ${one.signal}`;
      const line = lines.get(name) ?? Array<null>(x.length - 1).fill(null);
      line.push(one.e_value);
      lines.set(name, line);
    }
    for (const line of lines.values()) while (line.length < x.length) line.push(null);
    if (x.length > POINTS_MAX) for (const line of [x, share, ...lines.values()]) line.shift();
    track.current = { x: [...x], share: [...share], lines };
    drawn(x.length);
  }, [rollout]);
  return track.current;
}

function Plots({ rollout, track }: { rollout: Rollout; track: Track }) {
  const limit = bound(rollout.settings);
  const names = [...track.lines.keys()].sort((a, b) => (track.lines.get(b)?.at(-1) ?? 0) - (track.lines.get(a)?.at(-1) ?? 0)).slice(0, 5);
  if (track.x.length === 0) return null;
  return (
    <div class="grid two">
      <Card title="Evidence that the candidate is worse">
        <Chart title="Evidence against the candidate by route and signal" x={track.x} format={figure} logarithmic least={limit} series={[
          ...names.map((name, at) => ({ label: name, tone: `s${at + 1}`, values: (track.lines.get(name) ?? []).map((value) => (value === null ? null : Math.max(value, 0.01))) })),
          { label: "taken back at", tone: "sbad", dashed: true, values: track.x.map(() => limit) },
        ]} />
      </Card>
      <Card title="Share of requests">
        <Chart title="Share of requests that the candidate serves" x={track.x} format={percent} least={1} series={[{ label: "Candidate", tone: "s1", filled: true, values: track.share }]} />
      </Card>
    </div>
  );
}

function share(counts: { total: number; bad: number }): string {
  return counts.total === 0 ? "–" : percent(counts.bad / counts.total);
}

function EvidenceTable({ rollout }: { rollout: Rollout }) {
  const limit = bound(rollout.settings);
  if (rollout.evidence.length === 0) return <Empty title="No exchange was counted yet">Evidence grows with every request that either arm serves.</Empty>;
  const rows = [...rollout.evidence].sort((a, b) => b.e_value - a.e_value);
  return (
    <Table label="Evidence by route and signal">
      <thead><tr><th scope="col">Route</th><th scope="col">Signal</th><th scope="col" class="number">Current: bad of all</th><th scope="col" class="number">Share</th><th scope="col" class="number">Candidate: bad of all</th><th scope="col" class="number">Share</th><th scope="col" class="number">Evidence</th><th scope="col"><span class="quiet">Towards the bound</span></th></tr></thead>
      <tbody>
        {rows.map((one) => (
          <tr key={`${one.slice}/${one.signal}`}>
            <th scope="row">{one.slice === "*" ? "all routes" : one.slice}</th><td>{one.signal}</td>
            <td class="number">{count(one.control.bad)} of {count(one.control.total)}</td><td class="number">{share(one.control)}</td>
            <td class="number">{count(one.candidate.bad)} of {count(one.candidate.total)}</td><td class="number">{share(one.candidate)}</td>
            <td class={`number strong ${one.e_value >= limit ? "bad" : ""}`}>{figure(one.e_value)}</td>
            <td><span class="bars" aria-hidden="true"><i class={one.e_value >= limit ? "fail" : ""} style={{ width: `${Math.min(100, Math.max(0, (Math.log10(Math.max(one.e_value, 1)) / Math.log10(limit)) * 100))}%` }} /></span></td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

type Step = "promote" | "rollback" | "hold" | "resume";
const STEPS: Record<Step, { title: string; verb: string; said: string; danger?: boolean }> = {
  promote: { title: "Promote the candidate now?", verb: "Promote", said: "The candidate becomes the current revision" },
  rollback: { title: "Take the candidate back now?", verb: "Roll back", said: "The candidate is taken back", danger: true },
  hold: { title: "Hold the rollout where it is?", verb: "Hold", said: "The rollout is held" },
  resume: { title: "Let the rollout go on?", verb: "Resume", said: "The rollout goes on" },
};

/** One rollout. */
export function RolloutPage({ id }: { id: string }) {
  const { mayChange, say } = useSession();
  const [step, setStep] = useState<Step>();
  const [reason, setReason] = useState("");
  const loaded = useLoad(`rollout/${id}`, (signal) => get<Rollout>(`/rollouts${path(id)}`, {}, signal), 1000);
  const track = useTrack(loaded.data);
  const rollout = loaded.data;
  const open = rollout && (rollout.state === "running" || rollout.state === "held");
  const run = async () => {
    await call("POST", `/rollouts${path(id)}${path(step ?? "")}`, { body: { reason } });
    say(STEPS[step ?? "hold"].said);
    loaded.reload();
  };
  const ask = (step: Step) => () => { setReason(""); setStep(step); };
  return (
    <>
      <Head
        title={rollout ? `Rollout of #${rollout.candidate}` : "Rollout"} crumbs={[["Rollouts", "#/rollouts"]]}
        lead={rollout && <><Badge tone={TONES[rollout.state]}>{WORDS[rollout.state]}</Badge> {rollout.reason}</>}
        actions={open && mayChange && (
          <>
            {rollout.state === "running" ? <button type="button" onClick={ask("hold")}>Hold</button> : <button type="button" onClick={ask("resume")}>Resume</button>}
            <button type="button" class="danger" onClick={ask("rollback")}>Roll back</button>
            <button type="button" class="primary" onClick={ask("promote")}>Promote</button>
          </>
        )}
      />
      {step && (
        <Ask title={STEPS[step].title} verb={STEPS[step].verb} danger={STEPS[step].danger ?? false} run={run} close={() => setStep(undefined)}>
          <Field label="Why" hint="Kept in the audit log.">{(field, described) => <input id={field} aria-describedby={described} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}</Field>
        </Ask>
      )}
      <Load of={loaded} lines={8}>
        {(data) => (
          <>
            <dl class="stats">
              <div class="stat"><dt>Candidate serves</dt><dd>{percent(data.share)}</dd><dd class="under">step {data.step + 1}</dd></div>
              <div class="stat"><dt>Candidate</dt><dd><RevisionLink number={data.candidate} /></dd><dd class="under"><a href={to(["diff", data.control, data.candidate])}>what it changes</a></dd></div>
              <div class="stat"><dt>Beside</dt><dd><RevisionLink number={data.control} /></dd><dd class="under">in {data.environment}</dd></div>
              <div class="stat"><dt>Strongest evidence</dt><dd>{figure(strongest(data.evidence))}</dd><dd class="under">taken back at {count(bound(data.settings))}</dd></div>
              <div class="stat"><dt>Began</dt><dd><Time at={data.started} ago /></dd><dd class="under"><Time at={data.started} /></dd></div>
            </dl>
            {open && track.x.length < 3 && <Note tone="info"><p>Lines are drawn from what comes while this page is open; the table holds all that is known.</p></Note>}
            <Plots rollout={data} track={track} />
            <Card title="Evidence" flush><EvidenceTable rollout={data} /></Card>
            <Card title={`Settings: ${data.strategy}`}><Yaml value={data.settings} label="Settings of the rollout" /></Card>
          </>
        )}
      </Load>
    </>
  );
}
