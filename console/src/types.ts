// What the admin API says, as far as the console reads it. The committed description is
// docs/reference/openapi.json; a test compares the names used here with it.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

/** A set of resources: kind, name, content. */
export type Document = Record<string, Record<string, Json>>;

export interface Page<T> { items: T[]; next?: string | null }

export interface Me {
  actor: string;
  role: "viewer" | "operator" | "admin";
  authentication: "none" | "key" | "session" | "oidc";
  environments?: string[] | null;
  teams?: string[] | null;
  /** Whether an identity provider is configured. */
  oidc?: boolean;
  version?: string;
  /** The environment that this gateway follows; none when a file rules. */
  environment?: string | null;
}

export interface Finding {
  code: string;
  severity: "error" | "warning" | "info";
  path: string;
  message: string;
  expected?: string | null;
  help?: string | null;
}

export interface FieldChange { path: string; before?: Json; after?: Json }

export interface ResourceChange {
  kind: string;
  name: string;
  action: "create" | "update" | "delete";
  fields: FieldChange[];
}

export interface Example { record: string; request: string; before: string; after: string }

export interface EffectChange {
  what: "route" | "version" | "verdict" | "provider" | "cost";
  count: number;
  share: number;
  examples: Example[];
}

export interface Effect {
  records: number;
  from?: string | null;
  to?: string | null;
  changed: EffectChange[];
  unknown: { count: number; share: number; reads: string[] };
  unchanged: number;
}

export interface Plan {
  base?: number | null;
  digest: string;
  changes: ResourceChange[];
  findings: Finding[];
  effect?: Effect | null;
  verdict: "allowed" | "forbidden";
}

export interface PlanSummary { created: number; updated: number; deleted: number; findings: number }

export interface Revision {
  number: number;
  digest: string;
  parent?: number | null;
  environment: string;
  author: string;
  cause: "apply" | "edit" | "rollback" | "promote" | "auto_rollback" | "revert" | "rotate";
  message: string;
  source_commit?: string | null;
  created: string;
  plan?: PlanSummary | null;
  checks: Record<string, string>;
}

export interface RevisionDocument { revision: Revision; document: Document; managers: Record<string, string> }

export interface Diff { from: number; to: number; changes: ResourceChange[] }

export interface Applied { revision?: Revision | null; plan: Plan; environment: Environment; rollout?: string | null }

export interface Environment {
  name: string;
  generation: number;
  revision?: number | null;
  stable?: number | null;
  confirm_until?: string | null;
  candidate?: { revision: number; rollout: string } | null;
  variables: Record<string, string>;
  lock?: { holder: string; reason: string; since: string } | null;
  promotes_to?: string | null;
}

export interface Resource { kind: string; name: string; manager: string; resource: Json }

export interface Ack {
  instance: string;
  environment: string;
  revision: number;
  digest: string;
  state: "applied" | "refused";
  reason?: string | null;
  at: string;
}

export interface Evidence {
  slice: string;
  signal: string;
  control: { total: number; bad: number };
  candidate: { total: number; bad: number };
  e_value: number;
}

export interface Rollout {
  id: string;
  environment: string;
  candidate: number;
  control: number;
  state: "running" | "held" | "promoted" | "rolled_back";
  share: number;
  step: number;
  started: string;
  updated?: string | null;
  evidence: Evidence[];
  reason: string;
  /** The name of its `rollouts` resource, or `inline`. */
  strategy: string;
  settings: Json;
}

export interface AuditEntry {
  sequence: number;
  at: string;
  actor: string;
  role: string;
  action: string;
  subject: string;
  outcome: "done" | "refused" | "failed";
  detail: string;
  previous_hash: string;
  hash: string;
}

export interface AuditVerification { intact: boolean; entries: number; broken_at?: number | null; head?: string | null }

export interface Quantiles { p50: number; p90: number; p99: number }

