// Environments: pointers to revisions, with their variables, locks, promotions and gateways.

import { useState } from "preact/hooks";
import { call, get, path } from "../api";
import { useLoad } from "../hooks";
import { to } from "../router";
import { useSession } from "../session";
import type { Ack, Environment, Page } from "../types";
import { Ask } from "../ui/dialog";
import { Badge, Card, Empty, Field, Head, Load, Note, RevisionLink, Table, Time } from "../ui/parts";
import { Acks } from "./revisions";

function State({ environment }: { environment: Environment }) {
  return (
    <>
      {environment.lock && <Badge tone="warn">locked</Badge>} {environment.confirm_until && <Badge tone="warn">unconfirmed</Badge>} {environment.candidate && <Badge tone="info">rolling out #{environment.candidate.revision}</Badge>}
      {!environment.lock && !environment.confirm_until && !environment.candidate && (environment.revision == null ? <Badge>empty</Badge> : <Badge tone="good">steady</Badge>)}
    </>
  );
}

/** The list. */
export function Environments() {
  const { environments, fileManaged, mayChange, say, choose } = useSession();
  const [making, setMaking] = useState(false);
  const [name, setName] = useState("");
  const [promotes, setPromotes] = useState("");
  const make = async () => {
    await call("PUT", `/environments${path(name)}`, { body: { promotes_to: promotes || null }, });
    say(`${name} is made`);
    choose(name);
    environments.reload();
  };
  return (
    <>
      <Head title="Environments" lead="Each points to a revision; gateways follow one." actions={mayChange && <button type="button" class="primary" onClick={() => setMaking(true)}>New environment</button>} />
      {making && (
        <Ask title="New environment" verb="Make" ready={/^[a-z0-9][a-z0-9_-]*$/.test(name) && !environments.data?.some((one) => one.name === name)} run={make} close={() => setMaking(false)}>
          <Field label="Name" hint="Lower-case letters, digits, - and _.">{(id, described) => <input id={id} aria-describedby={described} required value={name} onInput={(event) => setName(event.currentTarget.value)} />}</Field>
          <Field label="Promotes to">
            {(id) => <select id={id} value={promotes} onChange={(event) => setPromotes(event.currentTarget.value)}><option value="">nowhere</option>{environments.data?.map((one) => <option key={one.name}>{one.name}</option>)}</select>}
          </Field>
        </Ask>
      )}
      <Card flush>
        <Load of={environments}>
          {(rows) => rows.length === 0 || fileManaged ? <Empty title="There is no environment">This gateway serves what its file says. With <code>gateway.store</code> and <code>gateway.environment</code> it follows an environment, which can be changed here.</Empty> : (
            <Table label="Environments">
              <thead><tr><th scope="col">Environment</th><th scope="col">State</th><th scope="col">Revision</th><th scope="col">Stable</th><th scope="col">Promotes to</th><th scope="col" class="number">Variables</th><th scope="col" class="number">Generation</th></tr></thead>
              <tbody>
                {rows.map((one) => (
                  <tr key={one.name}>
                    <th scope="row"><a href={to(["environments", one.name])}>{one.name}</a></th>
                    <td><State environment={one} /></td><td><RevisionLink number={one.revision} /></td><td><RevisionLink number={one.stable} /></td>
                    <td>{one.promotes_to ?? <span class="muted">–</span>}</td><td class="number">{Object.keys(one.variables).length}</td><td class="number">{one.generation}</td>
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

type Doing = "promote" | "rollback" | "lock" | "unlock" | "confirm";

function Doings({ environment, what, close }: { environment: Environment; what: Doing; close: () => void }) {
  const { environments, say } = useSession();
  const [text, setText] = useState("");
  const [target, setTarget] = useState(environment.promotes_to ?? "");
  const [within, setWithin] = useState("");
  const { name } = environment;
  const run = async () => {
    const bodies = { promote: { to: target, message: text, confirm_within: within || null }, rollback: { message: text }, lock: { reason: text }, unlock: {}, confirm: { reason: text } };
    // A promotion changes the other environment, so its state is what must not have moved.
    const changed = what === "promote" ? environments.data?.find((one) => one.name === target) : environment;
    await call("POST", `/environments${path(name, what)}`, { body: bodies[what], ifMatch: changed && `"${changed.generation}"` });
    const said = { promote: `Promoted to ${target}`, rollback: `${name} goes back`, lock: `${name} is locked`, unlock: `${name} is open again`, confirm: "Confirmed" };
    say(said[what]);
    environments.reload();
  };
  const titles = { promote: `Promote #${environment.revision} of ${name}`, rollback: `Take ${name} back by one revision?`, lock: `Lock ${name}`, unlock: `Unlock ${name}?`, confirm: `Confirm #${environment.revision} of ${name}?` };
  const verbs = { promote: "Promote", rollback: "Roll back", lock: "Lock", unlock: "Unlock", confirm: "Confirm" };
  const others = environments.data?.filter((one) => one.name !== name) ?? [];
  return (
    <Ask title={titles[what]} verb={verbs[what]} danger={what === "rollback"} ready={(what !== "promote" || target !== "") && (what !== "lock" || text.trim() !== "")} run={run} close={close}>
      {what === "promote" && (
        <>
          <p>The same content, with the variables of the other environment, becomes its next revision.</p>
          <Field label="To">{(id) => <select id={id} value={target} onChange={(event) => setTarget(event.currentTarget.value)}><option value="">choose</option>{others.map((one) => <option key={one.name}>{one.name}</option>)}</select>}</Field>
          <Field label="Revert unless confirmed within" hint="Such as 10m; empty for no confirmation.">{(id, described) => <input id={id} aria-describedby={described} value={within} onInput={(event) => setWithin(event.currentTarget.value)} />}</Field>
        </>
      )}
      {what === "unlock" && environment.lock && <p>Held by {environment.lock.holder}: {environment.lock.reason}</p>}
      {what === "confirm" && <p>It stays, and becomes the revision to go back to.</p>}
      {what !== "unlock" && <Field label={what === "promote" ? "Message" : "Why"}>{(id) => <input id={id} required={what === "lock"} value={text} onInput={(event) => setText(event.currentTarget.value)} />}</Field>}
    </Ask>
  );
}

function Variables({ environment }: { environment: Environment }) {
  const { mayChange, say, environments } = useSession();
  const [edited, setEdited] = useState<[string, string][]>();
  const [asking, setAsking] = useState(false);
  const rows = edited ?? Object.entries(environment.variables);
  const set = (at: number, row: [string, string]) => setEdited(rows.map((old, one) => (one === at ? row : old)));
  const save = async () => {
    const variables = Object.fromEntries(rows.filter(([name]) => name !== ""));
    await call("PUT", `/environments${path(environment.name)}`, { body: { variables, promotes_to: environment.promotes_to ?? null }, ifMatch: `"${environment.generation}"` });
    say("Variables are kept");
    setEdited(undefined);
    environments.reload();
  };
  return (
    <Card title="Variables" actions={mayChange && (
      <>
        <button type="button" class="small" onClick={() => setEdited([...rows, ["", ""]])}>Add</button>
        {edited && <button type="button" class="small" onClick={() => setEdited(undefined)}>Discard</button>}
        {edited && <button type="button" class="small primary" onClick={() => setAsking(true)}>Save</button>}
      </>
    )}>
      {asking && <Ask title={`Change the variables of ${environment.name}?`} verb="Save" run={save} close={() => setAsking(false)}><p>Its current revision is compiled again with them.</p></Ask>}
      {rows.length === 0 && <p class="muted">None. <code>{"${vars.NAME}"}</code> in a document stands for a variable of the environment that serves it.</p>}
      {rows.map(([name, value], at) => (
        <div class="row" key={at}>
          <Field label={`Name ${at + 1}`}>{(id) => <input id={id} class="mono" value={name} disabled={!mayChange} onInput={(event) => set(at, [event.currentTarget.value, value])} />}</Field>
          <Field label={`Value ${at + 1}`}>{(id) => <input id={id} class="mono" value={value} disabled={!mayChange} onInput={(event) => set(at, [name, event.currentTarget.value])} />}</Field>
          {mayChange && <button type="button" onClick={() => setEdited(rows.filter((_, one) => one !== at))}>Remove<span class="quiet"> variable {name}</span></button>}
        </div>
      ))}
    </Card>
  );
}

/** One environment. */
export function EnvironmentPage({ name }: { name: string }) {
  const { environments, mayChange } = useSession();
  const [doing, setDoing] = useState<Doing>();
  const environment = environments.data?.find((one) => one.name === name);
  const acks = useLoad(`acks/${name}/${environment?.generation}`, async (signal) => (await get<Page<Ack>>(`/environments${path(name)}/acks`, {}, signal)).items, 3000);
  const crumbs: [string, string][] = [["Environments", "#/environments"]];
  if (!environment) {
    return <><Head title={name} crumbs={crumbs} /><Load of={environments}>{() => <Empty title={`There is no environment ${name}`}><a href="#/environments">See all</a></Empty>}</Load></>;
  }
  const button = (what: Doing, label: string, kind = "") => <button type="button" class={kind} onClick={() => setDoing(what)}>{label}</button>;
  return (
    <>
      <Head title={name} crumbs={crumbs} lead={<State environment={environment} />} actions={mayChange && (
        <>
          {environment.lock ? button("unlock", "Unlock") : button("lock", "Lock")}
          {environment.revision != null && button("rollback", "Roll back", "danger")}
          {environment.revision != null && button("promote", "Promote", environment.confirm_until ? "" : "primary")}
          {environment.confirm_until && button("confirm", "Confirm", "primary")}
        </>
      )} />
      {doing && <Doings environment={environment} what={doing} close={() => setDoing(undefined)} />}
      {environment.confirm_until && <Note tone="warn" title={<>Reverts by itself <Time at={environment.confirm_until} ago /></>}><p>Unless revision #{environment.revision} is confirmed before <Time at={environment.confirm_until} both />.</p></Note>}
      {environment.lock && <Note tone="warn" title={`Locked by ${environment.lock.holder}`}><p>{environment.lock.reason} <span class="muted small">since <Time at={environment.lock.since} /></span></p></Note>}
      <div class="grid two">
        <Card title="State">
          <dl class="facts">
            <dt>Revision</dt><dd><RevisionLink number={environment.revision} /></dd>
            <dt>Stable</dt><dd><RevisionLink number={environment.stable} /> <span class="muted small">confirmed last</span></dd>
            <dt>Candidate</dt><dd>{environment.candidate ? <a href={to(["rollouts", environment.candidate.rollout])}>#{environment.candidate.revision}</a> : <span class="muted">none</span>}</dd>
            <dt>Promotes to</dt><dd>{environment.promotes_to ?? <span class="muted">nowhere</span>}</dd>
            <dt>Generation</dt><dd>{environment.generation}</dd>
          </dl>
        </Card>
        <Variables environment={environment} key={environment.generation} />
      </div>
      <Card title="Gateways" flush><Acks acks={acks.data} problem={acks} /></Card>
    </>
  );
}
