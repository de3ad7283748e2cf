// Live traffic: what the gateway does now, in figures, over time, and by what it belongs to.

import { useState } from "preact/hooks";
import { get } from "../api";
import { count, dollars, milliseconds, percent, plural, rate } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import { useSession } from "../session";
import type { Live, Rates } from "../types";
import { Chart } from "../ui/chart";
import { Badge, Card, Choice, Empty, Head, Load, Note, RevisionLink, Table, Time } from "../ui/parts";

type By = "routes" | "models" | "providers" | "upstreams" | "consumers" | "revisions";
type Order = "per_second" | "error_share" | "p99" | "cost";

const DIMENSIONS: [By, string][] = [["routes", "Routes"], ["models", "Models"], ["providers", "Providers"], ["upstreams", "Upstreams"], ["consumers", "Consumers"], ["revisions", "Revisions"]];
const FILTER: Record<By, string | undefined> = { routes: "route", models: undefined, providers: undefined, upstreams: undefined, consumers: "consumer", revisions: "revision" };

function tone(share: number): "good" | "warn" | "bad" {
  if (share >= 0.05) return "bad";
  return share >= 0.01 ? "warn" : "good";
}

function value(rates: Rates, order: Order): number {
  if (order === "p99") return rates.latency_ms.p99;
  return order === "cost" ? Number(rates.cost) : rates[order];
}