export interface Rates {
  requests: number;
  per_second: number;
  errors: number;
  error_share: number;
  latency_ms: Quantiles;
  first_token_ms: Quantiles;
  tokens_in: number;
  tokens_out: number;
  /** US dollars as decimal text. */
  cost: string;
}

export interface LivePoint { at: string; seconds: number; rates: Rates }

export interface Live {
  at: string;
  window_s: number;
  /** Since when exchanges are counted. */
  since: string;
  /** Exchanges of the window that are in no figure. */
  missed: number;
  total: Rates;
  series: LivePoint[];
  routes: Record<string, Rates>;
  models: Record<string, Rates>;
  providers: Record<string, Rates>;
  upstreams: Record<string, Rates>;
  consumers: Record<string, Rates>;
  revisions: Record<string, Rates>;
}

export interface ProviderHealth {
  name: string;
  kind: string;
  vendor: string;
  state: "unknown" | "healthy" | "degraded" | "down";
  available: number;
  endpoints: number;
  in_flight: number;
  last_error?: string | null;
  last_failure?: string | null;
  last_success?: string | null;
  rates: Rates;
  addresses: AddressHealth[];
  credentials: CredentialHealth[];
  targets: TargetHealth[];
}

export interface AddressHealth {
  address: string;
  healthy: boolean;
  ejected_until?: string | null;
  failures: number;
  in_flight: number;
  last_error?: string | null;
  last_failure?: string | null;
  last_success?: string | null;
}

export interface CredentialHealth {
  name: string;
  resting_until?: string | null;
  last_error?: string | null;
  last_failure?: string | null;
}

export interface TargetHealth {
  model: string;
  used_by: string[];
  resting_until?: string | null;
  failures: number;
  last_error?: string | null;
  last_failure?: string | null;
  last_success?: string | null;
  in_flight: number;
  limit?: number | null;
  waiting?: number | null;
  first_token_ms?: number | null;
  whole_ms?: number | null;
  headroom: Headroom[];
}

export interface Headroom {
  credential: string;
  resting_until?: string | null;
  requests_left?: number | null;
  tokens_left?: number | null;
  tokens_until?: string | null;
  last_error?: string | null;
}

export interface RecordSummary {
  id: string;
  at: string;
  method: string;
  host: string;
  path: string;
  route?: string | null;
  consumer?: string | null;
  team?: string | null;
  model?: string | null;
  provider?: string | null;
  status: number;
  fault?: string | null;
  duration_ms: number;
  revision?: number | null;
  arm?: string | null;
  trace?: string | null;
  tokens_in?: number | null;
  tokens_out?: number | null;
  cost?: string | null;
}

export interface Moment { at_ms: number; what: string; detail: string }

export interface Attempt { target: string; at_ms: number; duration_ms: number; status?: number | null; fault?: string | null }

export interface RecordDetail { record: RecordSummary; timeline: Moment[]; attempts: Attempt[]; more: JsonObject }

export interface UsageRow {
  day: string;
  consumer?: string | null;
  team?: string | null;
  provider?: string | null;
  model?: string | null;
  key?: string | null;
  asked?: string | null;
  route?: string | null;
  tag?: string | null;
  revision?: number | null;
  calls: number;
  unsettled: number;
  unpriced: number;
  tokens_in: number;
  tokens_out: number;
  cost: string;
}

export interface SpendPart { column: string; name: string; spent: number; expected: number; share: number; is_new: boolean }

export interface SpendSuspicion {
  of: string;
  name: string;
  since: string;
  since_ms: number;
  until?: string | null;
  hour: string;
  spent: number;
  expected: number;
  high: number;
  text: string;
  parts: SpendPart[];
}

export interface ForgetStep { place: string; state: string; count: number; note: string }

export interface Forgetting { consumer: string; state: string; begun: string; ended?: string | null; steps: ForgetStep[] }

export interface BudgetState {
  name: string;
  of?: string | null;
  period: string;
  unit: string;
  limit: string;
  spent: string;
  reserved: string;
  share: number;
}

