// What a change does to resources: field by field, and to the traffic that was recorded.

import { count, percent, plural } from "../format";
import { to } from "../router";
import type { Effect, Json, Plan, ResourceChange } from "../types";
import { yaml } from "./yaml";
import { Badge, Findings, Note, Table, Time } from "./parts";

const TONES = { create: "good", update: "info", delete: "bad" } as const;
const WORDS = { create: "created", update: "changed", delete: "removed" } as const;

function Side({ sign, value }: { sign: "minus" | "plus"; value: Json }) {
  const text = yaml(value);
  const word = sign === "minus" ? "before: " : "after: ";
  return <div class={sign}><span class="quiet">{word}</span>{text.split("\n").map((line) => `${sign === "minus" ? "−" : "+"} ${line}`).join("\n")}</div>;
}

/** Changes by resource, with both values of each field. */
export function ChangeList({ changes }: { changes: ResourceChange[] }) {
  return (
    <ul class="changes">
      {changes.map((change) => (
        <li key={`${change.kind}/${change.name}`}>
          <p class="name"><Badge tone={TONES[change.action]}>{WORDS[change.action]}</Badge><code class="strong">{change.kind}/{change.name}</code></p>
          <div class="diff">
            {change.fields.map((field, at) => (
              <div key={at}>
                {field.path && <div class="path">{field.path}</div>}
                {field.before !== undefined && <Side sign="minus" value={field.before} />}
                {field.after !== undefined && <Side sign="plus" value={field.after} />}
              </div>
            ))}
          </div>
        </li>
      ))}
    </ul>
  );
}

/** How much changes, in words. */
export function summary(changes: ResourceChange[]): string {
  const by = (action: ResourceChange["action"]) => changes.filter((change) => change.action === action).length;
  const parts = (["create", "update", "delete"] as const).filter((action) => by(action) > 0).map((action) => `${by(action)} ${WORDS[action]}`);
  return parts.length > 0 ? parts.join(", ") : "No change";
}

const WHAT = {
  route: "would be served by another route",
  version: "would be served by another version",
  verdict: "would get another answer from a policy",
  provider: "would go to another provider",
  cost: "would cost something else",
} as const;

/** What a change would have done to recorded traffic. */
export function EffectView({ effect }: { effect: Effect }) {
  return (
    <div class="stack">
      <p class="muted small">
        {plural(effect.records, "recorded request")} replayed{effect.from && <>, from <Time at={effect.from} /> to <Time at={effect.to} /></>}: {count(effect.unchanged)} would come out the same.
      </p>
      {effect.records > 0 && effect.changed.length === 0 && effect.unknown.count === 0 && <Note tone="good" title="No recorded request would come out differently" />}
      {effect.changed.map((change) => (
        <div key={change.what} class="stack">
          <p><span class="strong">{percent(change.share)}</span> of requests ({count(change.count)}) {WHAT[change.what] ?? change.what}</p>
          {change.examples.length > 0 && (
            <Table label={`Examples: ${WHAT[change.what] ?? change.what}`}>
              <thead><tr><th scope="col">Request</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
              <tbody>
                {change.examples.map((example, at) => (
                  <tr key={at}>
                    <td class="mono wrap">{example.record ? <a href={to(["records", example.record])}>{example.request}</a> : example.request}</td>
                    <td class="mono">{example.before}</td><td class="mono">{example.after}</td>
                  </tr>
                ))}
              </tbody>
            </Table>
          )}
        </div>
      ))}
      {effect.unknown.count > 0 && (
        <Note tone="warn" title={`Unknown for ${percent(effect.unknown.share)} of requests`}>
          <p class="small">The records do not hold what the change reads: {effect.unknown.reads.map((read) => <code key={read}>{read} </code>)}</p>
        </Note>
      )}
    </div>
  );
}

/** A plan: findings first, then what changes, then its effect. */
export function PlanView({ plan }: { plan: Plan }) {
  return (
    <div class="stack">
      <p class="actions">
        <Badge tone={plan.verdict === "allowed" ? "good" : "bad"}>{plan.verdict}</Badge>
        <span class="strong">{summary(plan.changes)}</span>
        {plan.base != null && <span class="muted small">compared with <a href={to(["revisions", plan.base])}>#{plan.base}</a></span>}
      </p>
      <Findings findings={plan.findings} />
      {plan.changes.length > 0 && <div class="card"><ChangeList changes={plan.changes} /></div>}
      {plan.effect && <><h3>Effect on recorded traffic</h3><EffectView effect={plan.effect} /></>}
    </div>
  );
}
