// What every page needs: who is signed in, which environment is looked at, the theme, the zone of
// times, and a place for short messages. The chosen environment is followed by a stream of events.

import { createContext, type ComponentChildren } from "preact";
import { useCallback, useContext, useEffect, useMemo, useState } from "preact/hooks";
import { asProblem, get, type Problem } from "./api";
import { useEvents, useKept, useLoad, useMedia, type Connection, type Loaded } from "./hooks";
import type { Environment, Me, Page } from "./types";

/** A short message, shown for some seconds. */
export interface Toast { id: number; tone: "good" | "bad"; text: string }

/** What every page may use. */
export interface Session {
  me: Me;
  environments: Loaded<Environment[]>;
  /** The environment that is looked at. */
  environment: Environment | undefined;
  /** Whether a file rules: nothing can be changed here then. */
  fileManaged: boolean;
  choose: (name: string) => void;
  connection: Connection;
  theme: string;
  setTheme: (theme: string) => void;
  /** What the theme comes to. */
  shade: "light" | "dark";
  /** The zone that times are shown in; `undefined` is the user's own. */
  zone: string | undefined;
  setZone: (zone: string) => void;
  toasts: Toast[];
  say: (text: string, tone?: Toast["tone"]) => void;
  signOut: () => void;
  can: (role: Me["role"]) => boolean;
  /** Whether this person may change the environment from here. */
  mayChange: boolean;
}

const Context = createContext<Session | null>(null);
const ROLES: Me["role"][] = ["viewer", "operator", "admin"];
/** What a gateway that is configured by a file calls its only environment. */
const FILE = "file";
let nextToast = 0;

/** The session; only below `SessionProvider`. */
export function useSession(): Session {
  const session = useContext(Context);
  if (session === null) throw new Error("there is no session here");
  return session;
}

/** Whether somebody is signed in, before there is a session. */
export type Door = { state: "asking" } | { state: "in"; me: Me } | { state: "out" } | { state: "failed"; problem: Problem };

/** Asks who is signed in; again when that may have changed. */
export function useDoor(): [Door, () => void] {
  const [door, set] = useState<Door>({ state: "asking" });
  const ask = useCallback(() => {
    get<Me>("/me").then((me) => set({ state: "in", me }), (error: unknown) => {
      const problem = asProblem(error);
      set(problem.status === 401 ? { state: "out" } : { state: "failed", problem });
    });
  }, []);
  useEffect(ask, []);
  return [door, ask];
}

/** Gives the session to what is below. */
export function SessionProvider({ me, signOut, children }: { me: Me; signOut: () => void; children: ComponentChildren }) {
  const [theme, setTheme] = useKept("theme", "system");
  const [zone, setZone] = useKept("zone", "");
  const [chosen, choose] = useKept("environment", "");
  const prefersDark = useMedia("(prefers-color-scheme: dark)");
  const shade = theme === "dark" || (theme === "system" && prefersDark) ? "dark" : "light";
  const [toasts, setToasts] = useState<Toast[]>([]);
  const [events, setEvents] = useState<Record<string, Environment>>({});
  const list = useLoad("environments", async (signal) => (await get<Page<Environment>>("/environments", {}, signal)).items, 15_000);
  const known = list.data?.map((one) => newer(one, events[one.name]));
  const environment = known?.find((one) => one.name === chosen) ?? known?.find((one) => one.name === me.environment) ?? known?.[0];
  const fileManaged = me.environment == null && known?.length === 1 && known[0]?.name === FILE && known[0].generation === 0;
  const connection = useEvents(environment && !fileManaged ? "/watch" : null, { environment: environment?.name ?? "" }, "environment", (data) => {
    const read = readEnvironment(data);
    if (read) setEvents((old) => ({ ...old, [read.name]: read }));
  });
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [theme]);
  useEffect(() => {
    if (list.problem?.status === 401) signOut();
  }, [list.problem]);
  const say = useCallback((text: string, tone: Toast["tone"] = "good") => {
    const id = (nextToast += 1);
    setToasts((old) => [...old.slice(-3), { id, tone, text }]);
    setTimeout(() => setToasts((old) => old.filter((toast) => toast.id !== id)), 6000);
  }, []);
  const value = useMemo<Session>(() => ({
    me, environment, choose, connection, theme, setTheme, shade, setZone, toasts, say, signOut,
    environments: { ...list, data: known },
    fileManaged,
    mayChange: !fileManaged && ranks(me, "operator"),
    zone: zone === "" ? undefined : zone,
    can: (role) => ranks(me, role),
  }), [me, list, events, chosen, connection, theme, shade, zone, toasts]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

function ranks(me: Me, role: Me["role"]): boolean {
  return ROLES.indexOf(me.role) >= ROLES.indexOf(role);
}

function newer(listed: Environment, heard: Environment | undefined): Environment {
  return heard && heard.generation > listed.generation ? heard : listed;
}

function readEnvironment(data: string): Environment | undefined {
  try {
    const read = JSON.parse(data) as Environment | { environment: Environment };
    return "environment" in read ? read.environment : read;
  } catch {
    return undefined;
  }
}
