// The firewall: what its rules matched of late, and the narrowest exclusions that would have
// prevented it, to copy into the policy.

import { useState } from "preact/hooks";
import { get } from "../api";
import { count, plural } from "../format";
import { useLoad } from "../hooks";
import { go, to } from "../router";
import { useSession } from "../session";
import type { Page, WafMatch, WafSuggestion } from "../types";
import { Badge, Card, Empty, Field, Head, Load, More, Table, Time, type Tone } from "../ui/parts";

const FILTERS = [["route", "Route"], ["rule", "Rule"], ["variable", "Variable"]] as const;
const ACTIONS = ["blocked", "detected", "passed"] as const;
const TONES: Record<string, Tone> = { blocked: "bad", detected: "warn", passed: "" };

function Search({ query }: { query: URLSearchParams }) {
  const [values, set] = useState<Record<string, string>>(() => Object.fromEntries(query));
  const submit = (event: Event) => {
    event.preventDefault();
    go(to(["firewall"], values));
  };
  return (
    <form class="row" role="search" aria-label="Matches of the firewall" onSubmit={submit}>
      {FILTERS.map(([name, label]) => (
        <Field key={name} label={label} slim={name === "rule"}>
          {(id) => <input id={id} value={values[name] ?? ""} placeholder={name === "variable" ? "ARGS or ARGS:q" : "any"} inputMode={name === "rule" ? "numeric" : "text"} {...(name === "rule" ? { pattern: "[1-9][0-9]*" } : {})} onInput={(event) => set({ ...values, [name]: event.currentTarget.value })} />}
        </Field>
      ))}
      <Field label="Action" slim>
        {(id) => (
          <select id={id} value={values.action ?? ""} onChange={(event) => set({ ...values, action: event.currentTarget.value })}>
            <option value="">any</option>
            {ACTIONS.map((action) => <option key={action} value={action}>{action}</option>)}
          </select>
        )}
      </Field>
      <button type="submit" class="primary">Search</button>
      {[...query].length > 0 && <button type="button" onClick={() => { set({}); go(to(["firewall"])); }}>Clear</button>}
    </form>
  );
}

function Row({ match }: { match: WafMatch }) {
  return (
    <tr>
      <td class="nowrap"><Time at={match.at} /></td>
      <td class="wrap"><a class="mono" href={to(["firewall"], { rule: String(match.rule) })}>{match.rule}</a> {match.message}</td>
      <td class="wrap"><code>{match.variable || "–"}</code></td>
      <td class="wrap">{match.shape ? <code>{match.shape}</code> : <span class="muted">–</span>}</td>
      <td><Badge tone={TONES[match.action] ?? ""}>{match.action}</Badge> <span class="muted small">{match.severity.toLowerCase()}</span></td>
      <td class="number">{match.inbound_score + match.outbound_score}</td>
      <td>{match.route ?? <span class="muted">none</span>}</td>
      <td class="nowrap">{match.consumer ?? match.client}</td>
      <td>{match.trace ? <a href={to(["records"], { trace: match.trace })}>{match.status}<span class="quiet"> records of this trace</span></a> : match.status}</td>
    </tr>
  );
}

function Matches({ query }: { query: URLSearchParams }) {
  const asked = Object.fromEntries(query);
  const key = query.toString();
  const [more, setMore] = useState<{ key: string; items: WafMatch[]; next: string | null | undefined }>();
  const first = useLoad(`firewall?${key}`, (signal) => get<Page<WafMatch>>("/firewall/matches", { ...asked, limit: 100 }, signal), more?.key === key ? undefined : 3000);
  const load = async (cursor: string) => {
    const page = await get<Page<WafMatch>>("/firewall/matches", { ...asked, limit: 100, cursor });
    setMore({ key, items: [...(more?.key === key ? more.items : first.data?.items ?? []), ...page.items], next: page.next });
  };
  return (
    <Card title="Matches" flush>
      <Load of={first} lines={10}>
        {(page) => {
          const rows = more?.key === key ? more.items : page.items;
          if (rows.length === 0) return <Empty title={key ? "No match fits" : "No rule has matched yet"}>{key ? "Fewer conditions find more." : <>Rules run where a route has the policy <code>waf</code>.</>}</Empty>;
          return (
            <>
              <Table label="Matches of the firewall">
                <thead><tr><th scope="col">Time</th><th scope="col">Rule</th><th scope="col">Variable</th><th scope="col">Shape of the value</th><th scope="col">Action</th><th scope="col" class="number">Score</th><th scope="col">Route</th><th scope="col">Caller</th><th scope="col">Status</th></tr></thead>
                <tbody>{rows.map((match, at) => <Row key={at} match={match} />)}</tbody>
              </Table>
              <More next={more?.key === key ? more.next : page.next} load={load} />
            </>
          );
        }}
      </Load>
    </Card>
  );
}

