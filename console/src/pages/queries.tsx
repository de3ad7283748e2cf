// Queries: asking the lake in SQL, running what others have saved, and the data products that there are.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { asProblem, call, download, get, path, type Problem } from "../api";
import { count, figure, milliseconds, plural } from "../format";
import { useKept, useLoad } from "../hooks";
import { go, to } from "../router";
import { useSession } from "../session";
import type { DataProductState, Page, QueryAnswer, SavedQueryState } from "../types";
import { Chart, type Series } from "../ui/chart";
import { Act, Badge, Card, Choice, Empty, Failed, Field, Head, Load, Note, Table, Time } from "../ui/parts";

const FIRST = "SELECT minute(time) AS minute, count(*) AS calls, p99(duration_us) / 1000 AS p99_ms\nFROM records WHERE time >= since('1h')\nGROUP BY minute ORDER BY minute";
const VIEWS = [["table", "Table"], ["line", "Line"], ["bar", "Bars"]] as const;
type View = (typeof VIEWS)[number][0];
const FORMATS = [["csv", "CSV"], ["json", "JSON"], ["parquet", "Parquet"]] as const;
/** Rows that are shown; files have all of them. */
const SHOWN = 500;
const LINES = 5;
const BARS = 200;
/** Microseconds of UNIX time from 2001 on: no other number of the lake is as large by habit. */
const TIME = 1e15;

/** What was asked: the call that can be made again for a file. */
interface Asked {
  title: string;
  address: string;
  body: object;
  answer: QueryAnswer;
}

const isTime = (answer: QueryAnswer, column: number) => answer.rows.length > 0 && answer.rows.every((row) => { const value = row[column]; return value === null || (typeof value === "number" && value >= TIME && value < 1e16); });

function Cell({ value, time }: { value: string | number | null | undefined; time: boolean }) {
  if (value === null || value === undefined) return <span class="muted">–</span>;
  if (time && typeof value === "number") return <Time at={new Date(value / 1000).toISOString()} />;
  return <>{typeof value === "number" && !Number.isInteger(value) ? figure(value) : value}</>;
}

function Rows({ answer }: { answer: QueryAnswer }) {
  const times = answer.columns.map((_, column) => isTime(answer, column));
  const numeric = answer.columns.map((_, column) => !times[column] && answer.rows.some((row) => typeof row[column] === "number"));
  return (
    <Table label="Answer">
      <thead><tr>{answer.columns.map((name, column) => <th key={column} scope="col" class={numeric[column] ? "number" : ""}>{name}</th>)}</tr></thead>
      <tbody>
        {answer.rows.slice(0, SHOWN).map((row, at) => (
          <tr key={at}>{row.map((value, column) => <td key={column} class={numeric[column] ? "number" : times[column] ? "nowrap" : "wrap"}><Cell value={value} time={times[column] ?? false} /></td>)}</tr>
        ))}
      </tbody>
    </Table>
  );
}

/** The first column along the bottom, the numbers of the others above. */
function Plot({ answer, view }: { answer: QueryAnswer; view: "line" | "bar" }) {
  const { zone } = useSession();
  const bars = view === "bar";
  const rows = bars ? answer.rows.slice(0, BARS) : [...answer.rows].sort((one, other) => Number(one[0]) - Number(other[0]));
  const time = isTime(answer, 0);
  const series: Series[] = answer.columns.flatMap((label, column) => {
    const values = rows.map((row) => (typeof row[column] === "number" ? (row[column] as number) : null));
    const drawn = column > 0 && values.some((value) => value !== null);
    return drawn ? [{ label, values, tone: "" }] : [];
  }).slice(0, LINES).map((one, at) => ({ ...one, tone: `s${at + 1}` }));
  const plain = !bars && !rows.every((row) => typeof row[0] === "number");
  if (series.length === 0 || plain) return <Empty title="This cannot be drawn">{plain ? <>A line needs numbers or times in the first column; bars take any.</> : <>No column behind the first has numbers.</>}</Empty>;
  const named = (value: string | number | null | undefined) => (time && typeof value === "number" ? new Date(value / 1000).toLocaleString(undefined, zone === "UTC" ? { timeZone: "UTC" } : {}) : String(value ?? "–"));
  const x = rows.map((row, at) => (bars ? at : time ? Number(row[0]) / 1e6 : Number(row[0])));
  return (
    <div class="body">
      <Chart title={`${series.map((one) => one.label).join(", ")} by ${answer.columns[0]}`} x={x} series={series} format={(value) => figure(value)} height={240} plain={!time} {...(bars ? { bars: rows.map((row) => named(row[0])) } : {})} />
    </div>
  );
}

