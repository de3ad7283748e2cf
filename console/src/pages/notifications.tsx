// Notifications: what is on and who is told, what has not arrived, and what is silenced.

import { useState } from "preact/hooks";
import { asProblem, call, get, path, type Problem } from "../api";
import { count, plural } from "../format";
import { useLoad } from "../hooks";
import { useSession } from "../session";
import type { LabelMatch, NoticeGroup, Notices, Silence } from "../types";
import { Act, Badge, Card, Empty, Failed, Field, Head, Load, Note, Table, Time } from "../ui/parts";

/** `LABEL=VALUE` or `LABEL!=VALUE`, one or more, with spaces between them. */
export function matchers(text: string): LabelMatch[] | undefined {
  const parts = text.split(/\s+/).filter((part) => part !== "");
  const read = parts.map((part): LabelMatch | undefined => {
    const found = /^([^=!]+)(!?)=(.*)$/.exec(part);
    return found ? { label: found[1] ?? "", value: found[3] ?? "", is_not: found[2] === "!" } : undefined;
  });
  return read.length > 0 && read.every((one) => one !== undefined) ? read : undefined;
}

function shown(labels: Record<string, string>): string {
  return Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(" ");
}

function Group({ group, acknowledge }: { group: NoticeGroup; acknowledge: () => Promise<unknown> }) {
  const on = group.alerts.filter((alert) => alert.on);
  const silenced = group.alerts.length > 0 && group.alerts.every((alert) => alert.silenced);
  return (
    <tr>
      <th scope="row" class="wrap">{shown(group.labels) || "everything"}<div class="small muted">{group.notification}</div></th>
      <td class="wrap">{group.alerts.slice(0, 5).map((alert, at) => <div key={at}>{alert.text}{alert.silenced && <> <Badge>silenced</Badge></>}{!alert.on && <> <Badge tone="good">over</Badge></>}</div>)}{group.alerts.length > 5 && <div class="muted">and {group.alerts.length - 5} more</div>}</td>
      <td class="number">{count(on.length)}</td>
      <td class="nowrap">{group.said ? <Time at={group.said} ago /> : <span class="muted">not yet</span>}</td>
      <td class="number">{group.step}</td>
      <td>
        {group.acknowledged ? <Badge tone="good">in hand</Badge> : silenced ? <Badge>silenced</Badge> : <Act run={acknowledge}>Take in hand<span class="quiet"> {shown(group.labels)}</span></Act>}
      </td>
    </tr>
  );
}

function Groups({ notices, reload }: { notices: Notices; reload: () => void }) {
  const acknowledge = (thread: string) => call("POST", "/notifications/acknowledge", { body: { thread } }).then(reload);
  return (
    <Card title="What is on" flush>
      {notices.groups.length === 0
        ? <Empty title="Nothing is on">Alerts of one group are one message.</Empty>
        : (
          <Table label="Groups of alerts">
            <thead><tr><th scope="col">Group</th><th scope="col">Alerts</th><th scope="col" class="number">On</th><th scope="col">Said</th><th scope="col" class="number">Step</th><th scope="col">State</th></tr></thead>
            <tbody>{notices.groups.map((group) => <Group key={`${group.notification} ${group.thread}`} group={group} acknowledge={() => acknowledge(group.thread)} />)}</tbody>
          </Table>
        )}
    </Card>
  );
}

