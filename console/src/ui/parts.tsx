// The small pieces that pages are made of.

import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import type { Problem } from "../api";
import { moment, relative, short } from "../format";
import { useNow, useTitle, type Loaded } from "../hooks";
import { useSession } from "../session";
import { to } from "../router";
import type { Finding } from "../types";
import { resourceOf } from "../schema/model";
import { ChangeList } from "./changes";

export type Tone = "good" | "warn" | "bad" | "info" | "accent" | "";

/** The head of a page: its name, what it is for, and its actions. */
export function Head({ title, lead, actions, crumbs }: { title: string; lead?: ComponentChildren; actions?: ComponentChildren; crumbs?: [string, string][] }) {
  useTitle(title);
  return (
    <div class="head">
      <div class="grow">
        {crumbs && (
          <nav class="crumbs" aria-label="Where this page is">
            {crumbs.map(([name, address]) => <span key={address}><a href={address}>{name}</a> /</span>)}
          </nav>
        )}
        <h1 tabIndex={-1}>{title}</h1>
        {lead && <p class="lead">{lead}</p>}
      </div>
      {actions && <div class="actions">{actions}</div>}
    </div>
  );
}

/** A framed part of a page. */
export function Card({ title, actions, children, flush, class: name }: { title?: string; actions?: ComponentChildren; children: ComponentChildren; flush?: boolean; class?: string }) {
  const id = useId();
  return (
    <section class={`card ${name ?? ""}`} aria-labelledby={title ? id : undefined}>
      {title && <header><h2 id={id}>{title}</h2>{actions && <div class="actions">{actions}</div>}</header>}
      {flush ? children : <div class="body stack">{children}</div>}
    </section>
  );
}

/** A word about a state, in its colour. */
export function Badge({ tone = "", plain, children }: { tone?: Tone; plain?: boolean; children: ComponentChildren }) {
  return <span class={`badge ${tone} ${plain ? "plain" : ""}`}>{children}</span>;
}

/** A message in a frame. */
export function Note({ tone = "info", title, children, live }: { tone?: Tone; title?: ComponentChildren; children?: ComponentChildren; live?: boolean }) {
  return (
    <div class={`note ${tone}`} {...(live ? { role: tone === "bad" ? "alert" : "status" } : {})}>
      <div>{title && <p class="strong">{title}</p>}{children}</div>
    </div>
  );
}

/** A failed call, where it belongs. */
export function Failed({ problem, again }: { problem: Problem; again?: (() => void) | undefined }) {
  return (
    <Note tone="bad" live title={problem.title}>
      <p>{problem.message !== problem.title && problem.message} <code class="small">{problem.code}</code></p>
      {problem.changes.length > 0 && (
        <div><p class="strong small">What changed since you looked</p><ChangeList changes={problem.changes} /></div>
      )}
      <Findings findings={problem.findings} bare />
      {again && <p><button type="button" class="small" onClick={again}>Try again</button></p>}
    </Note>
  );
}

/** Findings of a check, the gravest first. */
export function Findings({ findings, bare }: { findings: Finding[]; bare?: boolean }) {
  if (findings.length === 0) return null;
  const order = ["error", "warning", "info"];
  const tones: Record<string, Tone> = { error: "bad", warning: "warn", info: "info" };
  const sorted = [...findings].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
  return (
    <ul class="stack">
      {sorted.map((finding, at) => {
        const body = (
          <>
            <p><Badge tone={tones[finding.severity] ?? ""}>{finding.severity}</Badge> <Where path={finding.path} /> <span class="muted small">{finding.code}</span></p>
            <p>{finding.message}{finding.expected && <> Expected: {finding.expected}.</>}</p>
            {finding.help && <p class="small muted">{finding.help}</p>}
          </>
        );
        return <li key={at}>{bare ? body : <Note tone={tones[finding.severity] ?? ""}>{body}</Note>}</li>;
      })}
    </ul>
  );
}

/** The place of a finding, as a link to the form of what it is in. */
function Where({ path }: { path: string }) {
  const resource = resourceOf(path);
  if (!resource) return <code>{path || "document"}</code>;
  return <a href={to(["configure", resource.kind, resource.name])}><code>{path}</code></a>;
}

