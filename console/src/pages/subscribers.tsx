// Subscribers: who is told of events, what failed, and what could not be told, which is sent again here.

import { useState } from "preact/hooks";
import { call, get, path } from "../api";
import { useLoad } from "../hooks";
import { to } from "../router";
import { useSession } from "../session";
import type { DeadLetter, Page, SubscriberDetail, SubscriberState } from "../types";
import { Act, Badge, Card, Empty, Field, Head, Load, Note, Table, Time, type Tone } from "../ui/parts";

const TONES: Record<string, Tone> = { running: "good", failing: "bad", paused: "warn", ended: "", new: "info" };

function State({ of }: { of: SubscriberState }) {
  return <Badge tone={TONES[of.state] ?? ""}>{of.state}</Badge>;
}

/** What somebody does, with what came of it in a few words. */
function useDoing(reload: () => void) {
  const { say } = useSession();
  return (doing: Promise<unknown>, done: string) => doing.then(() => { say(done); reload(); }, (error: unknown) => say(error instanceof Error ? error.message : String(error), "bad"));
}

/** The list. */
export function Subscribers() {
  const loaded = useLoad("subscribers", async (signal) => (await get<Page<SubscriberState>>("/subscribers", { limit: 1000 }, signal)).items, 3000);
  return (
    <>
      <Head title="Subscribers" lead="Who is told of which events. Each has a position in the journal; what it does not take is tried again, and is kept when it never does." />
      <Card title="Subscribers" flush>
        <Load of={loaded} lines={4}>
          {(rows) => rows.length === 0 ? <Empty title="No subscriber yet">Resources of the kind <code>subscribers</code> stand here.</Empty> : (
            <Table label="Subscribers">
              <thead><tr><th scope="col">Subscriber</th><th scope="col">Target</th><th scope="col">State</th><th scope="col" class="number">Behind</th><th scope="col" class="number">Open</th><th scope="col" class="number">Delivered</th><th scope="col" class="number">Dead letters</th><th scope="col">Last delivery</th></tr></thead>
              <tbody>
                {rows.map((one) => (
                  <tr key={one.name}>
                    <th scope="row"><a href={to(["subscribers", one.name])}>{one.name}</a></th>
                    <td>{one.target}</td>
                    <td class="wrap"><State of={one} />{one.problem && <> <span class="muted">{one.problem}</span></>}</td>
                    <td class="number">{one.lag}</td><td class="number">{one.open}</td><td class="number">{one.delivered}</td><td class="number">{one.dead_letters}</td>
                    <td class="nowrap"><Time at={one.delivered_at} /></td>
                  </tr>
                ))}
              </tbody>
            </Table>
          )}
        </Load>
      </Card>
    </>
  );
}

function Hold({ of, reload }: { of: SubscriberState; reload: () => void }) {
  const { can } = useSession();
  const [reason, setReason] = useState("");
  const doing = useDoing(reload);
  if (!can("operator")) return null;
  const hold = (action: string, done: string) => doing(call("POST", `/subscribers${path(of.name)}/${action}`, { body: { reason } }), done);
  const replay = () => doing(call("POST", `/subscribers${path(of.name)}/replays`, { body: { from: 0, reason } }), "It is told again from the oldest event on");
  return (
    <Card title="What you can do">
      <form class="row" onSubmit={(event) => event.preventDefault()}>
        <Field label="Why">{(id) => <input id={id} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />}</Field>
        {of.state === "paused" ? <Act class="primary" run={() => hold("resume", "It goes on")}>Resume</Act> : <Act run={() => hold("pause", "It stands still")}>Pause</Act>}
        <Act run={replay}>Replay everything</Act>
      </form>
    </Card>
  );
}