function Deliveries({ notices }: { notices: Notices }) {
  if (notices.deliveries.length === 0) return null;
  return (
    <Card title="What has not arrived" flush>
      <Table label="Messages that have not arrived">
        <thead><tr><th scope="col">Receiver</th><th scope="col">Made</th><th scope="col" class="number">Attempts</th><th scope="col">Problem</th><th scope="col">Key</th></tr></thead>
        <tbody>
          {notices.deliveries.map((one) => (
            <tr key={one.key}>
              <th scope="row">{one.receiver}</th><td class="nowrap"><Time at={one.made} ago /></td><td class="number">{count(one.attempts)}</td>
              <td class="wrap">{one.problem ?? <span class="muted">none known here</span>}</td><td><code>{one.key}</code></td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Card>
  );
}

function Receivers({ notices }: { notices: Notices }) {
  const { say } = useSession();
  const test = (receiver: string) => call("POST", "/notifications/test", { body: { receiver } }).then(() => say(`A message to ${receiver} is on its way`));
  const on = notices.on_call;
  return (
    <Card title="Receivers" flush>
      {notices.receivers.length === 0
        ? <Empty title="Nobody is told">Receivers are configured as <code>receivers</code>, who is told of what as <code>notifications</code>.</Empty>
        : (
          <Table label="Receivers">
            <thead><tr><th scope="col">Receiver</th><th scope="col">On call</th><th scope="col"><span class="quiet">Try</span></th></tr></thead>
            <tbody>
              {notices.receivers.map((name) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{on.filter((one) => one.receiver === name).map((one) => <Badge key={one.rotation} tone="good">{one.rotation}</Badge>)}</td>
                  <td><Act run={() => test(name)}>Send a test<span class="quiet"> to {name}</span></Act></td>
                </tr>
              ))}
            </tbody>
          </Table>
        )}
    </Card>
  );
}

function Silences({ rows, reload }: { rows: Silence[]; reload: () => void }) {
  const [values, set] = useState({ matchers: "", length: "2h", reason: "" });
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const read = matchers(values.matchers);
  const add = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await call("POST", "/silences", { body: { matchers: read ?? [], for: values.length, reason: values.reason } });
      set({ matchers: "", length: "2h", reason: "" });
      reload();
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  const text = (one: LabelMatch) => `${one.label}${one.is_not ? "!=" : "="}${one.value}`;
  return (
    <Card title="Silences" flush>
      {rows.length > 0 && (
        <Table label="Silences">
          <thead><tr><th scope="col">Alerts</th><th scope="col">Until</th><th scope="col">By</th><th scope="col">Reason</th><th scope="col"><span class="quiet">End</span></th></tr></thead>
          <tbody>
            {rows.map((one) => (
              <tr key={one.id}>
                <th scope="row" class="wrap"><code>{one.matchers.map(text).join(" ")}</code></th><td class="nowrap"><Time at={one.until} /></td><td>{one.by}</td><td class="wrap">{one.reason}</td>
                <td><Act run={() => call("DELETE", `/silences${path(one.id)}`).then(reload)}>End<span class="quiet"> the silence of {one.matchers.map(text).join(" ")}</span></Act></td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
      <form class="body row" aria-label="A new silence" onSubmit={add}>
        <Field label="Alerts" hint="severity=ticket route!=orders" wrong={values.matchers !== "" && !read ? "LABEL=VALUE or LABEL!=VALUE" : undefined}>
          {(id, described) => <input id={id} aria-describedby={described} required value={values.matchers} onInput={(event) => set({ ...values, matchers: event.currentTarget.value })} />}
        </Field>
        <Field label="For" slim>{(id) => <input id={id} required pattern="[0-9]+(s|m|h|d)" value={values.length} onInput={(event) => set({ ...values, length: event.currentTarget.value })} />}</Field>
        <Field label="Reason">{(id) => <input id={id} required value={values.reason} onInput={(event) => set({ ...values, reason: event.currentTarget.value })} />}</Field>
        <button type="submit" disabled={busy || !read}>Silence</button>
        {problem && <Failed problem={problem} />}
      </form>
    </Card>
  );
}

/** The page. */
export function Notifications() {
  const loaded = useLoad("notifications", (signal) => get<Notices>("/notifications", {}, signal), 3000);
  return (
    <>
      <Head title="Notifications" lead="Who is told what is wrong, and whether it arrived." />
      <Load of={loaded}>
        {(notices) => (
          <>
            {!notices.stored && <Note title="This gateway has no store">What it knows here ends with it.</Note>}
            {notices.lost > 0 && <Note tone="bad" title={`${plural(notices.lost, "alert or message", "alerts or messages")} given up`}>There was no room, or a receiver failed for a day.</Note>}
            <Groups notices={notices} reload={loaded.reload} />
            <Deliveries notices={notices} />
            <Silences rows={notices.silences} reload={loaded.reload} />
            <Receivers notices={notices} />
          </>
        )}
      </Load>
    </>
  );
}