/** What stands where there is nothing. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return <div class="empty"><strong>{title}</strong>{children && <p>{children}</p>}</div>;
}

/** Places for lines that are still loading. */
export function Ghosts({ lines = 5 }: { lines?: number }) {
  return (
    <div class="ghosts" role="status">
      <span class="quiet">Loading</span>
      {Array.from({ length: lines }, (_, at) => <div key={at} class="ghost" />)}
    </div>
  );
}

/** Loading, failed, or there: the three states of everything that is loaded. */
export function Load<T>({ of, lines, children }: { of: Loaded<T>; lines?: number; children: (data: T) => ComponentChildren }) {
  if (of.data !== undefined) {
    return <>{of.problem && <Failed problem={of.problem} again={of.reload} />}{children(of.data)}</>;
  }
  if (of.problem) return <div class="body"><Failed problem={of.problem} again={of.reload} /></div>;
  return <Ghosts {...(lines ? { lines } : {})} />;
}

/** A time in the chosen zone, and in UTC beside it where `both`. */
export function Time({ at, both, ago }: { at: string | null | undefined; both?: boolean; ago?: boolean }) {
  const { zone } = useSession();
  if (!at) return <span class="muted">–</span>;
  const value = Date.parse(at);
  if (Number.isNaN(value)) return <span>{at}</span>;
  const utc = `${moment(value, "UTC")} UTC`;
  const shown = zone === "UTC" ? utc : moment(value, undefined);
  return (
    <time dateTime={at} title={utc}>
      {ago ? <Ago at={value} /> : shown}
      {both && zone !== "UTC" && <span class="muted small nowrap"> · {utc}</span>}
    </time>
  );
}

/** How long ago, kept current. */
export function Ago({ at }: { at: number }) {
  const now = useNow(1000);
  return <span class="nowrap">{relative(at, now)}</span>;
}

/** The first digits of a digest; a press copies all of it. */
export function Digest({ of }: { of: string | null | undefined }) {
  const { say } = useSession();
  if (!of) return <span class="muted">–</span>;
  const copy = () => navigator.clipboard?.writeText(of).then(() => say("Copied"), () => say("The browser did not allow copying", "bad"));
  return (
    <button type="button" class="plain small mono" title={of} onClick={copy}><span class="quiet">Copy the digest </span>{short(of)}</button>
  );
}

/** A link to a revision. */
export function RevisionLink({ number }: { number: number | null | undefined }) {
  if (number == null) return <span class="muted">none</span>;
  return <a class="nowrap" href={to(["revisions", number])}>#{number}</a>;
}

/** A field with its label. */
export function Field({ label, hint, wrong, slim, children }: { label: string; hint?: ComponentChildren; wrong?: string | undefined; slim?: boolean; children: (id: string, described: string | undefined) => ComponentChildren }) {
  const id = useId();
  const described = hint || wrong ? `${id}-hint` : undefined;
  return (
    <div class={`field ${slim ? "slim" : ""}`}>
      <label for={id}>{label}</label>
      {children(id, described)}
      {described && <div id={described}>{wrong && <p class="wrong">{wrong}</p>}{hint && <p class="hint">{hint}</p>}</div>}
    </div>
  );
}

/** One of a few, as a row of buttons. */
export function Choice<T extends string>({ label, value, options, change }: { label: string; value: T; options: [T, string][]; change: (value: T) => void }) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([one, name]) => (
        <button key={one} type="button" aria-pressed={one === value} onClick={() => change(one)}>{name}</button>
      ))}
    </div>
  );
}

/** A table that scrolls sideways where it has to, also by keyboard. */
export function Table({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="table" role="group" aria-label={label} tabIndex={0}>
      <table><caption class="quiet">{label}</caption>{children}</table>
    </div>
  );
}

/** A button that waits for what it began. */
export function Act({ run, class: name, disabled, children }: { run: () => Promise<unknown>; class?: string; disabled?: boolean; children: ComponentChildren }) {
  const [busy, set] = useState(false);
  const press = () => {
    set(true);
    void run().finally(() => set(false));
  };
  return <button type="button" class={name} disabled={busy || disabled} aria-busy={busy} onClick={press}>{children}</button>;
}

/** More rows of a list that has a cursor. */
export function More({ next, load }: { next: string | null | undefined; load: (cursor: string) => Promise<unknown> }) {
  if (!next) return null;
  return <div class="body actions"><Act run={() => load(next)}>Load more</Act></div>;
}
