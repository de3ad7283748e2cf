// How providers and upstreams are doing: each with its addresses, and a provider with its credentials
// and with what models call there.

import type { ComponentChildren } from "preact";
import { get } from "../api";
import { count, milliseconds, percent, plural, rate } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import type { AddressHealth, CredentialHealth, Headroom, Page, ProviderHealth, TargetHealth } from "../types";
import { Badge, Card, Empty, Head, Load, Table, Time } from "../ui/parts";

const TONES = { healthy: "good", degraded: "warn", down: "bad", unknown: "" } as const;
const WORDS = { healthy: "healthy", degraded: "degraded", down: "down", unknown: "not called yet" } as const;

function Nothing() {
  return <span class="muted">–</span>;
}

/** What went wrong last, and when. */
function Error({ error, at }: { error?: string | null | undefined; at?: string | null | undefined }) {
  if (!error) return <Nothing />;
  return <><code class="bad small">{error}</code>{at && <> <span class="muted small"><Time at={at} ago /></span></>}</>;
}

/** Whether something is used now. */
function Use({ until, words = "rests" }: { until?: string | null | undefined; words?: string }) {
  return until ? <Badge tone="warn">{words} until <Time at={until} ago /></Badge> : <Badge tone="good">available</Badge>;
}

function Left({ headroom }: { headroom: Headroom[] }) {
  if (headroom.length === 0) return <Nothing />;
  return (
    <ul class="small">
      {headroom.map((lane) => (
        <li key={lane.credential}>
          {headroom.length > 1 && <><code>{lane.credential}</code>: </>}
          {[
            lane.requests_left == null ? "" : plural(lane.requests_left, "request"),
            lane.tokens_left == null ? "" : plural(lane.tokens_left, "token"),
          ].filter(Boolean).join(", ") || "not told"}
          {lane.resting_until && <> <Use until={lane.resting_until} /></>}
          {lane.last_error && <> <code class="bad">{lane.last_error}</code></>}
        </li>
      ))}
    </ul>
  );
}

