// Records: one row about each finished exchange, searched, and one of them with its timeline.

import { useState } from "preact/hooks";
import { get, path } from "../api";
import { count, dollars, milliseconds } from "../format";
import { useLoad } from "../hooks";
import { go, to } from "../router";
import type { Attempt, Moment, Page, RecordDetail, RecordSummary } from "../types";
import { Badge, Card, Empty, Field, Head, Load, More, RevisionLink, Table, Time } from "../ui/parts";
import { Yaml } from "../ui/yaml";

const FILTERS = [["route", "Route"], ["status", "Status"], ["consumer", "Consumer"], ["model", "Model"], ["revision", "Revision"], ["trace", "Trace"]] as const;

function Status({ record }: { record: RecordSummary }) {
  const tone = record.status >= 500 || record.status === 0 ? "bad" : record.status >= 400 ? "warn" : "good";
  return <Badge tone={tone}>{record.status || "none"}</Badge>;
}

function Search({ query }: { query: URLSearchParams }) {
  const [values, set] = useState<Record<string, string>>(() => Object.fromEntries(query));
  const submit = (event: Event) => {
    event.preventDefault();
    go(to(["records"], values));
  };
  return (
    <form class="row" role="search" aria-label="Records" onSubmit={submit}>
      {FILTERS.map(([name, label]) => (
        <Field key={name} label={label} slim={name === "status" || name === "revision"}>
          {(id) => <input id={id} value={values[name] ?? ""} placeholder={name === "status" ? "404 or 5xx" : "any"} inputMode={name === "revision" ? "numeric" : "text"} onInput={(event) => set({ ...values, [name]: event.currentTarget.value })} />}
        </Field>
      ))}
      <button type="submit" class="primary">Search</button>
      {[...query].length > 0 && <button type="button" onClick={() => { set({}); go(to(["records"])); }}>Clear</button>}
    </form>
  );
}

/** The list. */
export function Records({ query }: { query: URLSearchParams }) {
  const asked = Object.fromEntries(query);
  const key = query.toString();
  const [more, setMore] = useState<{ key: string; items: RecordSummary[]; next: string | null | undefined }>();
  const first = useLoad(`records?${key}`, (signal) => get<Page<RecordSummary>>("/records", { ...asked, limit: 100 }, signal), more?.key === key ? undefined : 3000);
  const load = async (cursor: string) => {
    const page = await get<Page<RecordSummary>>("/records", { ...asked, limit: 100, cursor });
    setMore({ key, items: [...(more?.key === key ? more.items : first.data?.items ?? []), ...page.items], next: page.next });
  };
  return (
    <>
      <Head title="Records" lead="One row about each finished exchange, the latest first." />
      <Search query={query} key={key} />
      <Card flush>
        <Load of={first} lines={10}>
          {(page) => {
            const rows = more?.key === key ? more.items : page.items;
            if (rows.length === 0) return <Empty title={key ? "No record matches" : "No record is kept yet"}>{key ? "Fewer conditions find more." : "Records appear as soon as exchanges finish on this gateway."}</Empty>;
            return (
              <>
                <Table label="Records">
                  <thead><tr><th scope="col">Time</th><th scope="col">Request</th><th scope="col">Status</th><th scope="col">Route</th><th scope="col">Consumer</th><th scope="col">Model</th><th scope="col" class="number">Duration</th><th scope="col" class="number">Cost</th><th scope="col">Revision</th></tr></thead>
                  <tbody>{rows.map((record) => <Row key={record.id} record={record} />)}</tbody>
                </Table>
                <More next={more?.key === key ? more.next : page.next} load={load} />
              </>
            );
          }}
        </Load>
      </Card>
    </>
  );
}

function Row({ record }: { record: RecordSummary }) {
  return (
    <tr>
      <td class="nowrap"><Time at={record.at} /></td>
      <td class="wrap"><a class="mono" href={to(["records", record.id])}>{record.method} {record.path}</a> <span class="muted small">{record.host}</span></td>
      <td class="nowrap"><Status record={record} /> {record.fault && <code class="small bad">{record.fault}</code>}</td>
      <td>{record.route ?? <span class="muted">none</span>}</td>
      <td class="nowrap">{record.consumer ?? <span class="muted">–</span>}</td>
      <td>{record.model ? <>{record.model} <span class="muted small">{record.provider}</span></> : <span class="muted">–</span>}</td>
      <td class="number">{milliseconds(record.duration_ms)}</td>
      <td class="number">{record.cost ? dollars(record.cost) : <span class="muted">–</span>}</td>
      <td class="nowrap"><RevisionLink number={record.revision} /> {record.arm && <Badge plain tone={record.arm === "candidate" ? "accent" : ""}>{record.arm}</Badge>}</td>
    </tr>
  );
}