/** The exclusions of one route, with what speaks for each, and the text to copy. */
function Tuned({ route, rows }: { route: string; rows: WafSuggestion[] }) {
  const { say } = useSession();
  const text = ["exclude:", ...rows.map((row) => `- ${row.yaml}`)].join("\n");
  const copy = () => navigator.clipboard?.writeText(text).then(() => say("Copied"), () => say("The browser did not allow copying", "bad"));
  return (
    <section aria-label={`Exclusions for ${route}`}>
      <Table label={`Exclusions for ${route}`}>
        <thead><tr><th scope="col">Rule</th><th scope="col">Left out</th><th scope="col" class="number">Matches</th><th scope="col" class="number">Refused</th><th scope="col" class="number">Callers</th><th scope="col">Seen as</th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.rule} ${row.target}`}>
              <th scope="row" class="wrap"><code>{row.rule}</code> {row.message}</th>
              <td class="wrap"><code>{row.target}</code> {row.broad && <Badge tone="warn">look closer: more than one member</Badge>}</td>
              <td class="number">{count(row.matches)}</td>
              <td class="number">{count(row.refused)}</td>
              <td class="number">{count(row.callers)}</td>
              <td class="wrap">{row.shapes.map((shape) => <div key={shape}><code>{shape}</code></div>)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
      <div class="body stack">
        <p>For the policy <code>waf</code> of <code>routes.{route}</code>:</p>
        <pre class="code" tabIndex={0} role="group" aria-label={`Exclusions for ${route} as YAML`}>{text}</pre>
        <p class="actions"><button type="button" onClick={copy}>Copy<span class="quiet"> the exclusions for {route}</span></button></p>
      </div>
    </section>
  );
}

function Suggestions({ query }: { query: URLSearchParams }) {
  const [least, setLeast] = useState({ matches: "10", callers: "3" });
  const asked = { ...Object.fromEntries(query), matches: Number(least.matches) || 1, callers: Number(least.callers) || 1 };
  const loaded = useLoad(`suggestions?${JSON.stringify(asked)}`, async (signal) => (await get<Page<WafSuggestion>>("/firewall/suggestions", { ...asked, limit: 1000 }, signal)).items, 10_000);
  return (
    <Card title="What could be left out" flush>
      <form class="body row" aria-label="What a suggestion needs" onSubmit={(event) => event.preventDefault()}>
        {(["matches", "callers"] as const).map((name) => (
          <Field key={name} label={`Least ${name}`} slim>
            {(id) => <input id={id} type="number" min={1} value={least[name]} onInput={(event) => setLeast({ ...least, [name]: event.currentTarget.value })} />}
          </Field>
        ))}
      </form>
      <Load of={loaded} lines={3}>
        {(rows) => {
          if (rows.length === 0) return <Empty title="Nothing to suggest">No rule matched one variable {plural(asked.matches, "time")} from {plural(asked.callers, "caller")}.</Empty>;
          const routes = [...new Set(rows.map((row) => row.route))].sort();
          return <>{routes.map((route) => <Tuned key={route} route={route} rows={rows.filter((row) => row.route === route)} />)}</>;
        }}
      </Load>
    </Card>
  );
}

/** The page. */
export function Firewall({ query }: { query: URLSearchParams }) {
  const key = query.toString();
  return (
    <>
      <Head title="Firewall" lead="What rules matched on this gateway of late, the latest first. Of values only the shape is kept: letters are a, digits are 9." />
      <Search query={query} key={key} />
      <Suggestions query={query} />
      <Matches query={query} />
    </>
  );
}