/** The length of the window. */
function span(seconds: number): string {
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function Figures({ live }: { live: Live }) {
  const { total } = live;
  const cells: [string, string, string][] = [
    ["Requests", rate(total.per_second), `${count(total.requests)} in ${span(live.window_s)}`],
    ["Errors", percent(total.error_share), `${count(total.errors)} failed`],
    ["Latency, median", milliseconds(total.latency_ms.p50), `p99 ${milliseconds(total.latency_ms.p99)}`],
    ["First token, median", total.first_token_ms.p50 > 0 ? milliseconds(total.first_token_ms.p50) : "–", total.first_token_ms.p50 > 0 ? `p99 ${milliseconds(total.first_token_ms.p99)}` : "no streams"],
    ["Tokens", count(total.tokens_in + total.tokens_out), `${count(total.tokens_in)} in, ${count(total.tokens_out)} out`],
    ["Cost", dollars(total.cost), `${dollars((Number(total.cost) / Math.max(live.window_s, 1)) * 3600)} an hour`],
  ];
  return (
    <dl class="stats">
      {cells.map(([name, value, under]) => (
        <div class="stat" key={name}><dt>{name}</dt><dd class={name === "Errors" && total.requests > 0 ? tone(total.error_share) : ""}>{value}</dd><dd class="under">{under}</dd></div>
      ))}
    </dl>
  );
}

function Charts({ live }: { live: Live }) {
  const x = live.series.map((point) => Date.parse(point.at) / 1000);
  const line = (read: (rates: Rates) => number) => live.series.map((point) => read(point.rates));
  const quantile = (read: (rates: Rates) => number) => live.series.map((point) => (point.rates.requests > 0 ? read(point.rates) : null));
  const first = (read: (rates: Rates) => number) => live.series.map((point) => (read(point.rates) > 0 ? read(point.rates) : null));
  return (
    <div class="grid two">
      <Card title="Requests and errors">
        <Chart title="Requests and errors a second" x={x} format={rate} least={1} series={[
          { label: "Requests", tone: "s1", filled: true, values: line((rates) => rates.per_second) },
          { label: "Errors", tone: "sbad", values: live.series.map((point) => point.rates.errors / Math.max(point.seconds, 1)) },
        ]} />
      </Card>
      <Card title="Latency">
        <Chart title="Latency" x={x} format={milliseconds} series={[
          { label: "p50", tone: "s1", values: quantile((rates) => rates.latency_ms.p50) },
          { label: "p90", tone: "s3", values: quantile((rates) => rates.latency_ms.p90) },
          { label: "p99", tone: "s2", values: quantile((rates) => rates.latency_ms.p99) },
        ]} />
      </Card>
      {live.total.first_token_ms.p50 > 0 && (
        <Card title="Time to the first token">
          <Chart title="Time to the first token of streams" x={x} format={milliseconds} series={[
            { label: "p50", tone: "s1", values: first((rates) => rates.first_token_ms.p50) },
            { label: "p99", tone: "s2", values: first((rates) => rates.first_token_ms.p99) },
          ]} />
        </Card>
      )}
      {Number(live.total.cost) > 0 && (
        <Card title="Cost">
          <Chart title="Cost in dollars a minute" x={x} format={dollars} series={[
            { label: "Dollars a minute", tone: "s4", filled: true, values: live.series.map((point) => (Number(point.rates.cost) * 60) / Math.max(point.seconds, 1)) },
          ]} />
        </Card>
      )}
      {live.total.tokens_in + live.total.tokens_out > 0 && (
        <Card title="Tokens">
          <Chart title="Tokens a second" x={x} format={rate} series={[
            { label: "In", tone: "s3", values: live.series.map((point) => point.rates.tokens_in / Math.max(point.seconds, 1)) },
            { label: "Out", tone: "s5", values: live.series.map((point) => point.rates.tokens_out / Math.max(point.seconds, 1)) },
          ]} />
        </Card>
      )}
    </div>
  );
}

function Breakdown({ live }: { live: Live }) {
  const [by, setBy] = useState<By>("routes");
  const [order, setOrder] = useState<Order>("per_second");
  const rows = Object.entries(live[by]).sort(([, a], [, b]) => value(b, order) - value(a, order));
  const most = Math.max(...rows.map(([, rates]) => rates.per_second), 0.000_1);
  const name = DIMENSIONS.find(([one]) => one === by)?.[1] ?? by;
  const column = (key: Order, label: string) => (
    <th scope="col" class="number" aria-sort={order === key ? "descending" : undefined}>
      <button type="button" onClick={() => setOrder(key)}>{label}{order === key ? " ↓" : ""}</button>
    </th>
  );
  const named = (one: string) => {
    if (by === "revisions") return <RevisionLink number={Number(one)} />;
    const filter = FILTER[by];
    return filter ? <a href={to(["records"], { [filter]: one })}>{one}</a> : one;
  };
  return (
    <Card title="What it belongs to" flush actions={<Choice label="Group by" value={by} options={DIMENSIONS} change={setBy} />}>
      {rows.length === 0 ? <Empty title="Nothing in these minutes">No exchange of the window belongs to {name.toLowerCase()}.</Empty> : (
        <Table label={`Traffic by ${name.toLowerCase()}`}>
          <thead>
            <tr>
              <th scope="col">{name.slice(0, -1)}</th>{column("per_second", "Rate")}<th scope="col"><span class="quiet">Share of the busiest</span></th>
              <th scope="col" class="number">Requests</th>{column("error_share", "Errors")}
              <th scope="col" class="number">p50</th>{column("p99", "p99")}<th scope="col" class="number">First token</th>
              <th scope="col" class="number">Tokens</th>{column("cost", "Cost")}
            </tr>
          </thead>
          <tbody>
            {rows.map(([one, rates]) => (
              <tr key={one}>
                <th scope="row">{named(one)}</th>
                <td class="number">{rate(rates.per_second)}</td>
                <td><span class="bars" aria-hidden="true"><i style={{ width: `${(rates.per_second / most) * 100}%` }} /></span></td>
                <td class="number">{count(rates.requests)}</td>
                <td class="number">{rates.errors > 0 ? <Badge tone={tone(rates.error_share)}>{percent(rates.error_share)}</Badge> : <span class="muted">0</span>}</td>
                <td class="number">{milliseconds(rates.latency_ms.p50)}</td><td class="number">{milliseconds(rates.latency_ms.p99)}</td>
                <td class="number">{rates.first_token_ms.p50 > 0 ? milliseconds(rates.first_token_ms.p50) : <span class="muted">–</span>}</td>
                <td class="number">{count(rates.tokens_in + rates.tokens_out)}</td><td class="number">{dollars(rates.cost)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </Card>
  );
}

function Standing() {
  const { environment } = useSession();
  if (!environment) return null;
  return (
    <>
      {environment.confirm_until && (
        <Note tone="warn" >
          <p class="inline"><strong>Revision #{environment.revision} reverts by itself <Time at={environment.confirm_until} ago /></strong> <a href={to(["environments", environment.name])}>Confirm it in the environment</a></p>
        </Note>
      )}
      {environment.candidate && (
        <Note tone="info" >
          <p class="inline"><strong>Revision #{environment.candidate.revision} is being rolled out</strong> <a href={to(["rollouts", environment.candidate.rollout])}>Look at its evidence</a></p>
        </Note>
      )}
      {environment.lock && <Note tone="warn" title={`Locked by ${environment.lock.holder}`}><p>{environment.lock.reason}</p></Note>}
    </>
  );
}

/** The page. */
export function Overview() {
  const live = useLoad("live", (signal) => get<Live>("/live", {}, signal), 2000);
  return (
    <>
      <Head title="Live traffic" lead={<>What this gateway did in the last minutes{live.data && <>, as of <Time at={live.data.at} /></>}.</>} />
      <Standing />
      <Load of={live} lines={8}>
        {(data) => (
          <>
            <Figures live={data} />
            {data.total.requests === 0 && <Note tone="info" title="No request in these minutes"><p>What is asked of a listener shows here within a second or two; it is counted since <Time at={data.since} />. <a href="#/playground">Send a request from the playground</a></p></Note>}
            {data.missed > 0 && <Note tone="warn" title="More than can be counted here"><p>{plural(data.missed, "exchange")} of these minutes ended faster than they could be counted and are in no figure of this page. <code>/metrics</code> has them all.</p></Note>}
            <Charts live={data} />
            <Breakdown live={data} />
          </>
        )}
      </Load>
    </>
  );
}
