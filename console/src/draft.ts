// Changes that are not applied yet, per environment: resources as they shall be, `null` for those
// that shall go. The browser's tab keeps them, so that a reload loses nothing.

import { useCallback, useEffect, useState } from "preact/hooks";
import type { Document, Finding, Json } from "./types";

/** A change of one resource; `base` is the generation that its author saw. */
export interface Edit { kind: string; name: string; value: Json }

/** What is to be applied. */
export interface Draft {
  edits: Edit[];
  /** The generation of the environment when the first change was made. */
  generation: number | undefined;
}

const EMPTY: Draft = { edits: [], generation: undefined };
const changed = new EventTarget();

function read(key: string): Draft {
  try {
    return (JSON.parse(sessionStorage.getItem(key) ?? "null") as Draft | null) ?? EMPTY;
  } catch {
    return EMPTY;
  }
}

/** What the last plan of an environment's draft found, for the forms of what it is about. */
const found = new Map<string, Finding[]>();

/** Keeps the findings of a plan. */
export function keepFindings(environment: string, findings: Finding[]): void {
  found.set(environment, findings);
}

/** Findings of the last plan about one resource. */
export function findingsOf(environment: string, place: string): Finding[] {
  const all = found.get(environment) ?? [];
  return all.filter(({ path }) => path === place || path.startsWith(`${place}.`) || path.startsWith(`${place}[`));
}

/** The draft as a document for the admin API: a resource that is `null` is removed. */
export function draftDocument(draft: Draft): Document {
  const document: Document = {};
  for (const { kind, name, value } of draft.edits) (document[kind] ??= {})[name] = value;
  return document;
}

/** The draft of an environment and how to change it. */
export function useDraft(environment: string): { draft: Draft; put: (edit: Edit, generation: number) => void; drop: (kind: string, name: string) => void; clear: () => void; rebase: (generation: number) => void } {
  const key = `tidegate.draft.${environment}`;
  const [draft, set] = useState(() => read(key));
  useEffect(() => {
    const again = () => set(read(key));
    again();
    changed.addEventListener("draft", again);
    return () => changed.removeEventListener("draft", again);
  }, [key]);
  const write = useCallback((next: Draft) => {
    sessionStorage.setItem(key, JSON.stringify(next.edits.length > 0 ? next : EMPTY));
    changed.dispatchEvent(new Event("draft"));
  }, [key]);
  const others = (draft: Draft, kind: string, name: string) => draft.edits.filter((one) => one.kind !== kind || one.name !== name);
  return {
    draft,
    put: (edit, generation) => {
      const old = read(key);
      write({ edits: [...others(old, edit.kind, edit.name), edit], generation: old.generation ?? generation });
    },
    drop: (kind, name) => {
      const old = read(key);
      write({ ...old, edits: others(old, kind, name) });
    },
    clear: () => write(EMPTY),
    rebase: (generation) => write({ ...read(key), generation }),
  };
}
