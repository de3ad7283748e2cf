// The playground: a request through the gateway's own listener, to a model or to any route. What is
// sent passes every policy, so a key is asked for where a route asks for one.

import { useState } from "preact/hooks";
import { asProblem, call, get, type Problem } from "../api";
import { bytes, milliseconds } from "../format";
import { useLoad } from "../hooks";
import { useKept } from "../hooks";
import { useResources } from "../resources";
import type { PlaygroundReply, RecordSummary, Page } from "../types";
import { to } from "../router";
import { Badge, Card, Choice, Empty, Failed, Field, Head } from "../ui/parts";

interface Turn { role: "user" | "assistant"; content: string }

async function send(body: unknown): Promise<PlaygroundReply> {
  return (await call<PlaygroundReply>("POST", "/playground", { body })).data;
}

function authorization(key: string): Record<string, string> {
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** The text of an answer in the dialect of chat completions. */
function answer(reply: PlaygroundReply): string | undefined {
  try {
    const body = JSON.parse(reply.body) as { choices?: { message?: { content?: unknown } }[] };
    const content = body.choices?.[0]?.message?.content;
    return typeof content === "string" ? content : undefined;
  } catch {
    return undefined;
  }
}

function Reply({ reply }: { reply: PlaygroundReply }) {
  let text = reply.body;
  try {
    text = JSON.stringify(JSON.parse(reply.body), null, 2);
  } catch {
    // Not JSON: shown as it came.
  }
  const trace = useLoad(`latest/${reply.duration_ms}`, async (signal) => (await get<Page<RecordSummary>>("/records", { limit: 1 }, signal)).items[0]);
  return (
    <div class="stack">
      <p class="actions" role="status">
        <Badge tone={reply.status >= 500 ? "bad" : reply.status >= 400 ? "warn" : "good"}>{reply.status}</Badge>
        <span>{milliseconds(reply.duration_ms)}</span><span class="muted">{bytes(new Blob([reply.body]).size)}{reply.cut && ", cut"}</span>
        {trace.data && <a href={to(["records", trace.data.id])}>Its record</a>}
      </p>
      <pre class="code" tabIndex={0} role="group" aria-label="Body of the answer">{text || "(empty)"}</pre>
      <details>
        <summary>Header fields</summary>
        <dl class="facts mono small">{Object.entries(reply.headers).map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`}>{value}</dd>])}</dl>
      </details>
    </div>
  );
}

function Key({ value, change }: { value: string; change: (key: string) => void }) {
  return <Field label="Key of a consumer" hint="Sent as a bearer token and kept nowhere.">{(id, described) => <input id={id} aria-describedby={described} type="password" autocomplete="off" value={value} onInput={(event) => change(event.currentTarget.value)} />}</Field>;
}

function Models() {
  const models = useResources("models");
  const [model, setModel] = useKept("playground.model", "");
  const [route, setRoute] = useKept("playground.path", "/v1/chat/completions");
  const [key, setKey] = useState("");
  const [text, setText] = useState("");
  const [turns, setTurns] = useState<Turn[]>([]);
  const [reply, setReply] = useState<PlaygroundReply>();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const names = models.data?.map((one) => one.name) ?? [];
  const chosen = names.includes(model) ? model : names[0] ?? "";
  const ask = async (event: Event) => {
    event.preventDefault();
    const messages: Turn[] = [...turns, { role: "user", content: text }];
    setTurns(messages);
    setText("");
    setBusy(true);
    setProblem(undefined);
    try {
      const headers = { "content-type": "application/json", ...authorization(key) };
      const got = await send({ method: "POST", path: route, headers, body: JSON.stringify({ model: chosen, messages }) });
      setReply(got);
      const said = answer(got);
      if (said !== undefined) setTurns([...messages, { role: "assistant", content: said }]);
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="split">
      <Card title="Conversation" actions={turns.length > 0 && <button type="button" class="small" onClick={() => { setTurns([]); setReply(undefined); }}>Begin anew</button>}>
        {turns.length === 0 ? <Empty title="Say something to a model">It goes through the gateway like any caller's request: policies, budgets and records included.</Empty> : (
          <ol class="talk" aria-live="polite" aria-label="Conversation">
            {turns.map((turn, at) => <li key={at} class={turn.role}><span class="quiet">{turn.role === "user" ? "You: " : "Model: "}</span>{turn.content}</li>)}
            {busy && <li class="muted">…</li>}
          </ol>
        )}
        <form class="stack" onSubmit={(event) => void ask(event)}>
          <Field label="Message">{(id) => <textarea id={id} rows={3} required value={text} onInput={(event) => setText(event.currentTarget.value)} />}</Field>
          <div class="row">
            <Field label="Model">{(id) => (names.length > 0
              ? <select id={id} value={chosen} onChange={(event) => setModel(event.currentTarget.value)}>{names.map((name) => <option key={name}>{name}</option>)}</select>
              : <input id={id} value={model} onInput={(event) => setModel(event.currentTarget.value)} />)}</Field>
            <Field label="Path">{(id) => <input id={id} class="mono" value={route} onInput={(event) => setRoute(event.currentTarget.value)} />}</Field>
            <Key value={key} change={setKey} />
          </div>
          <div class="actions"><button type="submit" class="primary" disabled={busy || text.trim() === ""} aria-busy={busy}>Send</button></div>
        </form>
        {problem && <Failed problem={problem} />}
      </Card>
      <Card title="What came back">{reply ? <Reply reply={reply} /> : <Empty title="Nothing yet" />}</Card>
    </div>
  );
}

function AnyRoute() {
  const [method, setMethod] = useState("GET");
  const [target, setTarget] = useKept("playground.target", "/");
  const [host, setHost] = useState("");
  const [headers, setHeaders] = useState("");
  const [body, setBody] = useState("");
  const [key, setKey] = useState("");
  const [reply, setReply] = useState<PlaygroundReply>();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const ask = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    const lines = headers.split("\n").filter((line) => line.includes(":"));
    const fields = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).trim().toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
    try {
      setReply(await send({ method, path: target, host: host || null, headers: { ...authorization(key), ...fields }, body }));
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="split">
      <Card title="Request">
        <form class="stack" onSubmit={(event) => void ask(event)}>
          <div class="row">
            <Field label="Method" slim>{(id) => <select id={id} value={method} onChange={(event) => setMethod(event.currentTarget.value)}>{["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map((one) => <option key={one}>{one}</option>)}</select>}</Field>
            <Field label="Path and query">{(id) => <input id={id} class="mono" required pattern="/.*" value={target} onInput={(event) => setTarget(event.currentTarget.value)} />}</Field>
          </div>
          <div class="row">
            <Field label="Host" hint="The listener's address when empty.">{(id, described) => <input id={id} aria-describedby={described} class="mono" value={host} onInput={(event) => setHost(event.currentTarget.value)} />}</Field>
            <Key value={key} change={setKey} />
          </div>
          <Field label="Header fields" hint="One a line: name: value">{(id, described) => <textarea id={id} aria-describedby={described} class="mono" rows={3} value={headers} onInput={(event) => setHeaders(event.currentTarget.value)} />}</Field>
          <Field label="Body">{(id) => <textarea id={id} class="mono" rows={5} value={body} onInput={(event) => setBody(event.currentTarget.value)} />}</Field>
          <div class="actions"><button type="submit" class="primary" disabled={busy} aria-busy={busy}>Send</button></div>
        </form>
        {problem && <Failed problem={problem} />}
      </Card>
      <Card title="What came back">{reply ? <Reply reply={reply} /> : <Empty title="Nothing yet">The answer, its fields and how long it took.</Empty>}</Card>
    </div>
  );
}

/** The page. */
export function Playground() {
  const [what, setWhat] = useKept("playground", "models");
  return (
    <>
      <Head title="Playground" lead="Sends a request through this gateway's own listener." actions={<Choice label="What to try" value={what} options={[["models", "A model"], ["routes", "Any route"]]} change={setWhat} />} />
      {what === "models" ? <Models /> : <AnyRoute />}
    </>
  );
}
