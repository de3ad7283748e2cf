// A form for any value that the schema describes. It draws what is required and what is set; the
// rest waits under "More settings". It knows no kind of resource by name.

import { createContext } from "preact";
import { useContext, useEffect, useId, useRef, useState } from "preact/hooks";
import type { Finding, Json, JsonObject } from "../types";
import { Field } from "../ui/parts";
import { NewKey } from "./new-key";
import { initial, key, lead, resolve, shape, take, taken, type Schema, type SchemaNode, type Shape, type Variant } from "./model";

interface Setting {
  schema: Schema;
  findings: Finding[];
  /** Names of resources by kind, offered where a field names one. */
  names: Record<string, string[]>;
  readOnly: boolean;
  /** Whether the form has been drawn: what comes after was added by hand and is shown open. */
  drawn: { current: boolean };
}

const Context = createContext<Setting>({ schema: {}, findings: [], names: {}, readOnly: false, drawn: { current: false } });

/** Fields that name a resource, and of which kind. */
const NAMES: Record<string, string> = {
  upstream: "upstreams", provider: "providers", model: "models", models: "models", agent: "agents", team: "teams", consumer: "consumers",
  listeners: "listeners", route: "routes", routes: "routes", prompt: "prompts", server: "mcp_servers", to: "upstreams",
};

interface Props {
  node: SchemaNode;
  name: string;
  at: string;
  value: Json | undefined;
  change: (value: Json | undefined) => void;
  required?: boolean;
}

/** A description as text, its code marks drawn. */
function Prose({ text }: { text: string }) {
  return <>{text.split("`").map((part, at) => (at % 2 === 1 ? <code key={at}>{part}</code> : part))}</>;
}

function useWrong(at: string): string | undefined {
  const { findings } = useContext(Context);
  const mine = findings.filter((finding) => finding.path === at && finding.severity === "error");
  return mine.length > 0 ? mine.map((finding) => finding.message).join(" ") : undefined;
}

