// Runbooks: what is done when something is wrong, what runs saw and did, and what is in force for a
// while. A run that awaits somebody is approved or answered here.

import { useState } from "preact/hooks";
import { call, get, path } from "../api";
import { useLoad } from "../hooks";
import { go, to } from "../router";
import { useSession } from "../session";
import type { ActState, Page, RunDetail, RunSummary, RunbookState } from "../types";
import { Act, Badge, Card, Empty, Field, Head, Load, Note, Table, Time, type Tone } from "../ui/parts";

const TONES: Record<string, Tone> = { done: "good", not_needed: "", failed: "bad", unknown: "bad", cancelled: "warn" };

function State({ run }: { run: RunSummary }) {
  const tone = run.is_over ? TONES[run.state] ?? "" : "info";
  return <><Badge tone={tone}>{run.state.replaceAll("_", " ")}</Badge>{run.dry_run && <> <Badge>dry run</Badge></>}</>;
}

/** What somebody does, with what came of it in a few words. */
function useDoing(reload: () => void) {
  const { say } = useSession();
  return (doing: Promise<unknown>, done: string) => doing.then(() => { say(done); reload(); }, (error: unknown) => say(error instanceof Error ? error.message : String(error), "bad"));
}

function Books() {
  const { can } = useSession();
  const loaded = useLoad("runbooks", async (signal) => (await get<Page<RunbookState>>("/runbooks", { limit: 1000 }, signal)).items, 3000);
  const doing = useDoing(loaded.reload);
  const start = (name: string, dry_run: boolean) => {
    const begun = call<RunDetail>("POST", `/runbooks${path(name)}/runs`, { body: { dry_run, reason: "from the console" } });
    return doing(begun.then((answer) => go(to(["runbooks", answer.data.run.id]))), dry_run ? "It says what it would do" : `${name} runs`);
  };
  return (
    <Card title="Runbooks" flush>
      <Load of={loaded} lines={3}>
        {(rows) => rows.length === 0 ? <Empty title="No runbook yet">Resources of the kind <code>runbooks</code> stand here.</Empty> : (
          <Table label="Runbooks">
            <thead><tr><th scope="col">Runbook</th><th scope="col">What for</th><th scope="col">Steps</th><th scope="col">Started by</th><th scope="col">Last run</th><th scope="col"><span class="quiet">Run it</span></th></tr></thead>
            <tbody>
              {rows.map((one) => (
                <tr key={one.name}>
                  <th scope="row">{one.name}{one.needs_approval && <> <Badge>needs approval</Badge></>}</th>
                  <td class="wrap">{one.about}</td>
                  <td class="wrap">{one.steps.join(", ")}</td>
                  <td class="wrap">{one.triggers.join(", ") || <span class="muted">people</span>}</td>
                  <td class="nowrap">{one.last ? <><a href={to(["runbooks", one.last.id])}>{one.last.id}</a> <State run={one.last} /></> : <span class="muted">none</span>}</td>
                  <td class="nowrap">{can("operator") && <><Act class="small" run={() => start(one.name, true)}>Dry run<span class="quiet"> of {one.name}</span></Act> <Act class="small" run={() => start(one.name, false)}>Run<span class="quiet"> {one.name}</span></Act></>}</td>
                </tr>
              ))}
            </tbody>
          </Table>
        )}
      </Load>
    </Card>
  );
}

function InForce() {
  const { can } = useSession();
  const loaded = useLoad("actions", async (signal) => (await get<Page<ActState>>("/actions", { limit: 1000 }, signal)).items, 3000);
  const doing = useDoing(loaded.reload);
  return (
    <Card title="In force for a while" flush>
      <Load of={loaded} lines={2}>
        {(rows) => rows.length === 0 ? <Empty title="Nothing is in force">Actions end by themselves; each gateway keeps their end.</Empty> : (
          <Table label="Actions in force">
            <thead><tr><th scope="col">What</th><th scope="col">Until</th><th scope="col">By</th><th scope="col">Why</th><th scope="col"><span class="quiet">Undo it</span></th></tr></thead>
            <tbody>
              {rows.map((one) => (
                <tr key={one.id}>
                  <th scope="row" class="wrap">{one.text}</th>
                  <td class="nowrap"><Time at={one.until} /></td>
                  <td class="wrap">{one.run ? <a href={to(["runbooks", one.run])}>{one.run}</a> : one.by}</td>
                  <td class="wrap">{one.reason}</td>
                  <td class="nowrap">{can("operator") && <Act class="small" run={() => doing(call("POST", `/actions${path(one.id)}/undo`, { body: { reason: "from the console" } }), "It is undone")}>Undo<span class="quiet"> {one.text}</span></Act>}</td>
                </tr>
              ))}
            </tbody>
          </Table>
        )}
      </Load>
    </Card>
  );
}

