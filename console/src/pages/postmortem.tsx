// The postmortem of an incident: what people add to the facts, and the text that comes of it.

import { useState } from "preact/hooks";
import { asProblem, call, get, path, type Problem } from "../api";
import { useLoad } from "../hooks";
import { to } from "../router";
import { useSession } from "../session";
import type { Postmortem, PostmortemInput } from "../types";
import { Badge, Card, Failed, Field, Head, Load, Note } from "../ui/parts";

const LISTS = [
  ["contributing", "Contributing factors", "What made this possible, likely, or worse? What kept it from being worse? One a line."],
  ["well", "What went well", "What worked, and was it luck? One a line."],
  ["badly", "What did not go well", "What was surprising? What did those who acted not know at the time? One a line."],
] as const;

/** Gives a text to the browser as a file. */
function save(name: string, kind: string, text: string) {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

function Editor({ of, done }: { of: Postmortem; done: () => void }) {
  const { say } = useSession();
  const [draft, set] = useState<PostmortemInput>(of.narrative);
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const address = `/incidents${path(of.incident)}/postmortem`;
  const run = async (publish: boolean) => {
    setBusy(true);
    setProblem(undefined);
    try {
      await call("PUT", address, { body: draft });
      if (publish) await call("POST", `${address}/publish`);
      say(publish ? "Published" : "Kept as a draft");
    } catch (error) {
      setProblem(asProblem(error));
    }
    setBusy(false);
    done();
  };
  const action = (at: number, change: Partial<PostmortemInput["actions"][number]>) => set({ ...draft, actions: draft.actions.map((one, index) => (index === at ? { ...one, ...change } : one)) });
  return (
    <Card title="What people add">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void run(false); }}>
        <Field label="Overview" hint="In a few sentences, for somebody who was not there.">{(id) => <textarea id={id} rows={4} value={draft.overview} onInput={(event) => set({ ...draft, overview: event.currentTarget.value })} />}</Field>
        {LISTS.map(([name, label, hint]) => (
          <Field key={name} label={label} hint={hint}>{(id) => <textarea id={id} rows={3} value={draft[name].join("\n")} onInput={(event) => set({ ...draft, [name]: event.currentTarget.value.split("\n") })} />}</Field>
        ))}
        {draft.actions.map((one, at) => (
          <fieldset key={at} class="row">
            <legend class="quiet">Action item {at + 1}</legend>
            <Field label={`Action ${at + 1}`}>{(id) => <input id={id} value={one.text} onInput={(event) => action(at, { text: event.currentTarget.value })} />}</Field>
            <Field label={`Team ${at + 1}`} slim>{(id) => <input id={id} value={one.team} onInput={(event) => action(at, { team: event.currentTarget.value })} />}</Field>
            <Field label={`Due ${at + 1}`} slim>{(id) => <input id={id} type="date" value={one.due ?? ""} onInput={(event) => action(at, { due: event.currentTarget.value || null })} />}</Field>
            <button type="button" class="small" onClick={() => set({ ...draft, actions: draft.actions.filter((_, index) => index !== at) })}>Remove<span class="quiet"> action {at + 1}</span></button>
          </fieldset>
        ))}
        <p class="actions"><button type="button" onClick={() => set({ ...draft, actions: [...draft.actions, { text: "", team: "", state: "open" }] })}>Add an action item</button></p>
        {problem && <Failed problem={problem} />}
        <div class="actions">
          <button type="submit" disabled={busy} aria-busy={busy}>Keep the draft</button>
          <button type="button" class="primary" disabled={busy} onClick={() => void run(true)}>Publish</button>
        </div>
      </form>
    </Card>
  );
}

/** The page. */
export function PostmortemPage({ id }: { id: string }) {
  const { me } = useSession();
  const loaded = useLoad(`postmortem/${id}`, (signal) => get<Postmortem>(`/incidents${path(id)}/postmortem`, {}, signal));
  return (
    <>
      <Head title={`Postmortem of ${id}`} crumbs={[["Incidents", "#/incidents"], [id, to(["incidents", id])]]} lead="Facts come by themselves; people add what made it possible. A person is never a cause." />
      <Load of={loaded} lines={12}>
        {(data) => (
          <>
            <p><Badge tone={data.state === "published" ? "good" : "info"}>{data.state}</Badge></p>
            {data.objections.length > 0 && (
              <Note tone="warn" title="To be written differently before it is published">
                <ul>{data.objections.map((one, at) => <li key={at}>Line {one.line}: <code>{one.words}</code> – {one.advice}</li>)}</ul>
              </Note>
            )}
            {me.role !== "viewer" && <Editor of={data} done={loaded.reload} key={data.incident} />}
            <Card title="The text" actions={
              <>
                <button type="button" class="small" onClick={() => save(`${id}.md`, "text/markdown", data.markdown)}>Markdown</button>
                <button type="button" class="small" onClick={() => save(`${id}.html`, "text/html", data.html)}>Page to print</button>
              </>
            }>
              <pre class="code" tabIndex={0} role="group" aria-label="The postmortem as Markdown">{data.markdown}</pre>
            </Card>
          </>
        )}
      </Load>
    </>
  );
}