function hint(node: SchemaNode) {
  const text = lead(node.description);
  const fallback = node.default !== undefined && node.default !== null && typeof node.default !== "object" ? ` Default: ${String(node.default)}.` : "";
  return text || fallback ? <Prose text={`${text}${fallback}`} /> : undefined;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function plain(is: Shape): boolean {
  return ["text", "number", "flag"].includes(is.is) || (is.is === "choice" && is.variants.every((one) => one.content === undefined));
}

function without(value: JsonObject, name: string): JsonObject {
  const { [name]: _, ...rest } = value;
  return rest;
}

function Text({ node, name, at, value, change, required, is }: Props & { is: Shape & { is: "text" } }) {
  const { names, readOnly } = useContext(Context);
  const list = useId();
  const wrong = useWrong(at);
  const text = value === undefined || value === null ? "" : String(value);
  const offered = names[NAMES[name] ?? ""] ?? is.examples.map(String);
  const misfit = text !== "" && is.pattern && !new RegExp(is.pattern).test(text) ? `Not in the form that is needed${is.examples[0] !== undefined ? `, such as ${String(is.examples[0])}` : ""}.` : undefined;
  const placeholder = typeof node.default === "string" ? node.default : is.examples[0] !== undefined ? `such as ${String(is.examples[0])}` : "";
  return (
    <Field label={name} hint={hint(node)} wrong={wrong ?? misfit}>
      {(id, described) => (
        <>
          <input id={id} aria-describedby={described} aria-invalid={Boolean(wrong ?? misfit)} class="mono" list={offered.length > 0 ? list : undefined} value={text} placeholder={placeholder} required={required} readOnly={readOnly} autocomplete="off" spellcheck={false}
            onInput={(event) => change(event.currentTarget.value === "" && !required ? undefined : event.currentTarget.value)} />
          {name === "sha256" && !readOnly && <NewKey take={change} />}
          {offered.length > 0 && <datalist id={list}>{offered.map((one) => <option key={one} value={one} />)}</datalist>}
        </>
      )}
    </Field>
  );
}

function NumberInput({ node, name, at, value, change, required, is }: Props & { is: Shape & { is: "number" } }) {
  const { readOnly } = useContext(Context);
  const wrong = useWrong(at);
  const set = (text: string) => {
    if (text === "") change(required ? (is.minimum ?? 0) : undefined);
    else if (Number.isFinite(Number(text))) change(Number(text));
  };
  return (
    <Field label={name} hint={hint(node)} wrong={wrong}>
      {(id, described) => <input id={id} aria-describedby={described} aria-invalid={Boolean(wrong)} type="number" step={is.whole ? 1 : "any"} min={is.minimum} max={is.maximum} value={typeof value === "number" ? value : ""} placeholder={node.default == null ? "" : String(node.default)} readOnly={readOnly} onInput={(event) => set(event.currentTarget.value)} />}
    </Field>
  );
}

function Flag({ node, name, at, value, change, required }: Props) {
  const { readOnly } = useContext(Context);
  const wrong = useWrong(at);
  const shown = value === undefined || value === null ? "" : String(value);
  return (
    <Field label={name} hint={hint(node)} wrong={wrong}>
      {(id, described) => (
        <select id={id} aria-describedby={described} value={shown} disabled={readOnly} onChange={(event) => change(event.currentTarget.value === "" ? undefined : event.currentTarget.value === "true")}>
          {!required && <option value="">default{typeof node.default === "boolean" ? ` (${node.default ? "yes" : "no"})` : ""}</option>}
          <option value="true">yes</option><option value="false">no</option>
        </select>
      )}
    </Field>
  );
}

function ChoiceOf({ node, name, at, value, change, required, is }: Props & { is: Shape & { is: "choice" } }) {
  const { schema, readOnly } = useContext(Context);
  const wrong = useWrong(at);
  const current = taken(is.variants, value);
  const pick = (tag: string) => {
    const next = is.variants.find((one) => one.tag === tag);
    if (next === undefined) return change(undefined);
    // What stands beside the tag stays where the other variant has it too.
    const kept = isObject(value) ? Object.fromEntries(Object.entries(value).filter(([field]) => field in next.beside)) : {};
    const made = take(schema, next);
    change(isObject(made) ? { ...made, ...kept } : made);
  };
  const select = (
    <Field label={name} hint={current?.description ? <Prose text={lead(current.description)} /> : hint(node)} wrong={wrong}>
      {(id, described) => (
        <select id={id} aria-describedby={described} aria-invalid={Boolean(wrong)} value={current?.tag ?? ""} disabled={readOnly} onChange={(event) => pick(event.currentTarget.value)}>
          {(!required || current === undefined) && <option value="">{required ? "choose" : "default"}</option>}
          {is.variants.map((one) => <option key={one.tag} value={one.tag}>{one.tag}</option>)}
        </select>
      )}
    </Field>
  );
  if (current?.content === undefined || !isObject(value)) return select;
  return <div class="stack">{select}<Content key={current.tag} variant={current} at={at} value={value} change={change} /></div>;
}

/** The settings of the variant that is taken, and what stands beside them. */
function Content({ variant, at, value, change }: { variant: Variant; at: string; value: JsonObject; change: (value: Json) => void }) {
  const { schema } = useContext(Context);
  const node = resolve(schema, variant.content ?? {});
  const is = shape(schema, node);
  const bare = is.is === "object" && Object.keys(is.properties).length === 0;
  return (
    <>
      {!bare && <Value node={{ ...node, description: "" }} name={variant.tag} at={join(at, variant.tag)} value={value[variant.tag]} required change={(inner) => change({ ...value, [variant.tag]: inner ?? null })} />}
      {Object.entries(variant.beside).map(([name, field]) => (
        <Value key={name} node={field} name={name} at={join(at, name)} value={value[name]} change={(inner) => change(inner === undefined ? without(value, name) : { ...value, [name]: inner })} />
      ))}
    </>
  );
}

function ObjectOf({ name, at, value, change, is, flat }: Props & { is: Shape & { is: "object" }; flat?: boolean | undefined }) {
  const { schema, readOnly, drawn } = useContext(Context);
  const [added] = useState(() => drawn.current);
  const wrong = useWrong(at);
  const held = isObject(value) ? value : {};
  const all = Object.entries(is.properties);
  const shown = all.filter(([field]) => is.required.includes(field) || field in held);
  const [first] = useState(() => new Set(shown.map(([field]) => field)));
  const above = all.filter(([field]) => is.required.includes(field) || first.has(field) || (field in held && !plain(shape(schema, resolve(schema, is.properties[field] ?? {})))));
  const below = all.filter((entry) => !above.includes(entry));
  const set = (field: string) => (inner: Json | undefined) => change(inner === undefined ? without(held, field) : { ...held, [field]: inner });
  return (
    <fieldset class={flat ? "flat" : ""} disabled={false}>
      {flat ? <legend class="quiet">{name}</legend> : <legend>{name}</legend>}
      {wrong && <p class="bad small">{wrong}</p>}
      {above.map(([field, node]) => (
        <Removable key={field} can={!is.required.includes(field) && field in held && !readOnly} name={field} remove={() => set(field)(undefined)} node={node}>
          <Value node={node} name={field} at={join(at, field)} value={held[field]} required={is.required.includes(field)} change={set(field)} />
        </Removable>
      ))}
      {below.length > 0 && (
        <details open={added && first.size === 0}>
          <summary>{above.length > 0 ? "More settings" : "Settings"} ({below.length})</summary>
          <div class="optional">
            {below.map(([field, node]) => {
              const one = resolve(schema, node);
              if (plain(shape(schema, one))) return <Value key={field} node={node} name={field} at={join(at, field)} value={held[field]} change={set(field)} />;
              return (
                <div key={field} class="add">
                  <button type="button" class="small" disabled={readOnly} onClick={() => set(field)(initial(schema, node))}>Add {field}</button>
                  <span class="muted small"><Prose text={lead(one.description)} /></span>
                </div>
              );
            })}
          </div>
        </details>
      )}
    </fieldset>
  );
}

function Removable({ can, name, remove, node, children }: { can: boolean; name: string; remove: () => void; node: SchemaNode; children: preact.ComponentChildren }) {
  const { schema } = useContext(Context);
  if (!can || plain(shape(schema, resolve(schema, node)))) return <>{children}</>;
  return <div class="item"><div class="grow">{children}</div><button type="button" class="small" onClick={remove}>Remove<span class="quiet"> {name}</span></button></div>;
}

function Lines({ node, name, at, value, change }: Props) {
  const { readOnly } = useContext(Context);
  const wrong = useWrong(at);
  const held = Array.isArray(value) ? value.map(String) : [];
  const [text, setText] = useState(held.join("\n"));
  const split = (text: string) => text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const shown = split(text).join("\n") === held.join("\n") ? text : held.join("\n");
  const set = (text: string) => {
    setText(text);
    change(split(text));
  };
  return (
    <Field label={name} hint={<>{hint(node)} One a line.</>} wrong={wrong}>
      {(id, described) => <textarea id={id} aria-describedby={described} class="mono" rows={Math.min(6, Math.max(2, held.length + 1))} spellcheck={false} value={shown} readOnly={readOnly} onInput={(event) => set(event.currentTarget.value)} />}
    </Field>
  );
}

function ListOf({ node, name, at, value, change, is }: Props & { is: Shape & { is: "list" } }) {
  const { schema, readOnly } = useContext(Context);
  const held = Array.isArray(value) ? value : [];
  const move = (from: number, by: number) => {
    const next = [...held];
    const [item] = next.splice(from, 1);
    next.splice(from + by, 0, item ?? null);
    change(next);
  };
  return (
    <fieldset>
      <legend>{name}</legend>
      {node.description && <p class="hint small muted"><Prose text={lead(node.description)} /></p>}
      {held.map((item, index) => (
        <div class="item" key={index}>
          <div class="grow"><Value node={is.of} name={`${name} ${index + 1}`} at={`${at}[${index}]`} value={item} required change={(inner) => change(held.map((old, one) => (one === index ? (inner ?? null) : old)))} /></div>
          {!readOnly && (
            <div class="order">
              <button type="button" class="small" disabled={index === 0} aria-label={`Move ${name} ${index + 1} up`} onClick={() => move(index, -1)}>↑</button>
              <button type="button" class="small" disabled={index === held.length - 1} aria-label={`Move ${name} ${index + 1} down`} onClick={() => move(index, 1)}>↓</button>
              <button type="button" class="small" aria-label={`Remove ${name} ${index + 1}`} onClick={() => change(held.filter((_, one) => one !== index))}>✕</button>
            </div>
          )}
        </div>
      ))}
      {!readOnly && <div class="add"><button type="button" class="small" onClick={() => change([...held, initial(schema, is.of)])}>Add to {name}</button></div>}
    </fieldset>
  );
}

function MapOf({ node, name, at, value, change, is }: Props & { is: Shape & { is: "map" } }) {
  const { schema, readOnly } = useContext(Context);
  const [fresh, setFresh] = useState("");
  const held = isObject(value) ? value : {};
  const add = () => {
    if (fresh !== "" && !(fresh in held)) change({ ...held, [fresh]: initial(schema, is.of) });
    setFresh("");
  };
  return (
    <fieldset>
      <legend>{name}</legend>
      {node.description && <p class="hint small muted"><Prose text={lead(node.description)} /></p>}
      {Object.entries(held).map(([key, item]) => (
        <div class="item" key={key}>
          <div class="grow"><Value node={is.of} name={key} at={join(at, key)} value={item} required change={(inner) => change({ ...held, [key]: inner ?? null })} /></div>
          {!readOnly && <button type="button" class="small" onClick={() => change(without(held, key))}>Remove<span class="quiet"> {key}</span></button>}
        </div>
      ))}
      {!readOnly && (
        <div class="row">
          <Field label={`Name to add to ${name}`}>{(id) => <input id={id} class="mono" value={fresh} onInput={(event) => setFresh(event.currentTarget.value)} onKeyDown={(event) => { if (event.key === "Enter") { event.preventDefault(); add(); } }} />}</Field>
          <button type="button" disabled={fresh === "" || fresh in held} onClick={add}>Add</button>
        </div>
      )}
    </fieldset>
  );
}

/** Any JSON, where the schema leaves it open. */
export function AnyJson({ name, node, at, value, change }: Props) {
  const { readOnly } = useContext(Context);
  const wrong = useWrong(at);
  const [text, setText] = useState(() => JSON.stringify(value ?? null, null, 2));
  const [error, setError] = useState<string>();
  const set = (text: string) => {
    setText(text);
    try {
      change(JSON.parse(text) as Json);
      setError(undefined);
    } catch (error) {
      setError(error instanceof Error ? error.message : "Not JSON");
    }
  };
  return (
    <Field label={name} hint={hint(node)} wrong={wrong ?? error}>
      {(id, described) => <textarea id={id} aria-describedby={described} aria-invalid={Boolean(wrong ?? error)} class="mono" rows={Math.min(24, text.split("\n").length + 1)} spellcheck={false} value={text} readOnly={readOnly} onInput={(event) => set(event.currentTarget.value)} />}
    </Field>
  );
}

/** The place of a field below another. */
function join(at: string, field: string): string {
  return at === "" ? key(field) : `${at}.${key(field)}`;
}

/** The form of one value. */
function Value(props: Props & { flat?: boolean }) {
  const { schema } = useContext(Context);
  const node = resolve(schema, props.node);
  const is = shape(schema, node);
  const with_ = { ...props, node };
  switch (is.is) {
    case "object": return <ObjectOf {...with_} is={is} />;
    case "map": return <MapOf {...with_} is={is} />;
    case "list": {
      const of = shape(schema, resolve(schema, is.of));
      return of.is === "text" || (of.is === "choice" && plain(of)) ? <Lines {...with_} /> : <ListOf {...with_} is={is} />;
    }
    case "choice": return <ChoiceOf {...with_} is={is} />;
    case "text": return <Text {...with_} is={is} />;
    case "number": return <NumberInput {...with_} is={is} />;
    case "flag": return <Flag {...with_} />;
    case "any": return <AnyJson {...with_} />;
  }
}

/** The form of a whole resource. */
export function Form({ setting, node, at, name, value, change }: { setting: Omit<Setting, "drawn">; node: SchemaNode; at: string; name: string; value: Json; change: (value: Json) => void }) {
  const drawn = useRef(false);
  useEffect(() => {
    drawn.current = true;
  }, []);
  return (
    <Context.Provider value={{ ...setting, drawn }}>
      <div class="form"><Value node={node} name={name} at={at} value={value} required flat change={(inner) => change(inner ?? null)} /></div>
    </Context.Provider>
  );
}