/** Moments that have a bar of their own. */
const DRAWN = { attempt: true, end: true };

function Timeline({ total, moments, attempts }: { total: number; moments: Moment[]; attempts: Attempt[] }) {
  const width = Math.max(total, 0.001);
  const part = (ms: number) => `${Math.min(100, (ms / width) * 100)}%`;
  return (
    <div class="timeline" role="list">
      {moments.filter((moment) => !(moment.what in DRAWN)).map((moment, at) => (
        <div key={`m${at}`} role="listitem" class="contents">
          <span><span class="strong">{moment.what.replaceAll("_", " ")}</span> <span class="muted">{moment.detail}</span></span>
          <span class="lane" aria-hidden="true"><i class="mark" style={{ left: part(moment.at_ms) }} /></span>
          <span class="number">{milliseconds(moment.at_ms)}</span>
        </div>
      ))}
      {attempts.map((attempt, at) => (
        <div key={`a${at}`} role="listitem" class="contents">
          <span><span class="strong">attempt {at + 1}</span> <code>{attempt.target}</code></span>
          <span class="lane" aria-hidden="true"><i class={attempt.fault || (attempt.status ?? 0) >= 500 ? "fail" : ""} style={{ left: part(attempt.at_ms), width: part(attempt.duration_ms) }} /></span>
          <span class="number">{milliseconds(attempt.duration_ms)} {attempt.status && <Badge tone={attempt.status >= 500 ? "bad" : "good"}>{attempt.status}</Badge>} {attempt.fault && <code class="bad">{attempt.fault}</code>}</span>
        </div>
      ))}
      <div role="listitem" class="contents">
        <span class="strong">whole exchange</span>
        <span class="lane" aria-hidden="true"><i class="wait" style={{ left: "0%", width: "100%" }} /></span>
        <span class="number">{milliseconds(total)}</span>
      </div>
    </div>
  );
}

/** One record. */
export function RecordPage({ id }: { id: string }) {
  const loaded = useLoad(`record/${id}`, (signal) => get<RecordDetail>(`/records${path(id)}`, {}, signal));
  const record = loaded.data?.record;
  return (
    <>
      <Head title={record ? `${record.method} ${record.path}` : "Record"} crumbs={[["Records", "#/records"]]} lead={record && <><Status record={record} /> <Time at={record.at} both /></>} />
      <Load of={loaded} lines={8}>
        {({ record, timeline, attempts, more }) => (
          <>
            <Card title="Timeline"><Timeline total={record.duration_ms} moments={timeline} attempts={attempts} /></Card>
            <div class="grid two">
              <Card title="Exchange">
                <dl class="facts">
                  <Fact name="Host">{record.host}</Fact>
                  <Fact name="Route">{record.route && <a href={to(["configure", "routes", record.route])}>{record.route}</a>}</Fact>
                  <Fact name="Consumer">{record.consumer && <a href={to(["configure", "consumers", record.consumer])}>{record.consumer}</a>}</Fact>
                  <Fact name="Team">{record.team}</Fact>
                  <Fact name="Revision"><RevisionLink number={record.revision} /> {record.arm}</Fact>
                  <Fact name="Fault">{record.fault && <code>{record.fault}</code>}</Fact>
                  <Fact name="Trace">{record.trace && <a class="mono" href={to(["records"], { trace: record.trace })}>{record.trace}</a>}</Fact>
                  <Fact name="Identity"><code>{record.id}</code></Fact>
                </dl>
              </Card>
              {record.model && (
                <Card title="Model">
                  <dl class="facts">
                    <Fact name="Model">{record.model}</Fact><Fact name="Provider">{record.provider}</Fact>
                    <Fact name="Tokens in">{count(record.tokens_in)}</Fact><Fact name="Tokens out">{count(record.tokens_out)}</Fact><Fact name="Cost">{dollars(record.cost)}</Fact>
                  </dl>
                </Card>
              )}
              {Object.keys(more).length > 0 && <Card title="What else is kept"><Yaml value={more} label="What else is kept" /></Card>}
            </div>
          </>
        )}
      </Load>
    </>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  const nothing = children === null || children === undefined || children === "";
  return <><dt>{name}</dt><dd>{nothing ? <span class="muted">–</span> : children}</dd></>;
}
