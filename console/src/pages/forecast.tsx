// When an objective's error budget will be spent: what is left of it, at the paces of the last hour and of
// the last six, and what each window's burn would come to. Nothing is given back in the meantime, which a
// window that rolls does: the forecast is the soonest that is to be reckoned with, not what will be.

import { get } from "../api";
import { percent } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import type { ObjectiveState } from "../types";
import { Chart } from "../ui/chart";
import { Badge, Card, Empty, Head, Load, Note, Table, Time } from "../ui/parts";

/** Points of a line. */
const POINTS = 60;
const HOUR_S = 3600;
const MONTH_S = 30 * 86_400;
/** Lengths of units in which windows are told, in seconds. */
const UNITS: Record<string, number> = { s: 1, m: 60, h: HOUR_S, d: 86_400, w: 7 * 86_400 };

/** The length of a window such as `30d`, in seconds; a calendar month's is about 30 days. */
export function seconds(window: string): number {
  const parts = [...window.matchAll(/(\d+)([smhdw])/g)];
  const sum = parts.reduce((sum, [, number, unit]) => sum + Number(number) * (UNITS[unit ?? "s"] ?? 0), 0);
  return sum > 0 ? sum : MONTH_S;
}

/** Seconds until what is left is spent at a burn; none where it never is. */
export function spentIn(left: number, burn: number, window: string): number | undefined {
  if (left <= 0) return 0;
  return burn > 0 ? (left / burn) * seconds(window) : undefined;
}

interface Pace { label: string; burn: number; inS: number | undefined }

/** The paces of windows that alerts read, the shortest first. */
function paces(of: ObjectiveState): Pace[] {
  const left = of.budget_left ?? 1;
  return of.burns.map(({ window, burn }) => ({ label: window, burn, inS: spentIn(left, burn, of.window) }));
}

/** When something that is so many seconds away will be; what is years away is not worth a date. */
function When({ inS }: { inS: number | undefined }) {
  if (inS === undefined || inS > 5 * 365 * 86_400) return <Badge tone="good">lasts</Badge>;
  if (inS === 0) return <Badge tone="bad">spent</Badge>;
  return <Time at={new Date(Date.now() + inS * 1000).toISOString()} />;
}

function Lines({ of }: { of: ObjectiveState }) {
  const left = of.budget_left ?? 1;
  const shown = paces(of).filter(({ label }) => label === "1h" || label === "6h");
  const ends = shown.flatMap(({ inS }) => (inS ? [inS] : []));
  // As far as the later of both, but no further than the window.
  const horizon = Math.min(Math.max(HOUR_S, ...ends), seconds(of.window));
  const now = Math.floor(Date.now() / 1000);
  const x = Array.from({ length: POINTS + 1 }, (_, at) => now + (horizon * at) / POINTS);
  const line = (pace: Pace) => x.map((at) => (pace.inS === undefined ? left : Math.max(0, pace.inS === 0 ? 0 : left * (1 - (at - now) / pace.inS))));
  if (shown.length === 0) return <Empty title="There is nothing to go by">No exchange was counted in the last six hours.</Empty>;
  return <Chart title="Error budget left, if it burns on as it does" x={x} format={percent} least={1} series={shown.map((pace, at) => ({ label: `as in the last ${pace.label}`, tone: `s${at + 1}`, values: line(pace) }))} />;
}

function One({ of }: { of: ObjectiveState }) {
  const rows = paces(of);
  return (
    <>
      <dl class="stats">
        <div class="stat"><dt>Error budget left</dt><dd>{of.budget_left == null ? "–" : percent(of.budget_left)}</dd><dd class="under">over {of.window}</dd></div>
        <div class="stat"><dt>Spent at the soonest</dt><dd>{of.forecast ? <When inS={of.forecast.soonest_s} /> : <Badge tone="good">lasts</Badge>}</dd><dd class="under">at the faster of both paces</dd></div>
        <div class="stat"><dt>Spent at the latest</dt><dd>{of.forecast ? <When inS={of.forecast.latest_s ?? undefined} /> : <Badge tone="good">lasts</Badge>}</dd><dd class="under">at the slower</dd></div>
        {of.changes_need != null && <div class="stat"><dt>Changes need</dt><dd>{percent(of.changes_need)}</dd><dd class="under">of the budget</dd></div>}
      </dl>
      <Card title="If it burns on as it does"><Lines of={of} /></Card>
      <Card title="By window" flush>
        {rows.length === 0 ? <Empty title="Nothing burns">No window has exchanges.</Empty> : (
          <Table label="Forecast by window">
            <thead><tr><th scope="col">As in the last</th><th scope="col" class="number">Burn</th><th scope="col">Budget spent</th></tr></thead>
            <tbody>{rows.map(({ label, burn, inS }) => <tr key={label}><th scope="row">{label}</th><td class="number">{`${burn.toFixed(1)} ×`}</td><td class="nowrap"><When inS={inS} /></td></tr>)}</tbody>
          </Table>
        )}
      </Card>
      <Note title="What this does not mean">A window that rolls gives back each day what was spent when it began, which is not reckoned with here. A short window says what a trouble that goes on would come to, a long one what is usual.</Note>
    </>
  );
}

/** The page. */
export function ForecastPage({ name }: { name: string }) {
  const loaded = useLoad(`objective/${name}`, (signal) => get<ObjectiveState>(`/objectives/${encodeURIComponent(name)}`, {}, signal), 5000);
  return (
    <>
      <Head title={`Forecast of ${name}`} crumbs={[["Objectives", to(["objectives"])], [name, to(["objectives", name])]]} lead="When its error budget will be spent." />
      <Load of={loaded}>{(of) => <One of={of} />}</Load>
    </>
  );
}
