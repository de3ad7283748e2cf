// The frame around every page: bar, navigation, the page itself, and short messages. A new page
// takes the keyboard's focus to its heading, as a loaded page would.

import { useEffect, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import { zone as zoneName } from "./format";
import { usePlace, to, type Place } from "./router";
import { useSession } from "./session";
import { Icon, type IconName } from "./ui/icons";
import { Badge, Choice, Empty, Head } from "./ui/parts";
import { Overview } from "./pages/overview";
import { RecordPage, Records } from "./pages/records";
import { Providers } from "./pages/providers";
import { Caches } from "./pages/caches";
import { Firewall } from "./pages/firewall";
import { ForecastPage } from "./pages/forecast";
import { ObjectivePage, Objectives } from "./pages/objectives";
import { Configure } from "./pages/configure";
import { DiffPage, RevisionPage, Revisions } from "./pages/revisions";
import { RolloutPage, Rollouts } from "./pages/rollouts";
import { EnvironmentPage, Environments } from "./pages/environments";
import { Consumers } from "./pages/consumers";
import { Playground } from "./pages/playground";
import { Delivery } from "./pages/delivery";
import { Notifications } from "./pages/notifications";
import { Versions } from "./pages/versions";
import { DiagnosisPage } from "./pages/diagnosis";
import { IncidentPage, Incidents } from "./pages/incidents";
import { PostmortemPage } from "./pages/postmortem";
import { JobPage, Jobs } from "./pages/jobs";
import { Queries } from "./pages/queries";
import { RunPage, Runbooks } from "./pages/runbooks";
import { SubscriberPage, Subscribers } from "./pages/subscribers";
import { Experiments } from "./pages/experiments";
import { Audit } from "./pages/audit";

const NAVIGATION: [string, [string, string, IconName][]][] = [
  ["Observe", [["", "Live traffic", "overview"], ["records", "Records", "records"], ["queries", "Queries", "queries"], ["providers", "Provider health", "providers"], ["versions", "API versions", "versions"], ["jobs", "Jobs", "jobs"], ["caches", "Caches", "environments"], ["firewall", "Firewall", "firewall"], ["subscribers", "Subscribers", "subscribers"]]],
  ["Respond", [["objectives", "Objectives", "objectives"], ["incidents", "Incidents", "incidents"], ["runbooks", "Runbooks", "runbooks"], ["diagnosis", "Diagnosis", "diagnosis"], ["experiments", "Experiments", "experiments"], ["notifications", "Notifications", "notifications"]]],
  ["Change", [["configure", "Configure", "configure"], ["revisions", "Revisions", "revisions"], ["rollouts", "Rollouts", "rollouts"], ["environments", "Environments", "environments"], ["delivery", "Delivery", "delivery"]]],
  ["Access", [["consumers", "Keys and budgets", "consumers"], ["audit", "Audit log", "audit"]]],
  ["Try", [["playground", "Playground", "playground"]]],
];

function page({ path, query }: Place): JSX.Element {
  const [first = "", second, third] = path;
  switch (first) {
    case "": return <Overview />;
    case "records": return second ? <RecordPage id={second} /> : <Records query={query} />;
    case "queries": return <Queries query={query} />;
    case "providers": return <Providers />;
    case "caches": return <Caches />;
    case "firewall": return <Firewall query={query} />;
    case "objectives": return second ? (third === "forecast" ? <ForecastPage name={second} /> : <ObjectivePage name={second} />) : <Objectives />;
    case "configure": return <Configure kind={second} name={third} />;
    case "revisions": return second ? <RevisionPage number={Number(second)} /> : <Revisions />;
    case "diff": return <DiffPage from={Number(second)} to={Number(third)} />;
    case "rollouts": return second ? <RolloutPage id={second} /> : <Rollouts />;
    case "environments": return second ? <EnvironmentPage name={second} /> : <Environments />;
    case "delivery": return <Delivery />;
    case "notifications": return <Notifications />;
    case "incidents": return second ? (third === "postmortem" ? <PostmortemPage id={second} /> : <IncidentPage id={second} />) : <Incidents />;
    case "jobs": return second ? <JobPage id={second} /> : <Jobs />;
    case "runbooks": return second ? <RunPage id={second} /> : <Runbooks />;
    case "subscribers": return second ? <SubscriberPage name={second} /> : <Subscribers />;
    case "diagnosis": return <DiagnosisPage query={query} />;
    case "experiments": return <Experiments />;
    case "versions": return <Versions />;
    case "consumers": return <Consumers />;
    case "playground": return <Playground />;
    case "audit": return <Audit />;
    default: return <><Head title="There is no such page" /><Empty title="Nothing is kept at this address"><a href="#/">Go to live traffic</a></Empty></>;
  }
}

function Bar({ open, setOpen }: { open: boolean; setOpen: (open: boolean) => void }) {
  const { me, environments, environment, fileManaged, choose, connection, theme, setTheme, zone, setZone, signOut } = useSession();
  const names = environments.data?.map((one) => one.name) ?? [];
  const words = { open: "Live", connecting: "Connecting", lost: "Reconnecting" } as const;
  return (
    <header class="bar">
      <button type="button" class="icon menu" aria-expanded={open} aria-controls="navigation" onClick={() => setOpen(!open)}>
        <Icon name="menu" /><span class="quiet">Navigation</span>
      </button>
      <a class="brand" href="#/"><img src="/favicon.svg" alt="Tidegate" width="26" height="26" /><span aria-hidden="true">Tidegate</span></a>
      {environment && !fileManaged ? (
        <label class="row grow nowrap">
          <span class="quiet">Environment</span>
          <select class="environment" value={environment.name} onChange={(event) => choose(event.currentTarget.value)}>
            {names.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
      ) : <span class="grow muted nowrap">{fileManaged ? "Configured by a file" : ""}</span>}
      {environment && !fileManaged && <span role="status"><Badge tone={connection === "open" ? "good" : connection === "lost" ? "warn lost" as "warn" : ""}>{words[connection]}</Badge></span>}
      <span class="wide"><Choice label="Times" value={zone === "UTC" ? "UTC" : "local"} options={[["local", "Local"], ["UTC", "UTC"]]} change={(value) => setZone(value === "UTC" ? "UTC" : "")} /></span>
      <label class="wide">
        <span class="quiet">Theme</span>
        <select value={theme} onChange={(event) => setTheme(event.currentTarget.value)}>
          <option value="system">System theme</option><option value="light">Light</option><option value="dark">Dark</option>
        </select>
      </label>
      <span class="wide muted small nowrap" title={`Role: ${me.role}`}>{me.actor} · {me.role}</span>
      {me.authentication === "session" && <button type="button" class="small" onClick={signOut}>Sign out</button>}
    </header>
  );
}

function Side({ open, place, close }: { open: boolean; place: Place; close: () => void }) {
  const { me, zone, theme, setTheme, setZone } = useSession();
  const current = place.path[0] === "diff" ? "revisions" : place.path[0] ?? "";
  return (
    <nav id="navigation" class={`side ${open ? "open" : ""}`} aria-label="Console" onKeyDown={(event) => event.key === "Escape" && close()}>
      {NAVIGATION.map(([group, links]) => (
        <div key={group}>
          <h2>{group}</h2>
          <ul>
            {links.map(([path, name, icon]) => (
              <li key={path}><a href={to(path ? [path] : [])} aria-current={path === current ? "page" : undefined} onClick={close}><Icon name={icon} />{name}</a></li>
            ))}
          </ul>
        </div>
      ))}
      <div class="foot stack">
        {me.version && <p>Version {me.version}</p>}
        <p>Times: {zone === "UTC" ? "UTC" : zoneName(Date.now())}</p>
        <p class="narrow actions">
          <button type="button" class="small" onClick={() => setTheme(theme === "dark" ? "light" : "dark")}>{theme === "dark" ? "Light" : "Dark"} theme</button>
          <button type="button" class="small" onClick={() => setZone(zone === "UTC" ? "" : "UTC")}>{zone === "UTC" ? "Local times" : "UTC"}</button>
        </p>
      </div>
    </nav>
  );
}

/** The console around the page of the current address. */
export function Frame() {
  const place = usePlace();
  const { toasts } = useSession();
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const key = place.path.join("/");
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }, [key]);
  return (
    <div class="frame">
      <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
      <Bar open={open} setOpen={setOpen} />
      <Side open={open} place={place} close={() => setOpen(false)} />
      <main class="main" id="content" tabIndex={-1} ref={main} key={key}>{page(place)}</main>
      <div class="toasts" aria-live="polite">
        {toasts.map((toast) => <div key={toast.id} class={`note ${toast.tone}`}><div>{toast.text}</div></div>)}
      </div>
    </div>
  );
}
