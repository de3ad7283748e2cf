// Promises: what is left of each error budget, how fast it burns, when it will be spent, and where
// exchanges fail.

import { Fragment } from "preact";
import { get } from "../api";
import { count, NONE } from "../format";
import { useLoad } from "../hooks";
import { to } from "../router";
import type { ObjectiveState, Page } from "../types";
import { Badge, Card, Empty, Head, Load, Table, Time, type Tone } from "../ui/parts";

const WORDS: Record<string, [Tone, string]> = {
  page: ["bad", "page"], ticket: ["warn", "ticket"], vanished: ["warn", "no traffic"], suspicion: ["info", "suspicion"],
};

/** A share as a percentage, with what is lost below a tenth of a percent of a target. */
function share(value: number | null | undefined, digits = 1): string {
  return value == null ? NONE : `${Number((value * 100).toFixed(digits))} %`;
}

function tone(left: number | null | undefined): Tone {
  if (left == null) return "";
  return left <= 0 ? "bad" : left < 0.25 ? "warn" : "good";
}

/** What is left of a budget, as a bar with its figure. */
function Left({ of }: { of: ObjectiveState }) {
  const left = of.budget_left;
  if (left == null) return <Badge>no exchanges yet</Badge>;
  const filled = Math.max(0, Math.min(1, left));
  return (
    <span class="budget nowrap">
      <progress max={1} value={filled} aria-label={`Error budget left of ${of.name}`} />
      {" "}<Badge tone={tone(left)}>{share(left)}</Badge>
    </span>
  );
}

