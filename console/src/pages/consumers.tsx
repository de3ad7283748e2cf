// Who may call, with which keys, and what that may cost.

import { useState } from "preact/hooks";
import { get } from "../api";
import { count, dollars, percent } from "../format";
import { useLoad, useNow } from "../hooks";
import { useResources } from "../resources";
import { to } from "../router";
import { useSession } from "../session";
import type { BudgetState, JsonObject, Page } from "../types";
import { Badge, Card, Empty, Head, Load, Table, Time } from "../ui/parts";
import { Forget, Forgotten } from "./forget";
import { Unusual, Usage } from "./spend";

interface Key { sha256?: string; id?: string | null; expires?: string | null; models?: string[] | null; routes?: string[] | null }

function Keys({ keys }: { keys: Key[] }) {
  const now = useNow(60_000);
  if (keys.length === 0) return <span class="muted">no key</span>;
  return (
    <ul>
      {keys.map((key, at) => {
        const left = key.expires ? Date.parse(key.expires) - now : Infinity;
        return (
          <li key={at} class="nowrap">
            <code>{key.id ?? key.sha256?.slice(0, 8) ?? "?"}</code>{" "}
            {left < 0 ? <Badge tone="bad">expired</Badge> : left < 14 * 86_400_000 ? <Badge tone="warn">expires soon</Badge> : null}{" "}
            {key.expires ? <span class="small muted">until <Time at={key.expires} /></span> : <span class="small muted">for ever</span>}
          </li>
        );
      })}
    </ul>
  );
}

function amount(value: string, unit: string): string {
  return unit === "tokens" ? count(Number(value)) : dollars(value);
}

function Budgets() {
  const budgets = useLoad("budgets", async (signal) => (await get<Page<BudgetState>>("/budgets", {}, signal)).items, 5000);
  return (
    <Card title="Budgets" flush actions={<a class="button small" href={to(["configure", "budgets"])}>Configure</a>}>
      <Load of={budgets} lines={3}>
        {(rows) => rows.length === 0 ? <Empty title="No budget is configured"><a href={to(["configure", "budgets"])}>A budget</a> holds what calls to models may cost, exactly.</Empty> : (
          <Table label="Budgets">
            <thead><tr><th scope="col">Budget</th><th scope="col">Period</th><th scope="col">Spent</th><th scope="col" class="number">Of</th><th scope="col" class="number">In flight</th><th scope="col">Share</th></tr></thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.name}/${row.of ?? ""}`}>
                  <th scope="row"><a href={to(["configure", "budgets", row.name])}>{row.name}</a> <span class="muted small">{row.of}</span></th>
                  <td>{row.period}</td><td class="nowrap strong">{amount(row.spent, row.unit)}</td><td class="number">{amount(row.limit, row.unit)}</td><td class="number">{amount(row.reserved, row.unit)}</td>
                  <td class="nowrap"><meter min={0} max={1} low={0.8} high={0.95} optimum={0} value={Math.min(1, row.share)} aria-label={`${row.name}: ${percent(row.share)} spent`} /> <Badge plain tone={row.share >= 0.95 ? "bad" : row.share >= 0.8 ? "warn" : ""}>{percent(row.share)}</Badge></td>
                </tr>
              ))}
            </tbody>
          </Table>
        )}
      </Load>
    </Card>
  );
}

/** The page. */
export function Consumers() {
  const { environment, can } = useSession();
  const consumers = useResources("consumers");
  const [forgetting, setForgetting] = useState<string>();
  const [asked, setAsked] = useState(0);
  return (
    <>
      <Head title="Keys and budgets" lead="Who may call, how it proves it, and what it may cost. Keys are kept only as hashes." actions={environment && can("operator") && <a class="button primary" href={to(["configure", "consumers", "+"])}>New consumer</a>} />
      <Unusual />
      <Budgets />
      {environment && (
        <Card title="Consumers" flush>
          <Load of={consumers}>
            {(rows) => rows.length === 0 ? <Empty title="No consumer is configured">Routes with the policy <code>auth_key</code> let in only consumers.</Empty> : (
              <Table label="Consumers">
                <thead><tr><th scope="col">Consumer</th><th scope="col">Team</th><th scope="col">Keys</th><th scope="col">Models</th><th scope="col">Managed by</th><th scope="col">Records</th>{can("admin") && <th scope="col"><span class="quiet">What you can do</span></th>}</tr></thead>
                <tbody>
                  {rows.map((row) => {
                    const value = row.resource as JsonObject;
                    const models = value.models as string[] | null | undefined;
                    return (
                      <tr key={row.name}>
                        <th scope="row"><a href={to(["configure", "consumers", row.name])}>{row.name}</a></th>
                        <td>{(value.team as string | null) ?? <span class="muted">–</span>}</td><td><Keys keys={(value.keys as Key[] | undefined) ?? []} /></td>
                        <td>{models ? models.join(", ") || "none" : <span class="muted">all of the route's</span>}</td><td><code class="small">{row.manager}</code></td>
                        <td><a href={to(["records"], { consumer: row.name })}>See<span class="quiet"> records of {row.name}</span></a></td>
                        {can("admin") && <td><button type="button" class="small danger" onClick={() => setForgetting(row.name)}>Forget<span class="quiet"> {row.name}</span></button></td>}
                      </tr>
                    );
                  })}
                </tbody>
              </Table>
            )}
          </Load>
        </Card>
      )}
      {can("admin") && <Forgotten asked={asked} />}
      {forgetting && <Forget consumer={forgetting} close={() => setForgetting(undefined)} begun={() => setAsked(asked + 1)} />}
      <Usage />
    </>
  );
}
