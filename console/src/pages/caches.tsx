// Caches of answers: how often each gives what it keeps, how full it is, and purges.

import { useState } from "preact/hooks";
import { asProblem, call, get, type Problem } from "../api";
import { bytes, count, percent, plural } from "../format";
import { useLoad } from "../hooks";
import type { CacheState, Page, Purged } from "../types";
import { Badge, Card, Choice, Empty, Failed, Field, Head, Load, Table } from "../ui/parts";

type What = "prefix" | "key" | "tag" | "all";
const WHAT: [What, string][] = [["prefix", "Places that begin with"], ["key", "One place"], ["tag", "A tag"], ["all", "Everything"]];
const HINTS: Record<What, string> = {
  prefix: "A URL, or host and path: shop.example/items/",
  key: "A URL, or host, path and query: shop.example/items?page=2",
  tag: "As answers carry it in Cache-Tag or Surrogate-Key.",
  all: "",
};

/** A purge: what is named, forgotten by every gateway of the environment. */
function Purge({ done }: { done: () => void }) {
  const [what, setWhat] = useState<What>("prefix");
  const [name, setName] = useState("");
  const [soft, setSoft] = useState(false);
  const [purged, setPurged] = useState<Purged>();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const purge = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    setPurged(undefined);
    try {
      const body = { ...(what === "all" ? { all: true } : { [what]: name }), soft };
      setPurged((await call<Purged>("POST", "/caches/purge", { body })).data);
      done();
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card title="Purge">
      <form class="stack" onSubmit={purge}>
        <Choice label="What is forgotten" value={what} options={WHAT} change={setWhat} />
        {what !== "all" && <Field label="Name" hint={HINTS[what]}>{(id, described) => <input id={id} aria-describedby={described} required value={name} onInput={(event) => setName(event.currentTarget.value)} />}</Field>}
        <label class="row"><input type="checkbox" checked={soft} onChange={(event) => setSoft(event.currentTarget.checked)} /> Make answers stale instead: they may be given while they are asked for again</label>
        <p class="actions"><button type="submit" disabled={busy}>Purge</button></p>
        {problem && <Failed problem={problem} />}
        {purged && <p role="status">{plural(purged.entries, "entry", "entries")} forgotten here. Other gateways follow within a second.</p>}
      </form>
    </Card>
  );
}

function Rows({ rows }: { rows: CacheState[] }) {
  return (
    <Table label="Caches of answers">
      <thead><tr>
        <th scope="col">Cache</th><th scope="col" class="number">Hit ratio</th><th scope="col" class="number">Hits</th><th scope="col" class="number">Misses</th>
        <th scope="col" class="number">Entries</th><th scope="col" class="number">Size</th><th scope="col" class="number">On disk</th><th scope="col" class="number">Stale</th><th scope="col" class="number">Collapsed</th><th scope="col" class="number">Evicted</th><th scope="col" class="number">Purged</th>
      </tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <th scope="row"><code>{row.name}</code></th>
            <td class="number"><Badge tone={row.hits + row.misses === 0 ? "" : row.hit_ratio >= 0.5 ? "good" : "warn"}>{row.hits + row.misses === 0 ? "not asked yet" : percent(row.hit_ratio)}</Badge></td>
            <td class="number">{count(row.hits)}</td>
            <td class="number">{count(row.misses)}</td>
            <td class="number">{count(row.entries)}</td>
            <td class="number">{bytes(row.bytes)}</td>
            <td class="number">{bytes(row.disk_bytes)}</td>
            <td class="number">{count(row.stale)}</td>
            <td class="number">{count(row.collapsed)}</td>
            <td class="number">{count(row.evicted)}</td>
            <td class="number">{count(row.purged)}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

/** The page. */
export function Caches() {
  const loaded = useLoad("caches", async (signal) => (await get<Page<CacheState>>("/caches", {}, signal)).items, 3000);
  return (
    <>
      <Head title="Caches" lead="What this gateway gives again without asking the service, since it started." />
      <Load of={loaded}>
        {(rows) => (rows.length === 0
          ? <Card flush><Empty title="No route has a cache">Add the policy <code>cache</code> to a route.</Empty></Card>
          : <><Card flush><Rows rows={rows} /></Card><Purge done={loaded.reload} /></>)}
      </Load>
    </>
  );
}