function Answered({ asked, view, setView }: { asked: Asked; view: View; setView: (view: View) => void }) {
  const { say } = useSession();
  const { answer } = asked;
  const file = async (format: string) => {
    try {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await download(asked.address, { body: asked.body, query: { format } }));
      link.download = `${asked.title.replace(/[^a-z0-9]+/gi, "-")}.${format}`;
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (error) {
      say(asProblem(error).message, "bad");
    }
  };
  return (
    <Card title={asked.title} flush actions={<Choice label="Shown as" value={view} options={VIEWS.map(([one, name]) => [one, name])} change={setView} />}>
      <p class="body muted" role="status">{plural(answer.rows.length, "row")}{answer.truncated && ", and there are more"} · {count(answer.rows_read)} looked at · {milliseconds(answer.duration_ms)}</p>
      {answer.rows.length === 0 ? <Empty title="No row fits">Rows are there about a second after their exchange ended.</Empty> : view === "table" ? <Rows answer={answer} /> : <Plot answer={answer} view={view} />}
      {answer.rows.length > SHOWN && view === "table" && <p class="body muted">The first {SHOWN} are shown; files have all of them.</p>}
      <p class="body actions">{FORMATS.map(([format, name]) => <Act key={format} class="small" run={() => file(format)}><span class="quiet">Save the answer as </span>{name}</Act>)}</p>
    </Card>
  );
}

function Saved({ of, run }: { of: SavedQueryState; run: (of: SavedQueryState, values: Record<string, string>) => Promise<void> }) {
  const { can } = useSession();
  const [values, set] = useState<Record<string, string>>({});
  return (
    <li class="stack" aria-label={of.name}>
      <p><b>{of.name}</b> {of.description && <span class="muted">{of.description}</span>}</p>
      <form class="row" aria-label={`Run ${of.name}`} onSubmit={(event) => event.preventDefault()}>
        {of.parameters.map((one) => (
          <Field key={one.name} label={one.name} slim hint={one.description}>
            {(id, described) => <input id={id} aria-describedby={described} value={values[one.name] ?? ""} placeholder={one.default ?? "needed"} inputMode={one.type === "integer" ? "numeric" : "text"} onInput={(event) => set({ ...values, [one.name]: event.currentTarget.value })} />}
          </Field>
        ))}
        <Act class="primary" run={() => run(of, Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "")))}>Run<span class="quiet"> {of.name}</span></Act>
        {can("operator") && <button type="button" onClick={() => go(to(["queries"], { sql: of.sql }))}>Open<span class="quiet"> {of.name} in the editor</span></button>}
      </form>
    </li>
  );
}

function Kept({ of }: { of: DataProductState }) {
  if (of.broken.length > 0) return <Badge tone="bad">contract broken</Badge>;
  if (of.late) return <Badge tone="bad">late</Badge>;
  return of.fresh_within_ms == null ? <Badge>nothing promised</Badge> : <Badge tone="good">kept</Badge>;
}

