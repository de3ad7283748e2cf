// Where it fails as this gateway sees it, and how everything is that may have to do with it.

import { get } from "../api";
import { count, percent } from "../format";
import { useLoad } from "../hooks";
import { go, to } from "../router";
import type { Diagnosis } from "../types";
import { Badge, Card, Choice, Empty, Head, Load, Note, Table, Time, type Tone } from "../ui/parts";

const TONES: Record<string, Tone> = { bad: "bad", doubtful: "warn", unknown: "", well: "good" };
/** Dimensions by which records can be searched. */
const SEARCHED = ["route", "consumer", "revision", "model", "status"];

function share(bad: number, total: number): string {
  return total === 0 ? "–" : percent(bad / total);
}

function Drill({ of, by }: { of: Diagnosis; by: string }) {
  const chosen = of.dimensions.find((one) => one.name === by) ?? of.dimensions[0];
  if (!chosen) return <Empty title="No exchange is kept">Set <code>gateway.records</code> to know where it fails.</Empty>;
  return (
    <Card title="By one dimension" flush>
      <div class="body"><Choice label="Dimension" value={chosen.name} options={of.dimensions.map((one) => [one.name, one.name] as [string, string])} change={(name) => go(to(["diagnosis"], { by: name }), true)} /></div>
      {chosen.values.length === 0 ? <Empty title="No exchange is kept">Set <code>gateway.records</code> to know where it fails.</Empty> : (
        <Table label={`Failures by ${chosen.name}`}>
          <thead><tr><th scope="col">{chosen.name}</th><th scope="col" class="number">Failed</th><th scope="col" class="number">Share</th><th scope="col" class="number">Before</th><th scope="col" class="number">Share before</th></tr></thead>
          <tbody>
            {chosen.values.map((one) => (
              <tr key={one.value}>
                <th scope="row" class="wrap">{one.value === "" ? <span class="muted">none</span> : SEARCHED.includes(chosen.name) ? <a href={to(["records"], { [chosen.name]: one.value })}>{one.value}</a> : one.value}</th>
                <td class="number">{count(one.bad)} of {count(one.total)}</td><td class="number">{share(one.bad, one.total)}</td>
                <td class="number">{count(one.bad_before)} of {count(one.total_before)}</td><td class="number">{share(one.bad_before, one.total_before)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
    </Card>
  );
}

/** The page. */
export function DiagnosisPage({ query }: { query: URLSearchParams }) {
  const loaded = useLoad("diagnosis", (signal) => get<Diagnosis>("/diagnosis", {}, signal), 10_000);
  return (
    <>
      <Head title="Diagnosis" lead="Where it fails as this gateway sees it, by the records that it keeps. It says where, never why something behind it does." />
      <Load of={loaded} lines={12}>
        {(data) => (
          <>
            <Note tone={data.answers.length > 0 ? "bad" : "info"} title={data.answer}>
              <p>{data.has_onset ? "It began" : "Looked at since"} <Time at={data.from} />: {count(data.bad)} of {count(data.total)} exchanges failed.</p>
            </Note>
            {data.answers.length > 0 && (
              <Card title="Where it is, and the runners-up" flush>
                <Table label="Answers">
                  <thead><tr><th scope="col">Where</th><th scope="col" class="number">Failed</th><th scope="col" class="number">Expected</th><th scope="col" class="number">Explains</th></tr></thead>
                  <tbody>{data.answers.map((one) => <tr key={one.text}><th scope="row" class="wrap">{one.text}</th><td class="number">{count(one.bad)} of {count(one.total)}</td><td class="number">{one.expected.toFixed(1)}</td><td class="number">{percent(one.explained)}</td></tr>)}</tbody>
                </Table>
              </Card>
            )}
            <Drill of={data} by={query.get("by") ?? "route"} />
            <Card title="What was looked at" flush>
              <Table label="Findings">
                <thead><tr><th scope="col">State</th><th scope="col">Kind</th><th scope="col">Which</th><th scope="col">What</th></tr></thead>
                <tbody>{data.findings.map((one, at) => <tr key={at}><td><Badge tone={TONES[one.state] ?? ""}>{one.state}</Badge></td><td>{one.kind}</td><th scope="row" class="wrap">{one.kind === "revision" ? <a href={to(["revisions", one.subject])}>{one.subject}</a> : one.subject}</th><td class="wrap">{one.text}</td></tr>)}</tbody>
              </Table>
            </Card>
            {data.dependencies.length > 0 && (
              <Card title="What depends on what" flush>
                <Table label="Dependencies">
                  <thead><tr><th scope="col">Who</th><th scope="col">Depends on</th><th scope="col">State</th></tr></thead>
                  <tbody>{[...data.dependencies].sort((a, b) => Number(b.is_down) - Number(a.is_down)).map((one) => <tr key={`${one.from} ${one.to}`}><th scope="row">{one.from}</th><td>{one.to}</td><td>{one.is_down ? <Badge tone="bad">down</Badge> : <Badge tone="good">can be called</Badge>}</td></tr>)}</tbody>
                </Table>
              </Card>
            )}
            {data.samples.length > 0 && (
              <Card title="What failed of late" flush>
                <Table label="Samples">
                  <thead><tr><th scope="col">Time</th><th scope="col">Record</th><th scope="col">Route</th><th scope="col">Status</th><th scope="col">Fault</th></tr></thead>
                  <tbody>{data.samples.map((one) => <tr key={one.id}><td class="nowrap"><Time at={one.at} /></td><th scope="row"><a href={to(["records", one.id])}>{one.method} {one.path}</a></th><td>{one.route ?? "–"}</td><td>{one.status}</td><td>{one.fault ?? "–"}</td></tr>)}</tbody>
                </Table>
              </Card>
            )}
          </>
        )}
      </Load>
    </>
  );
}
