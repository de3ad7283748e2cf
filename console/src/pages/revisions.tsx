// Revisions: what was changed when and by whom, how two of them differ, and what one of them holds.

import { useState } from "preact/hooks";
import { call, get, path } from "../api";
import { useLoad } from "../hooks";
import { go, to } from "../router";
import { useSession } from "../session";
import type { Ack, Diff, Environment, Json, Page, PlanSummary, Revision, RevisionDocument } from "../types";
import { summary, ChangeList } from "../ui/changes";
import { Ask } from "../ui/dialog";
import { Badge, Card, Choice, Digest, Empty, Field, Head, Load, More, RevisionLink, Table, Time } from "../ui/parts";
import { Yaml } from "../ui/yaml";

const CAUSES: Record<string, string> = {
  apply: "applied", edit: "edited", rollback: "rolled back", promote: "promoted", auto_rollback: "rolled back by evidence", revert: "reverted, not confirmed", rotate: "secret renewed",
};

function planned(plan: PlanSummary | null | undefined): string {
  if (!plan) return "";
  const parts = [[plan.created, "created"], [plan.updated, "changed"], [plan.deleted, "removed"]].filter(([amount]) => Number(amount) > 0);
  return parts.map(([amount, word]) => `${amount} ${word}`).join(", ") || "no change";
}

function Standing({ number, environment }: { number: number; environment: Environment | undefined }) {
  if (environment?.candidate?.revision === number) return <Badge tone="info">candidate</Badge>;
  if (environment?.revision === number) return environment.confirm_until ? <Badge tone="warn">current, unconfirmed</Badge> : <Badge tone="good">current</Badge>;
  if (environment?.stable === number) return <Badge plain>stable</Badge>;
  return null;
}