/** A length of time in its largest unit. */
function lasts(seconds: number): string {
  const [size, unit] = ([[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]] as const).find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit}`;
}

function forecast(of: ObjectiveState): string {
  if (!of.forecast) return of.budget_left == null ? NONE : "lasts";
  const { soonest_s: soonest, latest_s: latest } = of.forecast;
  if (soonest === 0) return "spent";
  return latest == null || latest === soonest ? `spent in ${lasts(soonest)}` : `spent in ${lasts(soonest)} to ${lasts(latest)}`;
}

function Alerts({ of }: { of: ObjectiveState }) {
  if (of.alerts.length === 0) return <Badge tone="good">kept</Badge>;
  return <>{of.alerts.map(({ alert }) => { const [tone, word] = WORDS[alert] ?? ["warn", alert]; return <span key={alert}><Badge tone={tone}>{word}</Badge> </span>; })}</>;
}

function Rows({ rows }: { rows: ObjectiveState[] }) {
  return (
    <Table label="Objectives">
      <thead><tr>
        <th scope="col">Objective</th><th scope="col">State</th><th scope="col">Error budget left</th><th scope="col" class="number">Burn, last hour</th>
        <th scope="col">Forecast</th><th scope="col" class="number">Target</th><th scope="col">Window</th><th scope="col" class="number">Bad</th><th scope="col" class="number">Exchanges</th>
      </tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <th scope="row"><a href={to(["objectives", row.name])}>{row.name}</a>{row.service && <span class="muted small"> {row.service}</span>}</th>
            <td><Alerts of={row} /></td>
            <td><Left of={row} /></td>
            <td class="number">{row.burn == null ? NONE : `${row.burn.toFixed(1)} ×`}</td>
            <td class="nowrap"><a href={to(["objectives", row.name, "forecast"])}>{forecast(row)}</a></td>
            <td class="number">{share(row.target, 4)}</td>
            <td class="nowrap">{row.window}</td>
            <td class="number">{count(row.bad)}</td>
            <td class="number">{count(row.total)}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

/** All objectives. */
export function Objectives() {
  const loaded = useLoad("objectives", async (signal) => (await get<Page<ObjectiveState>>("/objectives", { limit: 1000 }, signal)).items, 3000);
  return (
    <>
      <Head title="Objectives" lead="What was promised about exchanges, and how much of each error budget is left, of all gateways together." />
      <Load of={loaded}>
        {(rows) => (rows.length === 0
          ? <Card flush><Empty title="Nothing is promised yet">Add an <a href={to(["configure", "objectives"])}>objective</a>: a route, and the share of its exchanges that are to be good.</Empty></Card>
          : <Card flush><Rows rows={rows} /></Card>)}
      </Load>
    </>
  );
}

function Burns({ of }: { of: ObjectiveState }) {
  if (of.burns.length === 0) return <Empty title="Nothing burns">No window has exchanges.</Empty>;
  return (
    <Table label="Burn by window">
      <thead><tr><th scope="col">Window</th><th scope="col" class="number">Burn</th></tr></thead>
      <tbody>{of.burns.map(({ window, burn }) => <tr key={window}><th scope="row">{window}</th><td class="number"><Badge tone={burn > 1 ? "warn" : "good"}>{`${burn.toFixed(1)} × as fast as allowed`}</Badge></td></tr>)}</tbody>
    </Table>
  );
}

function One({ of }: { of: ObjectiveState }) {
  const scope = Object.entries(of.scope);
  return (
    <>
      <Card title="Budget">
        <dl class="facts">
          <dt>State</dt><dd><Alerts of={of} /></dd>
          <dt>Error budget left</dt><dd><Left of={of} /></dd>
          <dt>Forecast</dt><dd><a href={to(["objectives", of.name, "forecast"])}>{forecast(of)}</a></dd>
          <dt>Bad exchanges</dt><dd>{count(of.bad)} of {count(of.total)}</dd>
          <dt>Promised</dt><dd>{share(of.target, 4)} good by {of.indicator} over {of.window}</dd>
          <dt>About</dt><dd>{scope.length === 0 ? "every route" : scope.map(([kind, name]) => `${kind} ${name}`).join(", ")}</dd>
          {of.durations && (
            <>
              <dt>Took</dt>
              <dd>
                {of.durations.quantiles.map(({ quantile, seconds }) => `p${Math.round(quantile * 100)} ${(seconds * 1000).toFixed(1)} ms`).join(", ")}
                {" "}<span class="muted small">{count(of.durations.count)} of {of.durations.is_stored ? "all gateways" : "this process"}, at most {share(of.durations.error)} beside it</span>
              </dd>
            </>
          )}
          {of.changes_need != null && <><dt>Changes need</dt><dd>{share(of.changes_need)} of the budget</dd></>}
          {of.alerts.map(({ alert, since_ms: since }) => <Fragment key={alert}><dt>{WORDS[alert]?.[1] ?? alert} since</dt><dd><Time at={new Date(since).toISOString()} /></dd></Fragment>)}
          {of.runbook && <><dt>Runbook</dt><dd>{/^https?:\/\//.test(of.runbook) ? <a href={of.runbook} rel="noreferrer">{of.runbook}</a> : of.runbook}</dd></>}
          <dt>Counts</dt><dd>{of.is_stored ? "kept in the store, of all gateways" : "of this process, as long as it runs"}</dd>
        </dl>
      </Card>
      <Card title="How fast it burns" flush><Burns of={of} /></Card>
      {of.places.length > 0 && (
        <Card title="Where it fails" flush>
          <Table label="Where it fails">
            <thead><tr><th scope="col">Place</th><th scope="col" class="number">Share of the excess</th></tr></thead>
            <tbody>{of.places.map((place) => <tr key={place.text}><th scope="row" class="wrap">{place.text}</th><td class="number">{share(place.explained, 0)}</td></tr>)}</tbody>
          </Table>
        </Card>
      )}
    </>
  );
}

/** One objective. */
export function ObjectivePage({ name }: { name: string }) {
  const loaded = useLoad(`objective/${name}`, (signal) => get<ObjectiveState>(`/objectives/${encodeURIComponent(name)}`, {}, signal), 2000);
  return (
    <>
      <Head title={name} lead={loaded.data?.description || undefined} crumbs={[["Objectives", to(["objectives"])]]} />
      <Load of={loaded}>{(of) => <One of={of} />}</Load>
    </>
  );
}
