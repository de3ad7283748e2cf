// What calls to models cost, by whom and for what, and what of it is out of the usual.

import { useState } from "preact/hooks";
import { get } from "../api";
import { count, dollars, percent, sum } from "../format";
import { useLoad } from "../hooks";
import type { Page, SpendSuspicion, UsageRow } from "../types";
import { Badge, Card, Empty, Field, Load, RevisionLink, Table, Time } from "../ui/parts";

type Column = "day" | "team" | "consumer" | "key" | "asked" | "model" | "provider" | "route" | "tag" | "revision";
const COLUMNS: [Column, string][] = [["team", "Team"], ["consumer", "Consumer"], ["key", "Key"], ["asked", "Model"], ["model", "Provider's model"], ["provider", "Provider"], ["route", "Route"], ["tag", "Tag"], ["revision", "Revision"], ["day", "Day (UTC)"]];
const NONE = <span class="muted">none</span>;

function Name({ row, column }: { row: UsageRow; column: Column }) {
  if (column === "revision") return row.revision == null ? NONE : <RevisionLink number={row.revision} />;
  return <>{row[column] || NONE}</>;
}

function Options() {
  return <>{COLUMNS.map(([name, label]) => <option key={name} value={name}>{label}</option>)}</>;
}

/** What was used in the last 30 days, by one or two columns. */
export function Usage() {
  const [first, setFirst] = useState<Column>("consumer");
  const [second, setSecond] = useState<Column | "">("");
  const columns = [...new Set([first, ...(second ? [second] : [])])];
  const by = columns.join(",");
  const usage = useLoad(`usage/${by}`, (signal) => get<Page<UsageRow>>("/usage", { by, limit: 200 }, signal), 15_000);
  const total = (rows: UsageRow[]) => sum(rows.map((row) => row.cost));
  return (
    <Card title="Usage of the last 30 days" flush>
      <p class="actions">
        <Field label="By" slim>{(id) => <select id={id} value={first} onChange={(event) => setFirst(event.currentTarget.value as Column)}><Options /></select>}</Field>
        <Field label="And by" slim>{(id) => <select id={id} value={second} onChange={(event) => setSecond(event.currentTarget.value as Column | "")}><option value="">nothing else</option><Options /></select>}</Field>
      </p>
      <Load of={usage} lines={3}>
        {({ items: rows, next }) => rows.length === 0 ? <Empty title="Nothing was used yet">Calls to models are summed here by whom they are for and what made them.</Empty> : (
          <Table label="Usage">
            <thead><tr>{columns.map((column) => <th key={column} scope="col">{COLUMNS.find(([name]) => name === column)?.[1]}</th>)}<th scope="col" class="number">Calls</th><th scope="col" class="number">Tokens in</th><th scope="col" class="number">Tokens out</th><th scope="col" class="number">Cost</th></tr></thead>
            <tbody>
              {rows.map((row, at) => (
                <tr key={at}>
                  {columns.map((column) => <td key={column}><Name row={row} column={column} /></td>)}
                  <td class="number">{count(row.calls)}{row.unsettled > 0 && <> <Badge tone="warn">{row.unsettled} unsettled</Badge></>}{row.unpriced > 0 && <> <Badge tone="warn">{row.unpriced} without price</Badge></>}</td>
                  <td class="number">{count(row.tokens_in)}</td><td class="number">{count(row.tokens_out)}</td><td class="number" title={`$${row.cost}`}>{dollars(row.cost)}</td>
                </tr>
              ))}
            </tbody>
            <tfoot><tr><th scope="row" colSpan={columns.length}>{next ? "The dearest 200 together" : "All together"}</th><td class="number">{count(rows.reduce((all, row) => all + row.calls, 0))}</td><td /><td /><td class="number"><code>${total(rows)}</code></td></tr></tfoot>
          </Table>
        )}
      </Load>
    </Card>
  );
}

/** Spend that is out of the usual; nothing where all is as it was. */
export function Unusual() {
  const found = useLoad("usage/suspicions", async (signal) => (await get<Page<SpendSuspicion>>("/usage/suspicions", { limit: 50 }, signal)).items, 15_000);
  const rows = found.data ?? [];
  if (rows.length === 0) return null;
  return (
    <Card title="Unusual spend" flush>
      <Table label="Unusual spend">
        <thead><tr><th scope="col">What</th><th scope="col">Since</th><th scope="col" class="number">In an hour</th><th scope="col" class="number">To be expected</th><th scope="col">What made the difference</th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.of}/${row.name}/${row.since}`}>
              <th scope="row">{row.of === "all" ? "All calls" : <>{row.of} {row.name}</>} {row.until ? <Badge>over</Badge> : <Badge tone="info">suspicion</Badge>}</th>
              <td class="nowrap"><Time at={row.since} />{row.until && <> until <Time at={row.until} /></>}</td>
              <td class="number strong">{dollars(row.spent)}</td><td class="number">{dollars(row.expected)} <span class="muted small">at most {dollars(row.high)}</span></td>
              <td class="wrap">{row.parts.filter((part) => part.column !== row.of).map((part) => <span key={part.column} class="nowrap">{percent(part.share)} {part.column} <code>{part.name}</code>{part.is_new && <> <Badge tone="warn">new</Badge></>} </span>)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Card>
  );
}
