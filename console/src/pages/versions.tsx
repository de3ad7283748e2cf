// Versions of APIs: where each is in its life, and who still calls it.

import { get } from "../api";
import { count } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import type { Page, VersionState } from "../types";
import { Badge, Card, Empty, Head, Load, Table, Time, type Tone } from "../ui/parts";

const TONES: Record<string, Tone> = { preview: "", active: "good", deprecated: "warn", retired: "bad", unknown: "" };

function Stage({ of }: { of: VersionState }) {
  return (
    <>
      <Badge tone={TONES[of.stage] ?? ""}>{of.stage}</Badge>
      {of.paused_until ? <> <Badge tone="bad">refuses</Badge> <span class="small muted">until <Time at={of.paused_until} /></span></> : null}
      {of.stage !== "retired" && of.sunset_at ? <div class="small muted nowrap">ends <Time at={of.sunset_at} /></div> : null}
    </>
  );
}

function Callers({ of }: { of: VersionState }) {
  if (of.callers.length === 0) return <tr><th scope="row">{of.version || "none"}</th><td><Stage of={of} /></td><td colSpan={5} class="muted">{of.calls ? `${count(of.calls)} calls` : "nobody"}</td></tr>;
  return (
    <>
      {of.callers.map((caller, at) => (
        <tr key={caller.consumer ?? ""}>
          {at === 0 && <th scope="row" rowSpan={of.callers.length}>{of.version || "none"}</th>}
          {at === 0 && <td rowSpan={of.callers.length}><Stage of={of} /></td>}
          <td>{caller.consumer ? <a href={to(["records"], { consumer: caller.consumer })}>{caller.consumer}</a> : <span class="muted">not authenticated</span>}</td>
          <td class="number">{count(caller.calls)}</td><td class="number">{count(caller.failed)}</td><td class="number">{count(caller.refused)}</td>
          <td class="nowrap"><Time at={caller.last} /></td>
        </tr>
      ))}
    </>
  );
}

/** The page. */
export function Versions() {
  const versions = useLoad("versions", async (signal) => (await get<Page<VersionState>>("/versions", { limit: 1000 }, signal)).items, 15_000);
  return (
    <>
      <Head title="Versions and their callers" lead="Where each version of an API is in its life, and who called it in the last 30 days: retire what nobody calls." />
      <Load of={versions} lines={3}>
        {(rows) => {
          const apis = [...new Set(rows.map((row) => row.api))];
          if (apis.length === 0) return <Card title="Versions"><Empty title="No API lists versions">Versions are listed in <code>apis.NAME.versions</code>; the policy <code>version</code> chooses one for each request.</Empty></Card>;
          return (
            <>
              {apis.map((api) => (
                <Card key={api} title={api} flush>
                  <Table label={`Versions of ${api}`}>
                    <thead><tr><th scope="col">Version</th><th scope="col">Stage</th><th scope="col">Consumer</th><th scope="col" class="number">Calls</th><th scope="col" class="number">Failed</th><th scope="col" class="number">Refused</th><th scope="col">Last call</th></tr></thead>
                    <tbody>{rows.filter((row) => row.api === api).map((row) => <Callers key={row.version} of={row} />)}</tbody>
                  </Table>
                </Card>
              ))}
            </>
          );
        }}
      </Load>
    </>
  );
}