/** The list. */
export function Revisions() {
  const { environment, fileManaged } = useSession();
  const [more, setMore] = useState<{ key: string; items: Revision[]; next: string | null | undefined }>();
  const [from, setFrom] = useState("");
  const key = `revisions/${environment?.name ?? ""}/${environment?.generation ?? 0}`;
  const query = { environment: fileManaged ? undefined : environment?.name, limit: 50 };
  const first = useLoad(key, (signal) => get<Page<Revision>>("/revisions", query, signal));
  const mine = more?.key === key ? more : undefined;
  const load = async (cursor: string) => {
    const page = await get<Page<Revision>>("/revisions", { ...query, cursor });
    setMore({ key, items: [...(mine?.items ?? first.data?.items ?? []), ...page.items], next: page.next });
  };
  return (
    <>
      <Head title="Revisions" lead={environment && !fileManaged ? <>Every change of <strong>{environment.name}</strong>, the latest first. Nothing in a revision ever changes.</> : "Every change, the latest first."} />
      <Card flush>
        <Load of={first} lines={8}>
          {(page) => {
            const rows = mine?.items ?? page.items;
            if (rows.length === 0 && fileManaged) return <Empty title="This gateway's configuration is a file">Revisions are kept where an environment is followed: <code>gateway.environment</code>.</Empty>;
            if (rows.length === 0) return <Empty title="There is no revision yet">The first one is made by <code>tidegate apply</code>, by Terraform, or <a href="#/configure">here</a>.</Empty>;
            return (
              <>
                <Table label="Revisions">
                  <thead><tr><th scope="col">Revision</th><th scope="col">What</th><th scope="col">Who</th><th scope="col">When</th><th scope="col">Changes</th><th scope="col">Digest</th><th scope="col">Compare</th></tr></thead>
                  <tbody>
                    {rows.map((revision) => (
                      <tr key={revision.number}>
                        <th scope="row" class="nowrap"><RevisionLink number={revision.number} /> <Standing number={revision.number} environment={environment} /></th>
                        <td class="wrap">{revision.message || <span class="muted">no message</span>} <span class="muted small">{CAUSES[revision.cause] ?? revision.cause}</span></td>
                        <td>{revision.author}</td>
                        <td class="nowrap"><Time at={revision.created} /></td>
                        <td class="nowrap small">{planned(revision.plan)}</td>
                        <td><Digest of={revision.digest} /></td>
                        <td class="nowrap">
                          {from && from !== String(revision.number)
                            ? <a href={to(["diff", Math.min(Number(from), revision.number), Math.max(Number(from), revision.number)])}>with #{from}</a>
                            : <button type="button" class="small" aria-pressed={from === String(revision.number)} onClick={() => setFrom(from ? "" : String(revision.number))}>{from ? "Chosen" : "Compare"}<span class="quiet"> #{revision.number}</span></button>}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </Table>
                <More next={mine ? mine.next : page.next} load={load} />
              </>
            );
          }}
        </Load>
      </Card>
    </>
  );
}

/** How two revisions differ. */
export function DiffPage({ from, to: other }: { from: number; to: number }) {
  const diff = useLoad(`diff/${from}/${other}`, (signal) => get<Diff>("/diff", { from, to: other }, signal));
  return (
    <>
      <Head title={`From #${from} to #${other}`} crumbs={[["Revisions", "#/revisions"]]} lead={diff.data && summary(diff.data.changes)} actions={<a class="button" href={to(["diff", other, from])}>The other way round</a>} />
      <Card flush>
        <Load of={diff}>{(data) => (data.changes.length === 0 ? <Empty title="They hold the same" /> : <ChangeList changes={data.changes} />)}</Load>
      </Card>
    </>
  );
}

function GoBack({ revision, environment, close }: { revision: Revision; environment: Environment; close: () => void }) {
  const { say } = useSession();
  const [message, setMessage] = useState("");
  const run = async () => {
    const body = { to: revision.number, message };
    await call("POST", `/environments${path(environment.name)}/rollback`, { body, ifMatch: `"${environment.generation}"` });
    say(`${environment.name} goes back to what #${revision.number} held`);
    go("#/revisions");
  };
  return (
    <Ask title={`Take ${environment.name} back to #${revision.number}?`} verb="Roll back" danger run={run} close={close}>
      <p>A new revision with the content of #{revision.number} becomes the current one. Streams in flight end with the revision that they began with.</p>
      <Field label="Why">{(id) => <input id={id} value={message} onInput={(event) => setMessage(event.currentTarget.value)} />}</Field>
    </Ask>
  );
}

/** One revision. */
export function RevisionPage({ number }: { number: number }) {
  const { environment, mayChange } = useSession();
  const [view, setView] = useState<"changes" | "document">("changes");
  const [asking, setAsking] = useState(false);
  const revision = useLoad(`revision/${number}`, (signal) => get<Revision>(`/revisions${path(number)}`, {}, signal));
  const parent = revision.data?.parent;
  const diff = useLoad(parent == null ? null : `diff/${parent}/${number}`, (signal) => get<Diff>("/diff", { from: parent, to: number }, signal));
  const content = useLoad(view === "document" || (revision.data && parent == null) ? `document/${number}` : null, (signal) => get<RevisionDocument>(`/revisions${path(number)}/document`, {}, signal));
  const acks = useLoad(revision.data ? `acks/${revision.data.environment}` : null, async (signal) => (await get<Page<Ack>>(`/environments${path(revision.data?.environment ?? "")}/acks`, {}, signal)).items, 3000);
  const current = environment?.name === revision.data?.environment && environment?.revision === number;
  const actions = revision.data && environment && mayChange && environment.name === revision.data.environment && !current && (
    <button type="button" onClick={() => setAsking(true)}>Roll back to this</button>
  );
  return (
    <>
      <Head title={`Revision #${number}`} crumbs={[["Revisions", "#/revisions"]]} lead={revision.data && (revision.data.message || "no message")} actions={actions} />
      {asking && revision.data && environment && <GoBack revision={revision.data} environment={environment} close={() => setAsking(false)} />}
      <Load of={revision} lines={4}>
        {(data) => (
          <div class="grid two">
            <Card title="Where it comes from">
              <dl class="facts">
                <dt>Made</dt><dd><Time at={data.created} both /> by <strong>{data.author}</strong></dd>
                <dt>Because</dt><dd>{CAUSES[data.cause] ?? data.cause}</dd>
                <dt>Environment</dt><dd><a href={to(["environments", data.environment])}>{data.environment}</a> <Standing number={number} environment={environment} /></dd>
                <dt>Parent</dt><dd><RevisionLink number={data.parent} /></dd>
                <dt>Commit</dt><dd>{data.source_commit ? <code>{data.source_commit}</code> : <span class="muted">–</span>}</dd>
                <dt>Digest</dt><dd><Digest of={data.digest} /></dd>
                <dt>Plan</dt><dd>{planned(data.plan) || <span class="muted">–</span>}{data.plan && data.plan.findings > 0 && <> <Badge tone="warn">{data.plan.findings} findings</Badge></>}</dd>
              </dl>
              {Object.keys(data.checks ?? {}).length > 0 && (
                <><h3>Checks</h3><dl class="facts">{Object.entries(data.checks).map(([name, outcome]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`}>{outcome}</dd>])}</dl></>
              )}
            </Card>
            <Card title="Gateways" flush><Acks acks={acks.data?.filter((ack) => ack.revision === number)} problem={acks} /></Card>
          </div>
        )}
      </Load>
      {revision.data && (
        <Card title="Content" flush actions={<Choice label="Content" value={parent == null ? "document" : view} options={parent == null ? [["document", "Document"]] : [["changes", "Changes"], ["document", "Document"]]} change={setView} />}>
          {view === "changes" && parent != null
            ? <Load of={diff}>{(data) => (data.changes.length === 0 ? <Empty title={`It holds the same as #${parent}`} /> : <ChangeList changes={data.changes} />)}</Load>
            : <Load of={content}>{(data) => <div class="body"><Yaml value={data.document as Json} label={`The document of revision ${number}`} /></div>}</Load>}
        </Card>
      )}
    </>
  );
}

/** What gateways made of a revision. */
export function Acks({ acks, problem }: { acks: Ack[] | undefined; problem: Parameters<typeof Load<Ack[]>>[0]["of"] }) {
  return (
    <Load of={{ ...problem, data: acks }} lines={2}>
      {(rows) => rows.length === 0 ? <Empty title="No gateway has acknowledged it">A gateway that follows the environment says whether it serves a revision, and why not.</Empty> : (
        <Table label="Acknowledgements">
          <thead><tr><th scope="col">Gateway</th><th scope="col">State</th><th scope="col">Revision</th><th scope="col">When</th></tr></thead>
          <tbody>
            {rows.map((ack) => (
              <tr key={`${ack.instance}/${ack.revision}`}>
                <th scope="row">{ack.instance}</th>
                <td><Badge tone={ack.state === "applied" ? "good" : "bad"}>{ack.state}</Badge>{ack.reason && <p class="bad small wrap">{ack.reason}</p>}</td>
                <td><RevisionLink number={ack.revision} /></td><td class="nowrap"><Time at={ack.at} ago /></td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </Load>
  );
}
