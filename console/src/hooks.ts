// Loading with states that pages can show, a clock for relative times, and streams of events that
// come back by themselves.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asProblem, Problem, streamAddress } from "./api";

/** Something that is loaded: what is known of it, and what went wrong. */
export interface Loaded<T> {
  data: T | undefined;
  problem: Problem | undefined;
  loading: boolean;
  reload: () => void;
}

/** Longest wait for an answer, in milliseconds. */
const ANSWER_MOST = 60_000;

/**
 * Loads when `key` changes, and every `every` milliseconds while the page is visible and no answer is
 * waited for: one that takes longer than that is not asked for again, or it would never come. What was
 * there stays until the next answer comes; a change of `key` forgets it. `null` loads nothing.
 */
export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, every?: number): Loaded<T> {
  const [state, set] = useState<{ key: string | null; data?: T; problem?: Problem; loading: boolean }>({ key, loading: key !== null });
  const [turn, again] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const waits = useRef(false);
  useEffect(() => {
    if (key === null) return;
    const control = new AbortController();
    let gone = false;
    const end = () => {
      gone = true;
      waits.current = false;
      clearTimeout(patience);
    };
    const patience = setTimeout(() => {
      end();
      control.abort();
      set((old) => ({ ...old, key, problem: new Problem(0, { title: "The gateway did not answer", code: "unreachable", detail: "No answer came within a minute." }), loading: false }));
    }, ANSWER_MOST);
    waits.current = true;
    set((old) => (old.key === key ? { ...old, loading: true } : { key, loading: true }));
    latest.current(control.signal).then(
      (data) => {
        if (gone) return;
        end();
        set({ key, data, loading: false });
      },
      (error: unknown) => {
        if (gone) return;
        end();
        set((old) => ({ ...old, key, problem: asProblem(error), loading: false }));
      },
    );
    return () => {
      if (!gone) end();
      control.abort();
    };
  }, [key, turn]);
  useEffect(() => {
    if (every === undefined || key === null) return;
    const timer = setInterval(() => {
      if (!document.hidden && !waits.current) again((turn) => turn + 1);
    }, every);
    return () => clearInterval(timer);
  }, [key, every]);
  const reload = useCallback(() => again((turn) => turn + 1), []);
  const mine = state.key === key;
  return { data: mine ? state.data : undefined, problem: mine ? state.problem : undefined, loading: state.loading || !mine, reload };
}

/** Milliseconds since 1970, renewed every `every` milliseconds. */
export function useNow(every = 1000): number {
  const [now, set] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** What a stream of events is doing. */
export type Connection = "connecting" | "open" | "lost";

/** Longest wait before a stream is tried again, in milliseconds. */
const WAIT_MOST = 15_000;

/**
 * Follows a stream of events. The browser resumes a broken one with `Last-Event-ID`; where it has
 * given up (an error instead of a stream), a new one is begun after a wait that doubles.
 */
export function useEvents(path: string | null, query: Record<string, string>, event: string, hear: (data: string) => void): Connection {
  const [state, set] = useState<Connection>("connecting");
  const latest = useRef(hear);
  latest.current = hear;
  const address = path === null ? null : streamAddress(path, query);
  useEffect(() => {
    if (address === null) return;
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wait = 500;
    const open = () => {
      source = new EventSource(address);
      source.onopen = () => {
        wait = 500;
        set("open");
      };
      source.addEventListener(event, (message) => latest.current((message as MessageEvent<string>).data));
      source.onerror = () => {
        set("lost");
        if (source?.readyState !== EventSource.CLOSED) return;
        timer = setTimeout(open, wait);
        wait = Math.min(wait * 2, WAIT_MOST);
      };
    };
    open();
    return () => {
      source?.close();
      clearTimeout(timer);
    };
  }, [address, event]);
  return state;
}

/** A value that survives a reload of the page, per browser. */
export function useKept(name: string, first: string): [string, (value: string) => void] {
  const key = `tidegate.${name}`;
  const [value, set] = useState(() => {
    try {
      return localStorage.getItem(key) ?? first;
    } catch {
      return first;
    }
  });
  const keep = useCallback((value: string) => {
    set(value);
    try {
      localStorage.setItem(key, value);
    } catch {
      // A browser that keeps nothing still shows the change.
    }
  }, [key]);
  return [value, keep];
}

/** Names the page in the browser's tab. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Tidegate`;
  }, [title]);
}

/** Whether a media query holds. */
export function useMedia(query: string): boolean {
  const [holds, set] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const changed = () => set(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, [query]);
  return holds;
}
