// Delivery: DORA's five metrics with their counts and intervals, in alphabetical order and no other;
// and what runs out, with how sure that is.

import { get } from "../api";
import { count, figure, percent } from "../format";
import { useLoad } from "../hooks";
import type { DoraFigure, DoraMetrics, DoraReport, Forecast, Page } from "../types";
import { Badge, Card, Empty, Head, Load, Note, Table, Time } from "../ui/parts";

/** Seconds in the unit that reads best. */
export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} d`;
}

const COLUMNS: [string, keyof Omit<DoraMetrics, "unrecovered">, (value: number) => string][] = [
  ["Lead time", "lead_time_s", duration],
  ["Deployments a day", "deployments_per_day", (value) => value.toFixed(2)],
  ["Change fail rate", "change_fail_rate", (value) => percent(value)],
  ["Recovery time", "recovery_s", duration],
  ["Rework rate", "rework_rate", (value) => percent(value)],
];

function Cell({ of, show }: { of: DoraFigure; show: (value: number) => string }) {
  if (of.value === null || of.value === undefined) return <td class="muted">none</td>;
  return (
    <td>
      {show(of.value)}
      <div class="small muted nowrap">{of.interval ? `${show(of.interval[0])} to ${show(of.interval[1])}` : "too few to say"}; {count(of.count)} counted</div>
    </td>
  );
}

function Metrics({ title, rows }: { title: string; rows: Record<string, DoraMetrics> }) {
  const names = Object.keys(rows).sort();
  if (names.length === 0) return null;
  return (
    <Card title={title} flush>
      <Table label={title}>
        <thead><tr><th scope="col">Name</th>{COLUMNS.map(([name]) => <th key={name} scope="col">{name}</th>)}</tr></thead>
        <tbody>
          {names.map((name) => {
            const metrics = rows[name];
            return metrics && <tr key={name}><th scope="row">{name}{metrics.unrecovered > 0 && <> <Badge tone="warn">{count(metrics.unrecovered)} not recovered</Badge></>}</th>{COLUMNS.map(([title, field, show]) => <Cell key={title} of={metrics[field]} show={show} />)}</tr>;
          })}
        </tbody>
      </Table>
    </Card>
  );
}

function Foreseen({ of }: { of: Forecast }) {
  const week = of.days[Math.min(6, of.days.length - 1)];
  if (week) return <>{figure(week.expected)} <span class="small muted nowrap">{figure(week.low)} to {figure(week.high)} on {week.day}</span></>;
  return <span class="muted">{of.silent ?? ""}</span>;
}

function Forecasts() {
  const loaded = useLoad("forecasts", async (signal) => (await get<Page<Forecast>>("/forecasts", { limit: 1000 }, signal)).items, 60_000);
  return (
    <Card title="What runs out" flush>
      <Load of={loaded} lines={3}>
        {(rows) => (rows.length === 0 ? <Empty title="Nothing is foreseen">Usage is foreseen from the ledger of <code>gateway.store</code>, ends of certificates and keys from the configuration.</Empty> : (
          <Table label="Forecasts">
            <thead><tr><th scope="col">What</th><th scope="col">Of</th><th scope="col" class="number">Now</th><th scope="col" class="number">Limit</th><th scope="col">Passes</th><th scope="col">May pass</th><th scope="col">Foreseen</th></tr></thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.what} ${row.name} ${row.unit}`}>
                  <th scope="row">{row.what}</th><td class="wrap">{row.name}</td><td class="number nowrap">{figure(row.now)} {row.unit}</td>
                  <td class="number">{row.limit === undefined || row.limit === null ? "" : figure(row.limit)}</td>
                  <td class="nowrap">{row.passes ? <Badge tone="warn">{row.passes}</Badge> : ""}</td><td class="nowrap">{row.may_pass ?? ""}</td>
                  <td><Foreseen of={row} /></td>
                </tr>
              ))}
            </tbody>
          </Table>
        ))}
      </Load>
    </Card>
  );
}

/** The page. */
export function Delivery() {
  const loaded = useLoad("dora", (signal) => get<DoraReport>("/dora", {}, signal), 60_000);
  return (
    <>
      <Head title="Delivery" lead="How changes fare, and what runs out. Each figure with its 95 % interval and what it was counted from." />
      <Load of={loaded} lines={3}>
        {(report) => (
          <>
            <Note title="What these figures do not mean">They describe changes of one service over time. They compare neither teams nor people, and a figure counted from a few deployments says little.</Note>
            <p class="muted">From <Time at={report.from} /> until <Time at={report.until} />. Failures are known from {report.failures_from}.</p>
            {Object.keys(report.services).length === 0 && <Card flush><Empty title="Nothing was deployed in this time">Revisions of an environment count, and deployments that are reported to <code>/api/v1/deployments</code>.</Empty></Card>}
            <Metrics title="Services" rows={report.services} />
            <Metrics title="Teams" rows={report.teams} />
          </>
        )}
      </Load>
      <Forecasts />
    </>
  );
}
