// Configuration: kinds, their resources, and the form of one of them beside the document that it
// produces. What is changed goes into a draft, which is planned before it is applied.

import { useEffect, useState } from "preact/hooks";
import { get } from "../api";
import { findingsOf, useDraft } from "../draft";
import { plural } from "../format";
import { useLoad } from "../hooks";
import { useResources } from "../resources";
import { go, to } from "../router";
import { AnyJson, Form } from "../schema/form";
import { initial, key, kinds, lead, type Schema, type SchemaNode } from "../schema/model";
import { useSession } from "../session";
import type { Json } from "../types";
import { Badge, Card, Choice, Empty, Field, Findings, Head, Load, Note, Table } from "../ui/parts";
import { yaml, Yaml } from "../ui/yaml";
import { PlanPage } from "./plan";

/** Kinds of the process itself, which no revision holds. */
const PROCESS = "gateway";

/** The page for what the address names. */
export function Configure({ kind, name }: { kind: string | undefined; name: string | undefined }) {
  const schema = useLoad("schema", (signal) => get<Schema>("/schema", {}, signal));
  const { environment } = useSession();
  if (kind === "plan") return <PlanPage />;
  return (
    <>
      {schema.data === undefined && <Head title="Configure" />}
      <Load of={schema} lines={8}>
        {(data) => {
          const found = kinds(data).find(([one]) => one === kind);
          if (kind === undefined) return <Kinds schema={data} />;
          if (found === undefined) return <><Head title={kind} crumbs={[["Configure", "#/configure"]]} /><Empty title={`There is no kind ${kind}`}><a href="#/configure">See all kinds</a></Empty></>;
          if (name === undefined) return <Names kind={kind} node={found[1]} key={kind} />;
          return <Editor schema={data} kind={kind} name={name} node={found[2]} key={`${environment?.name}/${kind}/${name}`} />;
        }}
      </Load>
    </>
  );
}

function DraftNote() {
  const { environment } = useSession();
  const { draft, clear } = useDraft(environment?.name ?? "");
  if (draft.edits.length === 0) return null;
  return (
    <Note tone="info" title={`${plural(draft.edits.length, "change")} in the draft`}>
      <p>{draft.edits.map((edit) => <span key={`${edit.kind}/${edit.name}`}><a href={to(["configure", edit.kind, edit.name])}><code>{edit.kind}/{edit.name}</code></a>{edit.value === null && " (removed)"} </span>)}</p>
      <p class="actions"><a class="button primary small" href="#/configure/plan">Plan and apply</a><button type="button" class="small" onClick={clear}>Discard all</button></p>
    </Note>
  );
}

function Kinds({ schema }: { schema: Schema }) {
  const { environment, fileManaged } = useSession();
  return (
    <>
      <Head title="Configure" lead={environment && !fileManaged ? <>What <strong>{environment.name}</strong> serves, by kind. Changes are planned before they are applied.</> : "What this gateway's file says, by kind. What is put together here can be planned, and copied into the file."} />
      <DraftNote />
      <ul class="grid kinds">
        {kinds(schema).filter(([kind]) => kind !== PROCESS).map(([kind, node]) => (
          <li key={kind} class="card"><a class="body" href={to(["configure", kind])}><strong>{titled(kind)}</strong><span class="muted small">{lead(node.description).replaceAll("`", "")}</span></a></li>
        ))}
      </ul>
    </>
  );
}

function Names({ kind, node }: { kind: string; node: SchemaNode }) {
  const { environment, can } = useSession();
  const [wanted, setWanted] = useState("");
  const resources = useResources(kind);
  const { draft } = useDraft(environment?.name ?? "");
  const added = draft.edits.filter((edit) => edit.kind === kind && !resources.data?.some((one) => one.name === edit.name));
  const edit = (name: string) => draft.edits.find((one) => one.kind === kind && one.name === name);
  return (
    <>
      <Head title={titled(kind)} crumbs={[["Configure", "#/configure"]]} lead={lead(node.description).replaceAll("`", "")} actions={(can("operator") || !environment) && <a class="button primary" href={to(["configure", kind, "+"])}>New</a>} />
      <DraftNote />
      {!environment ? <Card flush><Empty title="There is no environment yet"><a href="#/environments">Make one</a> to configure it.</Empty></Card> : (
        <Card flush>
          <Load of={resources}>
            {(rows) => rows.length + added.length === 0 ? <Empty title={`There are no ${kind.replaceAll("_", " ")}`}>{can("operator") && <a href={to(["configure", kind, "+"])}>Make the first one</a>}</Empty> : (
              <>
                {rows.length > 12 && <div class="body"><Field label="Find by name">{(id) => <input id={id} type="search" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />}</Field></div>}
                <Table label={kind}>
                  <thead><tr><th scope="col">Name</th><th scope="col">Managed by</th><th scope="col">Draft</th></tr></thead>
                  <tbody>
                    {added.map((one) => <tr key={one.name}><th scope="row"><a href={to(["configure", kind, one.name])}>{one.name}</a></th><td><code class="small">console</code></td><td><Badge tone="good">new</Badge></td></tr>)}
                    {rows.filter((one) => one.name.includes(wanted)).slice(0, 500).map((one) => (
                      <tr key={one.name}>
                        <th scope="row"><a href={to(["configure", kind, one.name])}>{one.name}</a></th><td><code class="small">{one.manager}</code></td>
                        <td>{edit(one.name) ? <Badge tone={edit(one.name)?.value === null ? "bad" : "info"}>{edit(one.name)?.value === null ? "removed" : "changed"}</Badge> : <span class="muted">–</span>}</td>
                      </tr>
                    ))}
                  </tbody>
                </Table>
              </>
            )}
          </Load>
        </Card>
      )}
    </>
  );
}