function Dead({ name, reload }: { name: string; reload: () => void }) {
  const { can } = useSession();
  const loaded = useLoad(`dead-letters/${name}`, async (signal) => (await get<Page<DeadLetter>>(`/subscribers${path(name)}/dead-letters`, { limit: 100 }, signal)).items, 3000);
  const doing = useDoing(() => { loaded.reload(); reload(); });
  const redrive = (body: object, done: string) => doing(call("POST", `/subscribers${path(name)}/redrive`, { body }), done);
  return (
    <Card title="Dead letters" flush>
      <Load of={loaded} lines={3}>
        {(rows) => rows.length === 0 ? <Empty title="No dead letters">What the target refuses, or never takes, stands here until it is sent again.</Empty> : (
          <>
            {can("operator") && <p class="body actions"><Act run={() => redrive({ all: true }, "All are sent again")}>Send all again</Act></p>}
            <Table label="Dead letters">
              <thead><tr><th scope="col">Place</th><th scope="col">Event</th><th scope="col">Since</th><th scope="col" class="number">Attempts</th><th scope="col">Why</th><th scope="col"><span class="quiet">Send it again</span></th></tr></thead>
              <tbody>
                {rows.map((one) => (
                  <tr key={one.place}>
                    <th scope="row">{one.place}</th>
                    <td class="wrap">{one.kind} <span class="muted">{one.key}</span></td>
                    <td class="nowrap"><Time at={one.at} /></td>
                    <td class="number">{one.attempts}</td>
                    <td class="wrap">{one.reason}</td>
                    <td class="nowrap">{one.redriven ? <Badge tone="info">sent again</Badge> : can("operator") && <Act class="small" run={() => redrive({ place: one.place }, "It is sent again")}>Send again<span class="quiet"> the event of place {one.place}</span></Act>}</td>
                  </tr>
                ))}
              </tbody>
            </Table>
          </>
        )}
      </Load>
    </Card>
  );
}

/** One subscriber. */
export function SubscriberPage({ name }: { name: string }) {
  const loaded = useLoad(`subscribers/${name}`, (signal) => get<SubscriberDetail>(`/subscribers${path(name)}`, {}, signal), 2000);
  return (
    <>
      <Head title={`Subscriber ${name}`} crumbs={[["Subscribers", to(["subscribers"])]]} />
      <Load of={loaded}>
        {({ subscriber: of, failures }) => (
          <>
            <Card>
              {of.about && <p>{of.about}</p>}
              <p><State of={of} /> {of.target}, at {of.place} of the journal, {of.lag} events behind; {of.delivered} delivered, {of.failed} attempts failed, {of.repeated} passed over, {of.open} open.</p>
              {of.paused && <Note tone="warn" title={`Paused by ${of.paused.by}`}><p>{of.paused.reason || "No reason was given."} <Time at={of.paused.since} /></p></Note>}
            </Card>
            <Hold of={of} reload={loaded.reload} />
            {failures.length > 0 && (
              <Card title="Events that wait for another attempt" flush>
                <Table label="Events that wait for another attempt">
                  <thead><tr><th scope="col">Place</th><th scope="col" class="number">Attempts</th><th scope="col">Next</th><th scope="col">Why</th></tr></thead>
                  <tbody>{failures.map((one) => <tr key={one.place}><th scope="row">{one.place}</th><td class="number">{one.attempts}</td><td class="nowrap"><Time at={one.next} /></td><td class="wrap">{one.reason}</td></tr>)}</tbody>
                </Table>
              </Card>
            )}
            <Dead name={name} reload={loaded.reload} />
            {of.replays.length > 0 && (
              <Card title="Replays" flush>
                <Table label="Replays">
                  <thead><tr><th scope="col">Replay</th><th scope="col">State</th><th scope="col">Behind</th><th scope="col">Up to</th><th scope="col" class="number">Delivered</th><th scope="col">Began</th><th scope="col">By</th><th scope="col">Why</th></tr></thead>
                  <tbody>{of.replays.map((one) => <tr key={one.number}><th scope="row">{one.number}</th><td>{one.state}</td><td>{one.from}</td><td>{one.until}</td><td class="number">{one.delivered}</td><td class="nowrap"><Time at={one.began} /></td><td>{one.by}</td><td class="wrap">{one.reason}</td></tr>)}</tbody>
                </Table>
              </Card>
            )}
          </>
        )}
      </Load>
    </>
  );
}