export interface VersionCaller {
  consumer?: string | null;
  routes: string[];
  calls: number;
  failed: number;
  refused: number;
  last: string;
}

export interface VersionState {
  api: string;
  version: string;
  stage: string;
  deprecated_at?: string | null;
  sunset_at?: string | null;
  paused_until?: string | null;
  calls: number;
  callers: VersionCaller[];
}

export interface PlaygroundReply {
  status: number;
  headers: Record<string, string>;
  body: string;
  cut: boolean;
  duration_ms: number;
}

/** A cache of answers of the gateway, since its start. */
export interface CacheState {
  name: string;
  entries: number;
  bytes: number;
  hits: number;
  misses: number;
  /** Between 0 and 1. */
  hit_ratio: number;
  stale: number;
  collapsed: number;
  disk_entries: number;
  disk_bytes: number;
  stored: number;
  evicted: number;
  oversized: number;
  purged: number;
}

/** What a purge did on the gateway that was asked. */
export interface Purged {
  entries: number;
}

/** A rule of the firewall that matched something. */
export interface WafMatch {
  at: string;
  route?: string | null;
  rule: number;
  message: string;
  severity: string;
  phase: number;
  variable: string;
  /** Letters as `a`, digits as `9`. */
  shape: string;
  action: string;
  inbound_score: number;
  outbound_score: number;
  status: number;
  consumer?: string | null;
  client: string;
  trace?: string | null;
}

/** An exclusion that would have prevented some of it. */
export interface WafSuggestion {
  route: string;
  rule: number;
  message: string;
  target: string;
  matches: number;
  refused: number;
  callers: number;
  shapes: string[];
  broad: boolean;
  yaml: string;
}

/** What a label of an alert must be. */
export interface LabelMatch {
  label: string;
  value: string;
  is_not: boolean;
}

/** Alerts that are not said for a while. */
export interface Silence {
  id: string;
  matchers: LabelMatch[];
  until: string;
  by: string;
  reason: string;
}

/** Alerts that are said together. */
export interface NoticeGroup {
  notification: string;
  thread: string;
  labels: Record<string, string>;
  alerts: { labels: Record<string, string>; text: string; since: string; on: boolean; silenced: boolean }[];
  said?: string | null;
  step: number;
  acknowledged: boolean;
}

/** Everything about notifications. */
export interface Notices {
  /** Whether it is kept in the store. */
  stored: boolean;
  receivers: string[];
  on_call: { rotation: string; receiver?: string | null }[];
  groups: NoticeGroup[];
  deliveries: { key: string; receiver: string; made: string; attempts: number; problem?: string | null }[];
  silences: Silence[];
  lost: number;
  pending: number;
}

/** A figure with its count and 95 % interval. */
export interface DoraFigure {
  value?: number | null;
  count: number;
  interval?: [number, number] | null;
}

/** DORA's five, of a service or a team. */
export interface DoraMetrics {
  lead_time_s: DoraFigure;
  deployments_per_day: DoraFigure;
  change_fail_rate: DoraFigure;
  recovery_s: DoraFigure;
  rework_rate: DoraFigure;
  unrecovered: number;
}

/** Delivery metrics by name. */
export interface DoraReport {
  from: string;
  until: string;
  services: Record<string, DoraMetrics>;
  teams: Record<string, DoraMetrics>;
  failures_from: string;
}

/** What something that can run out is going to be. */
export interface Forecast {
  what: string;
  name: string;
  unit: string;
  now: number;
  limit?: number | null;
  passes?: string | null;
  may_pass?: string | null;
  days: { day: string; expected: number; low: number; high: number }[];
  silent?: string | null;
}

