// The audit log: who did what, in a chain whose links can be checked.

import { useState } from "preact/hooks";
import { asProblem, get, type Problem } from "../api";
import { plural } from "../format";
import { useLoad } from "../hooks";
import type { AuditEntry, AuditVerification, Page } from "../types";
import { Act, Badge, Card, Digest, Empty, Failed, Head, Load, More, Note, Table, Time } from "../ui/parts";

const TONES = { done: "good", refused: "warn", failed: "bad" } as const;

/** The page. */
export function Audit() {
  const [more, setMore] = useState<{ items: AuditEntry[]; next: string | null | undefined }>();
  const [checked, setChecked] = useState<AuditVerification>();
  const [problem, setProblem] = useState<Problem>();
  const first = useLoad("audit", (signal) => get<Page<AuditEntry>>("/audit", { limit: 100 }, signal), more ? undefined : 5000);
  const load = async (cursor: string) => {
    const page = await get<Page<AuditEntry>>("/audit", { limit: 100, cursor });
    setMore({ items: [...(more?.items ?? first.data?.items ?? []), ...page.items], next: page.next });
  };
  const verify = async () => {
    setProblem(undefined);
    try {
      setChecked(await get<AuditVerification>("/audit/verify"));
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  return (
    <>
      <Head title="Audit log" lead="Every write, also the refused ones. Each entry holds the hash of the one before it, so a change to the past shows." actions={<Act run={verify}>Check the chain</Act>} />
      {problem && <Failed problem={problem} />}
      {checked && (
        <Note tone={checked.intact ? "good" : "bad"} live title={checked.intact ? `The chain of ${plural(checked.entries, "entry", "entries")} is whole` : `Entry ${checked.broken_at} is not what it was`}>
          {checked.head && <p class="small">Its head, to be kept elsewhere: <Digest of={checked.head} /></p>}
        </Note>
      )}
      <Card flush>
        <Load of={first} lines={8}>
          {(page) => {
            const rows = more?.items ?? page.items;
            if (rows.length === 0) return <Empty title="Nothing was done yet" />;
            return (
              <>
                <Table label="Audit log">
                  <thead><tr><th scope="col" class="number">No.</th><th scope="col">When</th><th scope="col">Who</th><th scope="col">Action</th><th scope="col">On</th><th scope="col">Outcome</th><th scope="col">Detail</th><th scope="col">Hash</th></tr></thead>
                  <tbody>
                    {rows.map((entry) => (
                      <tr key={entry.sequence}>
                        <td class="number">{entry.sequence}</td><td class="nowrap"><Time at={entry.at} /></td>
                        <td>{entry.actor} <span class="muted small">{entry.role}</span></td><td><code>{entry.action}</code></td><td class="wrap"><code>{entry.subject}</code></td>
                        <td><Badge tone={TONES[entry.outcome] ?? ""}>{entry.outcome}</Badge></td><td class="wrap small">{entry.detail}</td><td><Digest of={entry.hash} /></td>
                      </tr>
                    ))}
                  </tbody>
                </Table>
                <More next={more ? more.next : page.next} load={load} />
              </>
            );
          }}
        </Load>
      </Card>
    </>
  );
}