function Products({ rows, ask }: { rows: DataProductState[]; ask: ((sql: string) => void) | undefined }) {
  return (
    <Table label="Data products">
      <thead><tr><th scope="col">Product</th><th scope="col">Owner</th><th scope="col">Columns</th><th scope="col">Read by</th><th scope="col">Freshness</th><th scope="col" class="number">Promised</th><th scope="col" class="number">Delay</th><th scope="col" class="number">Breaches</th><th scope="col">Last row</th></tr></thead>
      <tbody>
        {rows.map((one) => (
          <tr key={one.name}>
            <th scope="row" class="wrap">
              {ask ? <button type="button" class="plain mono" onClick={() => ask(`SELECT * FROM ${one.table} LIMIT 100`)}>{one.table}</button> : <code>{one.table}</code>}
              {one.description && <div class="muted small">{one.description}</div>}
            </th>
            <td>{one.owner}</td>
            <td class="wrap">{one.columns.map((column) => <span key={column.name} title={column.meaning}><code>{column.name}</code>{column.required ? "" : "?"} </span>)}</td>
            <td class="wrap">{one.readers.join(", ") || <span class="muted">its owner</span>}</td>
            <td class="wrap"><Kept of={one} />{one.broken.map((text) => <div key={text} class="small">{text}</div>)}</td>
            <td class="number">{one.fresh_within_ms == null ? "–" : milliseconds(one.fresh_within_ms)}</td>
            <td class="number">{one.delay_ms == null ? "–" : milliseconds(one.delay_ms)}</td>
            <td class="number">{count(one.breaches)}</td>
            <td class="nowrap"><Time at={one.newest} ago /></td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function Editor({ first, run, children }: { first: string; run: (sql: string) => Promise<void>; children?: ComponentChildren }) {
  const [sql, set] = useState(first);
  const press = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void run(sql);
    }
  };
  return (
    <Card title="Ask the lake">
      <form class="stack" aria-label="Ask the lake" onSubmit={(event) => event.preventDefault()}>
        <Field label="SQL" hint={<>Tables: <code>records</code>, <code>bodies</code> and the data products below. Control and Enter runs it.</>}>
          {(id, described) => <textarea id={id} aria-describedby={described} class="mono" rows={Math.min(18, Math.max(4, sql.split("\n").length + 1))} spellcheck={false} value={sql} onInput={(event) => set(event.currentTarget.value)} onKeyDown={press} />}
        </Field>
        <p class="actions"><Act class="primary" disabled={sql.trim() === ""} run={() => run(sql)}>Run</Act></p>
      </form>
      {children}
    </Card>
  );
}

/** The page. */
export function Queries({ query }: { query: URLSearchParams }) {
  const { can } = useSession();
  const [kept, keep] = useKept("query", FIRST);
  const [asked, setAsked] = useState<Asked>();
  const [problem, setProblem] = useState<Problem>();
  const [view, setView] = useState<View>("table");
  const saved = useLoad("queries", async (signal) => (await get<Page<SavedQueryState>>("/queries", { limit: 1000 }, signal)).items);
  const products = useLoad("data-products", async (signal) => (await get<Page<DataProductState>>("/data-products", { limit: 1000 }, signal)).items, 3000);
  const first = query.get("sql") ?? kept;
  const ask = async (title: string, address: string, body: object, plot?: string | null) => {
    setProblem(undefined);
    try {
      const { data: answer } = await call<QueryAnswer>("POST", address, { body });
      setAsked({ title, address, body, answer });
      if (plot !== undefined) setView(plot === "line" || plot === "bar" ? plot : "table");
    } catch (error) {
      setAsked(undefined);
      setProblem(asProblem(error));
    }
  };
  const sql = (text: string) => {
    keep(text);
    return ask("Answer", "/query", { sql: text });
  };
  return (
    <>
      <Head title="Queries" lead="What the lake says of the traffic: your own questions, those that were saved, and the parts of it that teams answer for." />
      {can("operator") ? <Editor key={query.get("sql") ?? ""} first={first} run={sql} /> : <Note>Your role runs saved queries; others need the role operator.</Note>}
      {problem && <Failed problem={problem} />}
      {asked && <Answered asked={asked} view={view} setView={setView} />}
      <Card title="Saved queries">
        <Load of={saved} lines={3}>
          {(rows) => rows.length === 0 ? <Empty title="No query is saved">Resources of the kind <code>queries</code> stand here.</Empty> : (
            <ul class="stack plain">{rows.map((one) => <Saved key={one.name} of={one} run={(of, parameters) => ask(of.name, `/queries${path(of.name)}/run`, { parameters }, of.plot ?? null)} />)}</ul>
          )}
        </Load>
      </Card>
      <Card title="Data products" flush>
        <Load of={products} lines={3}>
          {(rows) => rows.length === 0 ? <Empty title="No data product yet">Resources of the kind <code>data_products</code> stand here.</Empty> : <Products rows={rows} ask={can("operator") ? (text) => go(to(["queries"], { sql: text })) : undefined} />}
        </Load>
      </Card>
    </>
  );
}