/** How a promise stands. */
export interface ObjectiveState {
  name: string;
  service: string;
  description: string;
  runbook?: string | null;
  scope: Record<string, string>;
  indicator: string;
  target: number;
  window: string;
  total: number;
  bad: number;
  budget_left?: number | null;
  burn?: number | null;
  burns: { window: string; burn: number }[];
  alerts: { alert: string; since_ms: number }[];
  forecast?: { soonest_s: number; latest_s?: number | null } | null;
  changes_need?: number | null;
  places: { text: string; explained: number }[];
  durations?: { count: number; quantiles: { quantile: number; seconds: number }[]; error: number; is_stored: boolean } | null;
  is_stored: boolean;
}

/** An incident, as a list shows it. */
export interface IncidentSummary {
  id: string;
  life: "detected" | "triaged" | "mitigated" | "resolved" | "reviewed";
  severity?: number | null;
  headline: string;
  opening: string;
  experiment?: string | null;
  began: string;
  opened: string;
  recovered?: string | null;
  objectives: string[];
  routes: string[];
  revisions: string[];
  signals: number;
  total: number;
  bad: number;
  consumers: number;
  budget_spent: number;
  cost: string;
}

/** All that is known of an incident. */
export interface IncidentDetail {
  incident: IncidentSummary;
  is_durable: boolean;
  facts: { id: number; at: string; kind: string; text: string; link: string; log_evidence?: number | null }[];
  facts_left_out: number;
  hypotheses: { number: number; text: string; explained: number; standing: "open" | "supported" | "refuted"; facts: number[] }[];
  roles: Record<string, string>;
  updates: { at: string; life: string; text: string }[];
  series: { at: string; total: number; bad: number }[];
  similar: { id: string; share: number; common: string[] }[];
  postmortem?: string | null;
  game_day?: GameDay | null;
}

/** A failure on purpose, in the gateway that is asked. */
export interface Experiment {
  name: string;
  inject: string;
  scope: Record<string, string>;
  state: "awaited" | "running" | "ended" | "stopped" | "stopped_by_guard" | "stopped_by_budget";
  began?: string | null;
  ends?: string | null;
  active: number;
  strikes: number;
  spared: number;
  seen: number;
  bad: number;
}

/** What was noticed of an experiment. */
export interface GameDay {
  incident: string;
  plan: string;
  experiment: string;
  inject: string;
  scope: Record<string, string>;
  began: string;
  ended?: string | null;
  suspected_s?: number | null;
  paged_s?: number | null;
  said: string;
  rank?: number | null;
  mitigated_s?: number | null;
  recovered_s?: number | null;
  passed?: boolean | null;
}

/** What people add to the facts of an incident. */
export interface PostmortemInput {
  overview: string;
  contributing: string[];
  well: string[];
  badly: string[];
  actions: { text: string; team: string; state: string; due?: string | null }[];
}

/** A postmortem. */
export interface Postmortem {
  incident: string;
  state: string;
  narrative: PostmortemInput;
  markdown: string;
  html: string;
  objections: { line: number; words: string; advice: string }[];
}

/** Something to be done after an incident. */
export interface ActionItem {
  incident: string;
  number: number;
  text: string;
  team: string;
  state: "open" | "done" | "dropped";
  due?: string | null;
}

/** The public status page. */
export interface StatusPreview {
  title: string;
  html: string;
  is_served: boolean;
}

/** Where it fails, and what may have to do with it. */
export interface Diagnosis {
  at: string;
  answer: string;
  from: string;
  until: string;
  has_onset: boolean;
  total: number;
  bad: number;
  answers: { text: string; total: number; bad: number; expected: number; explained: number }[];
  dimensions: { name: string; values: { value: string; total: number; bad: number; total_before: number; bad_before: number }[]; more: number }[];
  findings: { kind: string; subject: string; state: "bad" | "doubtful" | "unknown" | "well"; text: string; link: string }[];
  samples: RecordSummary[];
  dependencies: { from: string; to: string; is_down: boolean }[];
}

/** A runbook of the configuration in force. */
export interface RunbookState {
  name: string;
  about: string;
  steps: string[];
  triggers: string[];
  needs_approval: boolean;
  last?: RunSummary | null;
}