/** Kinds whose names are offered in forms. */
const OFFERED = ["upstreams", "providers", "models", "listeners", "teams"];

function useNames(): Record<string, string[]> {
  const lists = OFFERED.map((kind) => [kind, useResources(kind).data?.map((one) => one.name) ?? []] as const);
  return Object.fromEntries(lists);
}

function Editor({ schema, kind, name, node }: { schema: Schema; kind: string; name: string; node: SchemaNode }) {
  const { environment } = useSession();
  const resources = useResources(kind);
  const fresh = name === "+";
  const { draft } = useDraft(environment?.name ?? "");
  const edit = draft.edits.find((one) => one.kind === kind && one.name === name);
  const kept = resources.data?.find((one) => one.name === name);
  if (environment && resources.data === undefined) return <><Head title={name} crumbs={crumbs(kind)} /><Load of={resources}>{() => null}</Load></>;
  if (!fresh && !kept && !edit && environment) return <><Head title={name} crumbs={crumbs(kind)} /><Empty title={`There is no ${name} among ${kind}`}><a href={to(["configure", kind])}>See all {kind}</a></Empty></>;
  const first = edit?.value ?? kept?.resource ?? initial(schema, node);
  return <Edit schema={schema} kind={kind} name={name} node={node} first={first} manager={kept?.manager} removed={edit?.value === null} drafted={edit !== undefined} kept={kept?.resource} />;
}

/** A kind as a heading: `mcp_servers` is `MCP servers`. */
function titled(kind: string): string {
  const words = kind.replaceAll("_", " ").replace(/^mcp\b/, "MCP");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function crumbs(kind: string): [string, string][] {
  return [["Configure", "#/configure"], [titled(kind), to(["configure", kind])]];
}

interface EditProps { schema: Schema; kind: string; name: string; node: SchemaNode; first: Json; manager: string | undefined; removed: boolean; drafted: boolean; kept: Json | undefined }

function Edit({ schema, kind, name, node, first, manager, removed, drafted, kept }: EditProps) {
  const { environment, fileManaged, can, say } = useSession();
  const { put, drop } = useDraft(environment?.name ?? "");
  const names = useNames();
  const [value, setValue] = useState<Json>(first);
  const [called, setCalled] = useState("");
  const [way, setWay] = useState<"form" | "json">("form");
  const fresh = name === "+";
  const title = fresh ? called : name;
  const readOnly = environment !== undefined && !can("operator");
  const changed = JSON.stringify(value) !== JSON.stringify(kept);
  const keep = () => {
    put({ kind, name: title, value }, environment?.generation ?? 0);
    say(`${kind}/${title} is in the draft`);
    if (fresh) go(to(["configure", kind, title]), true);
  };
  const remove = () => {
    if (kept === undefined) drop(kind, name);
    else put({ kind, name, value: null }, environment?.generation ?? 0);
    go(to(["configure", kind]));
  };
  useUnload(changed && !drafted && kept !== undefined);
  const place = `${kind}.${key(title)}`;
  const findings = findingsOf(environment?.name ?? "", place);
  const foreign = manager !== undefined && manager !== "console" && !fileManaged;
  return (
    <>
      <Head title={fresh ? `New: ${kind.replaceAll("_", " ")}` : name} crumbs={crumbs(kind)} lead={manager && !fileManaged && <>Managed by <code>{manager}</code></>} actions={environment && !readOnly && (
        <>
          {!fresh && !removed && <button type="button" class="danger" onClick={remove}>Remove</button>}
          {drafted && <button type="button" onClick={() => { drop(kind, name); if (kept === undefined) go(to(["configure", kind])); else setValue(kept); }}>Take back</button>}
          <button type="button" disabled={title === "" || !changed} onClick={keep}>Keep in the draft</button>
          <button type="button" class="primary" disabled={title === "" || !(changed || drafted)} onClick={() => { if (changed) keep(); go("#/configure/plan"); }}>Plan</button>
        </>
      )} />
      {removed && <Note tone="warn" title="The draft removes this resource" />}
      <Findings findings={findings} />
      {foreign && !readOnly && <Note tone="warn" title={`${manager} owns this resource`}><p>Change it there, or take it over when the draft is applied: else the change is refused.</p></Note>}
      <div class="split">
        <Card title="Settings" actions={<Choice label="Edit as" value={way} options={[["form", "Form"], ["json", "JSON"]]} change={setWay} />}>
          {fresh && <Field label="Name" hint="How other resources and records call it.">{(id, described) => <input id={id} aria-describedby={described} class="mono" required value={called} autocomplete="off" onInput={(event) => setCalled(event.currentTarget.value)} />}</Field>}
          {way === "form"
            ? <Form setting={{ schema, findings, names, readOnly }} node={node} name={title || kind} at={place} value={value} change={setValue} />
            : <AnyJson node={{}} name="JSON" at="" value={value} change={(next) => setValue(next ?? null)} />}
        </Card>
        <Card title="The document" class="sticky" actions={<Copy text={yaml({ [kind]: { [title || "NAME"]: value } })} />}>
          <Yaml value={{ [kind]: { [title || "NAME"]: value } }} label="The document that these settings produce" />
        </Card>
      </div>
    </>
  );
}

function Copy({ text }: { text: string }) {
  const { say } = useSession();
  return <button type="button" class="small" onClick={() => navigator.clipboard?.writeText(text).then(() => say("Copied"), () => say("The browser did not allow copying", "bad"))}>Copy</button>;
}

/** Asks before the tab is closed on changes that are kept nowhere. */
function useUnload(unkept: boolean): void {
  useEffect(() => {
    if (!unkept) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [unkept]);
}
