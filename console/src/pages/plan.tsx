// The plan of a draft: what it changes, what is doubtful about it, what it would have done to
// recorded traffic; then how it is applied.

import { useEffect, useState } from "preact/hooks";
import { asProblem, call, path, type Problem } from "../api";
import { draftDocument, keepFindings, useDraft } from "../draft";
import { plural } from "../format";
import { useLoad } from "../hooks";
import { useResources } from "../resources";
import { go, to } from "../router";
import { useSession } from "../session";
import type { Applied, Environment, Json, Plan } from "../types";
import { Yaml } from "../ui/yaml";
import { PlanView } from "../ui/changes";
import { Card, Empty, Failed, Field, Head, Load, Note } from "../ui/parts";

/** The page. */
export function PlanPage() {
  const { environment } = useSession();
  const crumbs: [string, string][] = [["Configure", "#/configure"]];
  if (!environment) return <><Head title="Plan" crumbs={crumbs} /><Empty title="There is no environment to plan for" /></>;
  return <Planned environment={environment} key={environment.name} />;
}

function Planned({ environment }: { environment: Environment }) {
  const { fileManaged } = useSession();
  const { draft, clear, rebase } = useDraft(environment.name);
  const [takeOver, setTakeOver] = useState(false);
  const document = draftDocument(draft);
  const body = { document, manager: "console", mode: "merge", take_over: takeOver };
  const key = draft.edits.length === 0 ? null : `plan/${environment.name}/${environment.generation}/${JSON.stringify(body)}`;
  const plan = useLoad(key, async (signal) => (await call<Plan>("POST", `/environments${path(environment.name)}/plan`, { body, signal })).data);
  useEffect(() => keepFindings(environment.name, plan.data?.findings ?? plan.problem?.findings ?? []), [plan.data, plan.problem]);
  const moved = draft.generation !== undefined && draft.generation !== environment.generation;
  return (
    <>
      <Head title="Plan" crumbs={[["Configure", "#/configure"]]} lead={<>{plural(draft.edits.length, "change")} for <strong>{fileManaged ? "this gateway's file" : environment.name}</strong></>} actions={draft.edits.length > 0 && <button type="button" onClick={() => { clear(); go("#/configure"); }}>Discard the draft</button>} />
      {draft.edits.length === 0 ? <Card><Empty title="The draft is empty">Change a resource <a href="#/configure">by its form</a>, keep it, and plan it here.</Empty></Card> : (
        <>
          {moved && !fileManaged && (
            <Note tone="warn" live title={`${environment.name} has changed since this draft was begun`}>
              <p>The plan below is against what it holds now. <button type="button" class="small" onClick={() => rebase(environment.generation)}>I have looked at it</button></p>
            </Note>
          )}
          <div class="split">
            <Card title="What changes">
              <Load of={plan}>{(data) => <PlanView plan={data} />}</Load>
              {plan.problem?.code === "owned_elsewhere" && <button type="button" onClick={() => setTakeOver(true)}>Take them over</button>}
            </Card>
            {plan.data && fileManaged && <Card title="The document" class="sticky"><p>This gateway's configuration is a file: put this into it.</p><Yaml value={document as Json} label="The document of the draft" /></Card>}
            {plan.data && !fileManaged && <Apply environment={environment} plan={plan.data} body={body} generation={draft.generation ?? environment.generation} done={clear} />}
          </div>
        </>
      )}
    </>
  );
}

interface ApplyProps { environment: Environment; plan: Plan; body: object; generation: number; done: () => void }

function Apply({ environment, plan, body, generation, done }: ApplyProps) {
  const { can, say, environments } = useSession();
  const rollouts = useResources("rollouts");
  const [message, setMessage] = useState("");
  const [canary, setCanary] = useState("");
  const [within, setWithin] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const forbidden = plan.verdict === "forbidden";
  const apply = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      const more = { message, canary: canary ? { rollout: canary } : null, confirm_within: within || null };
      const { data } = await call<Applied>("POST", `/environments${path(environment.name)}/revisions`, { body: { ...body, ...more }, ifMatch: `"${generation}"` });
      done();
      environments.reload();
      say(data.revision ? `Revision #${data.revision.number} is made` : "Nothing had to be changed");
      if (data.rollout) go(to(["rollouts", data.rollout]));
      else if (data.revision) go(to(["revisions", data.revision.number]));
      else go("#/configure");
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card title="Apply" class="sticky">
      <form class="stack" onSubmit={(event) => void apply(event)}>
        <Field label="Message" hint="Why; it stands in the revision.">{(id, described) => <input id={id} aria-describedby={described} value={message} onInput={(event) => setMessage(event.currentTarget.value)} />}</Field>
        <Field label="Canary" hint="Serves a share of requests first; evidence decides.">
          {(id, described) => <select id={id} aria-describedby={described} value={canary} onChange={(event) => setCanary(event.currentTarget.value)}><option value="">none: all at once</option>{rollouts.data?.map((one) => <option key={one.name}>{one.name}</option>)}</select>}
        </Field>
        <Field label="Revert unless confirmed within" hint="Such as 10m; empty for no confirmation.">{(id, described) => <input id={id} aria-describedby={described} value={within} placeholder="10m" onInput={(event) => setWithin(event.currentTarget.value)} />}</Field>
        {forbidden && <Note tone="bad" title="Errors stand against it"><p>Nothing can be applied before they are gone.</p></Note>}
        {environment.lock && <Note tone="warn" title={`${environment.name} is locked by ${environment.lock.holder}`}><p>{environment.lock.reason}</p></Note>}
        {problem && <Failed problem={problem} />}
        <div class="actions"><button type="submit" class="primary" disabled={busy || forbidden || plan.changes.length === 0 || !can("operator")} aria-busy={busy}>Apply to {environment.name}</button></div>
      </form>
    </Card>
  );
}
