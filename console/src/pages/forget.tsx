// Forgetting a consumer: asked for twice, because nothing brings back what is forgotten.

import { useState } from "preact/hooks";
import { call, get } from "../api";
import { count } from "../format";
import { useLoad } from "../hooks";
import type { Forgetting, ForgetStep, Page } from "../types";
import { Badge, Card, Field, Table, Time, type Tone } from "../ui/parts";
import { Ask } from "../ui/dialog";

const TONES: Record<string, Tone> = { done: "good", failed: "bad", running: "info" };
const PLACES: Record<string, [string, string]> = {
  journal: ["Journal", "events' payloads destroyed"],
  lake: ["Lake", "rows deleted"],
  gateways: ["Other gateways", "have done the same"],
  records: ["Recent records", "deleted"],
  answers: ["Kept answers", "deleted"],
  files: ["Files and batches", "deleted"],
  jobs: ["Jobs", "deleted"],
};

/** Asks, and has it begun. */
export function Forget({ consumer, close, begun }: { consumer: string; close: () => void; begun: () => void }) {
  const [typed, setTyped] = useState("");
  const run = async () => {
    await call("POST", "/forgotten", { body: { consumer } });
    begun();
  };
  return (
    <Ask title={`Forget ${consumer}?`} verb="Forget for good" danger ready={typed === consumer} run={run} close={close}>
      <p>The key of its events in the journal is destroyed, so that nobody can read them again, and its rows and bodies in the lake are deleted, as are its recent records, files, batches, jobs and kept answers; what of these is under way is cancelled. The ledger keeps what its calls cost. This cannot be undone.</p>
      <Field label={`Type ${consumer} to confirm`}>{(id) => <input id={id} autocomplete="off" required value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />}</Field>
    </Ask>
  );
}

function Step({ step }: { step: ForgetStep }) {
  const [name, what] = PLACES[step.place] ?? [step.place, "things forgotten"];
  const text = step.state === "done" ? `${count(step.count)} ${what}` : step.state === "absent" ? "not kept" : step.state;
  return <span class="nowrap">{name}: <Badge tone={TONES[step.state] ?? ""}>{text}</Badge> {step.note && <span class="muted small">{step.note}</span>} </span>;
}

/** What this gateway was to forget; nothing where nobody asked. `asked` grows with each request. */
export function Forgotten({ asked }: { asked: number }) {
  const all = useLoad(`forgotten/${asked}`, async (signal) => (await get<Page<Forgetting>>("/forgotten", { limit: 20 }, signal)).items, 1000);
  const rows = all.data ?? [];
  if (rows.length === 0) return null;
  return (
    <Card title="Forgotten consumers" flush>
      <Table label="Forgotten consumers">
        <thead><tr><th scope="col">Consumer</th><th scope="col">Asked for</th><th scope="col">State</th><th scope="col">Places</th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.consumer}/${row.begun}`}>
              <th scope="row">{row.consumer}</th><td class="nowrap"><Time at={row.begun} /></td>
              <td><Badge tone={TONES[row.state] ?? ""}>{row.state}</Badge></td><td class="wrap">{row.steps.map((step) => <Step key={step.place} step={step} />)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Card>
  );
}