/** A run of a runbook in short. */
export interface RunSummary {
  id: string;
  runbook: string;
  state: string;
  is_over: boolean;
  cause: string;
  incident?: string | null;
  dry_run: boolean;
  began: string;
  ended?: string | null;
}

/** A run with all that is known of it. */
export interface RunDetail {
  run: RunSummary;
  key: string;
  steps: string[];
  done: number;
  question?: string | null;
  answers: string[];
  actions: string[];
  lines: { at: string; of: string; text: string }[];
  lines_left_out: number;
}

/** An action in force. */
export interface ActState {
  id: string;
  text: string;
  since: string;
  until: string;
  by: string;
  reason: string;
  run?: string | null;
}

/** A job in short. */
export interface JobSummary {
  id: string;
  name: string;
  queue: string;
  team: string;
  consumer: string;
  state: string;
  is_over: boolean;
  reason: string;
  items: number;
  started: number;
  succeeded: number;
  failed: number;
  retries: number;
  repeats: number;
  submitted: string;
  began?: string | null;
  ended?: string | null;
  estimate?: string | null;
}

/** A job with what went wrong or twice with its items. */
export interface JobDetail {
  job: JobSummary;
  after: { job: string; each: boolean }[];
  calls: string;
  notes: { at: string; item: number; attempt: number; kind: string; reason: string }[];
}

/** A batch that a caller handed in. */
export interface BatchSummary {
  id: string;
  api: string;
  endpoint: string;
  consumer: string;
  model?: string | null;
  provider?: string | null;
  is_job: boolean;
  state: string;
  is_over: boolean;
  requests: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  expired: number;
  created: string;
  ended?: string | null;
  estimate?: string | null;
  expires: string;
}

/** What became of an item. */
export interface JobResult {
  item: number;
  succeeded: boolean;
  status: number;
  request: string;
  reason: string;
  body: string;
}

/** A subscriber of the configuration in force. */
export interface SubscriberState {
  name: string;
  about?: string | null;
  target: string;
  state: string;
  paused?: { by: string; reason: string; since: string } | null;
  place: number;
  lag: number;
  open: number;
  failing: number;
  problem?: string | null;
  delivered: number;
  failed: number;
  dead: number;
  repeated: number;
  dead_letters: number;
  delivered_at?: string | null;
  replays: ReplayState[];
}

/** A subscriber that was started again at an earlier place, beside itself. */
export interface ReplayState {
  number: number;
  from: number;
  until: number;
  place: number;
  delivered: number;
  open: number;
  state: string;
  by: string;
  reason: string;
  began: string;
}

/** A subscriber with what it has before it. */
export interface SubscriberDetail {
  subscriber: SubscriberState;
  failures: { place: number; attempts: number; reason: string; next: string }[];
}

/** An event that could not be delivered. */
export interface DeadLetter {
  place: number;
  key: string;
  kind: string;
  reason: string;
  attempts: number;
  at: string;
  redriven: boolean;
}

/** What the lake answers to a query. */
export interface QueryAnswer {
  columns: string[];
  rows: (string | number | null)[][];
  truncated: boolean;
  rows_read: number;
  duration_ms: number;
}

/** A saved query. */
export interface SavedQueryState {
  name: string;
  description?: string | null;
  sql: string;
  parameters: { name: string; type: string; default?: string | null; description?: string | null }[];
  rows_max: number;
  plot?: string | null;
}

/** A data product with how fresh it is. */
export interface DataProductState {
  name: string;
  table: string;
  owner: string;
  description?: string | null;
  from: string;
  columns: { name: string; type: string; meaning: string; required: boolean }[];
  readers: string[];
  keep_ms?: number | null;
  fresh_within_ms?: number | null;
  delay_ms?: number | null;
  late: boolean;
  breaches: number;
  newest?: string | null;
  broken: string[];
}