function Runs() {
  const loaded = useLoad("runbook-runs", async (signal) => (await get<Page<RunSummary>>("/runbook-runs", { limit: 100 }, signal)).items, 3000);
  return (
    <Card title="Runs" flush>
      <Load of={loaded} lines={5}>
        {(rows) => rows.length === 0 ? <Empty title="Nothing has run yet">Each run stays here with what it saw and did.</Empty> : (
          <Table label="Runs of runbooks">
            <thead><tr><th scope="col">Run</th><th scope="col">Runbook</th><th scope="col">State</th><th scope="col">Began</th><th scope="col">Ended</th><th scope="col">Started</th></tr></thead>
            <tbody>
              {rows.map((run) => (
                <tr key={run.id}>
                  <th scope="row"><a href={to(["runbooks", run.id])}>{run.id}</a></th>
                  <td>{run.runbook}</td><td><State run={run} /></td>
                  <td class="nowrap"><Time at={run.began} /></td><td class="nowrap"><Time at={run.ended} /></td>
                  <td class="wrap">{run.incident ? <>by incident <a href={to(["incidents", run.incident])}>{run.incident}</a></> : run.cause}</td>
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
export function Runbooks() {
  return (
    <>
      <Head title="Runbooks" lead="What is done when something is wrong, step by step, with the traffic as judge. What did not help is undone." />
      <Books />
      <InForce />
      <Runs />
    </>
  );
}

/** What is awaited of people. */
function Awaited({ of, reload }: { of: RunDetail; reload: () => void }) {
  const { can } = useSession();
  const [reason, setReason] = useState("");
  const doing = useDoing(reload);
  const post = (what: string, body: object, done: string) => doing(call("POST", `/runbook-runs${path(of.run.id)}/${what}`, { body }), done);
  if (of.run.is_over || !can("operator")) return null;
  return (
    <Card title="What you can do">
      <div class="stack">
        {of.question && <Note tone="warn" title={of.question}><span class="actions">{of.answers.map((answer) => <Act key={answer} run={() => post("answer", { answer }, `Answered: ${answer}`)}>{answer}</Act>)}</span></Note>}
        <form class="row" onSubmit={(event) => event.preventDefault()}>
          <Field label="Why">{(id) => <input id={id} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}</Field>
          {of.run.state === "awaits_approval" && <Act class="primary" run={() => post("approve", { reason }, "Agreed")}>Agree</Act>}
          <Act run={() => post("cancel", { reason }, "Cancelled")}>Cancel the run</Act>
        </form>
      </div>
    </Card>
  );
}

/** One run. */
export function RunPage({ id }: { id: string }) {
  const loaded = useLoad(`runbook-runs/${id}`, (signal) => get<RunDetail>(`/runbook-runs${path(id)}`, {}, signal), 2000);
  return (
    <>
      <Head title={`Run ${id}`} crumbs={[["Runbooks", to(["runbooks"])]]} />
      <Load of={loaded}>
        {(of) => (
          <>
            <Card>
              <p><State run={of.run} /> of <strong>{of.run.runbook}</strong>, started {of.run.incident ? <>by incident <a href={to(["incidents", of.run.incident])}>{of.run.incident}</a></> : of.run.cause}; {of.done} of {of.steps.length} steps.</p>
            </Card>
            <Awaited of={of} reload={loaded.reload} />
            <Card title="What was seen and done" flush>
              <Table label="What was seen and done">
                <thead><tr><th scope="col">Time</th><th scope="col">Of</th><th scope="col">What</th></tr></thead>
                <tbody>{of.lines.map((line, at) => <tr key={at}><td class="nowrap"><Time at={line.at} /></td><th scope="row">{line.of}</th><td class="wrap">{line.text}</td></tr>)}</tbody>
              </Table>
              {of.lines_left_out > 0 && <p class="body muted">{of.lines_left_out} further lines were not kept.</p>}
            </Card>
          </>
        )}
      </Load>
    </>
  );
}
