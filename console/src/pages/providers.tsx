// How providers and upstreams are doing.

import { get } from "../api";
import { count, milliseconds, percent, plural, rate } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import type { Page, ProviderHealth } from "../types";
import { Badge, Card, Empty, Head, Load, Table } from "../ui/parts";

const TONES = { healthy: "good", degraded: "warn", down: "bad", unknown: "" } as const;

function Rows({ kind, rows }: { kind: string; rows: ProviderHealth[] }) {
  const plural = `${kind}s`;
  return (
    <Card title={kind === "provider" ? "Providers" : "Upstreams"} flush>
      {rows.length === 0 ? <Empty title={`No ${kind} is configured`}><a href={to(["configure", plural])}>Configure one</a></Empty> : (
        <Table label={plural}>
          <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col" class="number">Available</th><th scope="col" class="number">Rate</th><th scope="col" class="number">Errors</th><th scope="col" class="number">p50</th><th scope="col" class="number">p99</th><th scope="col">Last error</th></tr></thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.name}>
                <th scope="row"><a href={to(["configure", plural, row.name])}>{row.name}</a> <span class="muted small">{row.vendor}</span></th>
                <td><Badge tone={TONES[row.state]}>{row.state}</Badge></td>
                <td class="number">{count(row.available)} of {count(row.endpoints)}</td>
                <td class="number">{rate(row.rates.per_second)}</td><td class="number">{percent(row.rates.error_share)}</td>
                <td class="number">{milliseconds(row.rates.latency_ms.p50)}</td><td class="number">{milliseconds(row.rates.latency_ms.p99)}</td>
                <td class="wrap">{row.last_error ? <code class="bad small">{row.last_error}</code> : <span class="muted">–</span>}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </Card>
  );
}

/** The page. */
export function Providers() {
  const loaded = useLoad("providers", async (signal) => (await get<Page<ProviderHealth>>("/providers", {}, signal)).items, 3000);
  const down = loaded.data?.filter((row) => row.state === "down").length ?? 0;
  return (
    <>
      <Head title="Provider health" lead={loaded.data ? (down > 0 ? <span class="bad">{plural(down, "target is", "targets are")} down</span> : "What models and routes can be answered by, as this gateway sees it.") : "What models and routes can be answered by."} />
      <Load of={loaded}>
        {(rows) => <><Rows kind="provider" rows={rows.filter((row) => row.kind === "provider")} /><Rows kind="upstream" rows={rows.filter((row) => row.kind === "upstream")} /></>}
      </Load>
    </>
  );
}