function Targets({ of, rows }: { of: string; rows: TargetHealth[] }) {
  return (
    <Table label={`What models call at ${of}`}>
      <thead><tr>
        <th scope="col">Model there</th><th scope="col">Called by</th><th scope="col">State</th>
        <th scope="col" class="number">In flight</th><th scope="col" class="number">Limit</th><th scope="col" class="number">Waiting</th>
        <th scope="col" class="number">First token</th><th scope="col" class="number">Whole answer</th>
        <th scope="col">Left at the provider</th><th scope="col">Last success</th><th scope="col">Last error</th>
      </tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.model}>
            <th scope="row">{row.model}</th>
            <td>{row.used_by.map((name, at) => <>{at > 0 && ", "}<a href={to(["configure", "models", name])}>{name}</a></>)}</td>
            <td><Use until={row.resting_until} />{row.failures > 0 && <> <span class="bad small nowrap">{plural(row.failures, "failure")} in a row</span></>}</td>
            <td class="number">{count(row.in_flight)}</td>
            <td class="number">{row.limit == null ? <Nothing /> : count(row.limit)}</td>
            <td class="number">{row.waiting == null ? <Nothing /> : count(row.waiting)}</td>
            <td class="number">{row.first_token_ms == null ? <Nothing /> : milliseconds(row.first_token_ms)}</td>
            <td class="number">{row.whole_ms == null ? <Nothing /> : milliseconds(row.whole_ms)}</td>
            <td><Left headroom={row.headroom} /></td>
            <td>{row.last_success ? <Time at={row.last_success} ago /> : <Nothing />}</td>
            <td><Error error={row.last_error} at={row.last_failure} /></td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function Credentials({ of, rows }: { of: string; rows: CredentialHealth[] }) {
  return (
    <Table label={`Credentials of ${of}`}>
      <thead><tr><th scope="col">Credential</th><th scope="col">State</th><th scope="col">Refused with</th></tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <th scope="row"><code>{row.name}</code></th>
            <td><Use until={row.resting_until} /></td>
            <td><Error error={row.last_error} at={row.last_failure} /></td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function Addresses({ of, rows, apart }: { of: string; rows: AddressHealth[]; apart: boolean }) {
  return (
    <Table label={`Addresses of ${of}`}>
      <thead><tr>
        <th scope="col">Address</th><th scope="col">State</th><th scope="col" class="number">In flight</th>
        {apart && <><th scope="col">Last success</th><th scope="col">Last error</th></>}
      </tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.address}>
            <th scope="row"><code>{row.address}</code></th>
            <td>
              {row.healthy ? <Use until={row.ejected_until} words="left out" /> : <Badge tone="bad">unhealthy</Badge>}
              {row.failures > 0 && <> <span class="bad small nowrap">{plural(row.failures, "failure")} in a row</span></>}
            </td>
            <td class="number">{count(row.in_flight)}</td>
            {apart && <><td>{row.last_success ? <Time at={row.last_success} ago /> : <Nothing />}</td><td><Error error={row.last_error} at={row.last_failure} /></td></>}
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function Figure({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

/** Whether there is more to say of addresses than which they are. */
function telling(row: ProviderHealth): boolean {
  return row.addresses.length > 1 || row.addresses.some((one) => !one.healthy || one.ejected_until || one.failures > 0);
}

/** One provider or upstream. */
function One({ row }: { row: ProviderHealth }) {
  const kinds = `${row.kind}s`;
  const { rates } = row;
  return (
    <section class="card health" aria-label={row.name} data-state={row.state}>
      <header>
        <h2><a href={to(["configure", kinds, row.name])}>{row.name}</a> {row.vendor && <span class="muted small">{row.vendor}</span>}</h2>
        <Badge tone={TONES[row.state]}>{WORDS[row.state]}</Badge>
      </header>
      <dl class="figures">
        <Figure name="Rate">{rate(rates.per_second)}</Figure>
        <Figure name="Errors"><span class={rates.errors > 0 ? "bad" : ""}>{percent(rates.error_share)}</span></Figure>
        <Figure name="p50">{rates.requests > 0 ? milliseconds(rates.latency_ms.p50) : <Nothing />}</Figure>
        <Figure name="p99">{rates.requests > 0 ? milliseconds(rates.latency_ms.p99) : <Nothing />}</Figure>
        {row.kind === "provider" && <Figure name="First token">{rates.first_token_ms.p50 > 0 ? milliseconds(rates.first_token_ms.p50) : <Nothing />}</Figure>}
        <Figure name="In flight">{count(row.in_flight)}</Figure>
        {telling(row)
          ? <Figure name="Addresses">{count(row.available)} of {count(row.endpoints)} available</Figure>
          : <Figure name="Address"><code class="small">{row.addresses[0]?.address}</code></Figure>}
        <Figure name="Last success">{row.last_success ? <Time at={row.last_success} ago /> : <Nothing />}</Figure>
        <Figure name="Last error"><Error error={row.last_error} at={row.last_failure} /></Figure>
      </dl>
      {row.kind === "provider" && (row.targets.length > 0 ? <Targets of={row.name} rows={row.targets} /> : <p class="body muted small">No model calls it.</p>)}
      {row.credentials.length > 0 && <Credentials of={row.name} rows={row.credentials} />}
      {telling(row) && <Addresses of={row.name} rows={row.addresses} apart={row.kind === "upstream"} />}
    </section>
  );
}

function Kind({ kind, title, rows }: { kind: string; title: string; rows: ProviderHealth[] }) {
  const kinds = `${kind}s`;
  if (rows.length === 0) {
    return <Card title={title} flush><Empty title={`No ${kind} is configured`}><a href={to(["configure", kinds])}>Configure one</a></Empty></Card>;
  }
  return <>{rows.map((row) => <One key={row.name} row={row} />)}</>;
}

/** The worst first, then by name. */
function ordered(rows: ProviderHealth[], kind: string): ProviderHealth[] {
  const order = ["down", "degraded", "healthy", "unknown"];
  return rows.filter((row) => row.kind === kind).sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
}

/** What is wrong, in a line. */
function lead(rows: ProviderHealth[]): ComponentChildren {
  const among = (state: ProviderHealth["state"]) => rows.filter((row) => row.state === state).map((row) => row.name).join(", ");
  const [down, degraded] = [among("down"), among("degraded")];
  if (!down && !degraded) return "What models and routes can be answered by, as this gateway sees it.";
  return <>{down && <span class="bad">Down: {down}. </span>}{degraded && <span class="warn">Degraded: {degraded}.</span>}</>;
}

/** The page. */
export function Providers() {
  const loaded = useLoad("providers", async (signal) => (await get<Page<ProviderHealth>>("/providers", {}, signal)).items, 3000);
  return (
    <>
      <Head title="Provider health" lead={loaded.data ? lead(loaded.data) : "What models and routes can be answered by."} />
      <Load of={loaded}>
        {(rows) => (
          <>
            <Kind kind="provider" title="Providers" rows={ordered(rows, "provider")} />
            <Kind kind="upstream" title="Upstreams" rows={ordered(rows, "upstream")} />
          </>
        )}
      </Load>
    </>
  );
}
