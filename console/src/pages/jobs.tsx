// Jobs: work in bulk, how far each is, and what went wrong or twice with its items.

import { call, get, path } from "../api";
import { useLoad } from "../hooks";
import { to } from "../router";
import { useSession } from "../session";
import type { BatchSummary, JobDetail, JobResult, JobSummary, Page } from "../types";
import { Act, Badge, Card, Empty, Head, Load, Table, Time, type Tone } from "../ui/parts";

const TONES: Record<string, Tone> = { succeeded: "good", completed: "good", failed: "bad", expired: "bad", cancelled: "warn", paused: "warn", cancelling: "warn" };

function State({ job }: { job: JobSummary }) {
  return <Badge tone={TONES[job.state] ?? "info"}>{job.state}</Badge>;
}

/** How many of its items have ended, as a bar with the numbers beside it. */
function Bar({ job }: { job: JobSummary }) {
  const done = job.succeeded + job.failed;
  return <><progress aria-label={`Items of ${job.id} that have ended`} value={done} max={Math.max(job.items, 1)} /> {done} of {job.items}{job.failed > 0 && <>, {job.failed} failed</>}</>;
}

function Ends({ job }: { job: JobSummary }) {
  if (job.ended) return <Time at={job.ended} />;
  return job.estimate ? <>likely <Time at={job.estimate} /></> : <span class="muted">not known</span>;
}

/** What somebody does about a job. */
function Wishes({ job, reload }: { job: JobSummary; reload: () => void }) {
  const { can, say } = useSession();
  if (job.is_over || !can("operator")) return null;
  const wish = (what: string, done: string) => call("POST", `/jobs${path(job.id)}/${what}`).then(() => { say(done); reload(); }, (error: unknown) => say(error instanceof Error ? error.message : String(error), "bad"));
  return (
    <span class="actions">
      {job.state === "paused" ? <Act class="small" run={() => wish("resume", "It goes on")}>Resume<span class="quiet"> {job.id}</span></Act> : <Act class="small" run={() => wish("pause", "It pauses")}>Pause<span class="quiet"> {job.id}</span></Act>}
      <Act class="small" run={() => wish("cancel", "It ends with what is under way")}>Cancel<span class="quiet"> {job.id}</span></Act>
    </span>
  );
}

/** Batches that callers handed in; nothing where there are none. One that this gateway runs is among the jobs, too. */
function Batches() {
  const loaded = useLoad("batches", async (signal) => (await get<Page<BatchSummary>>("/batches", { limit: 100 }, signal)).items, 2000);
  if (loaded.data?.length === 0) return null;
  return (
    <Card title="Newest batches" flush>
      <Load of={loaded} lines={3}>
        {(rows) => (
          <Table label="Batches">
            <thead><tr><th scope="col">Batch</th><th scope="col">Consumer</th><th scope="col">Model</th><th scope="col">Run by</th><th scope="col">State</th><th scope="col">Requests</th><th scope="col">Ends</th></tr></thead>
            <tbody>
              {rows.map((one) => {
                const done = one.succeeded + one.failed + one.cancelled + one.expired;
                return (
                  <tr key={one.id}>
                    <th scope="row">{one.is_job ? <a href={to(["jobs", one.id])}>{one.id}</a> : one.id}</th>
                    <td>{one.consumer || <span class="muted">anybody</span>}</td><td class="wrap">{one.model ?? <span class="muted">several</span>}</td>
                    <td>{one.provider ?? "this gateway"}</td><td><Badge tone={TONES[one.state] ?? "info"}>{one.state}</Badge></td>
                    <td class="nowrap"><progress aria-label={`Requests of ${one.id} that have ended`} value={done} max={Math.max(one.requests, 1)} /> {done} of {one.requests}{one.failed > 0 && <>, {one.failed} failed</>}</td>
                    <td class="nowrap">{one.ended ? <Time at={one.ended} /> : one.estimate ? <>likely <Time at={one.estimate} /></> : <>by <Time at={one.expires} /></>}</td>
                  </tr>
                );
              })}
            </tbody>
          </Table>
        )}
      </Load>
    </Card>
  );
}

/** The list. */
export function Jobs() {
  const loaded = useLoad("jobs", async (signal) => (await get<Page<JobSummary>>("/jobs", { limit: 100 }, signal)).items, 2000);
  return (
    <>
      <Head title="Jobs" lead="Work in bulk over the gateway's own routes. Teams share each queue by weight; interactive calls go first." />
      <Card title="Newest jobs" flush>
        <Load of={loaded} lines={5}>
          {(rows) => rows.length === 0 ? <Empty title="No job yet">Submit one with <code>tidegate jobs submit</code>, or send a batch.</Empty> : (
            <Table label="Jobs">
              <thead><tr><th scope="col">Job</th><th scope="col">Name</th><th scope="col">Queue</th><th scope="col">Team</th><th scope="col">State</th><th scope="col">Items</th><th scope="col">Ends</th><th scope="col"><span class="quiet">What you can do</span></th></tr></thead>
              <tbody>
                {rows.map((job) => (
                  <tr key={job.id}>
                    <th scope="row"><a href={to(["jobs", job.id])}>{job.id}</a></th>
                    <td class="wrap">{job.name}</td><td>{job.queue}</td><td>{job.team || <span class="muted">none</span>}</td>
                    <td><State job={job} /></td><td class="nowrap"><Bar job={job} /></td><td class="nowrap"><Ends job={job} /></td>
                    <td class="nowrap"><Wishes job={job} reload={loaded.reload} /></td>
                  </tr>
                ))}
              </tbody>
            </Table>
          )}
        </Load>
      </Card>
      <Batches />
    </>
  );
}

function Results({ id }: { id: string }) {
  const loaded = useLoad(`jobs/${id}/results`, async (signal) => (await get<Page<JobResult>>(`/jobs${path(id)}/results`, { limit: 50 }, signal)).items, 5000);
  return (
    <Card title="First results" flush>
      <Load of={loaded} lines={3}>
        {(rows) => rows.length === 0 ? <Empty title="No result yet">They stand here in the order of items; <code>tidegate jobs results</code> prints all of them.</Empty> : (
          <Table label="First results">
            <thead><tr><th scope="col">Item</th><th scope="col">Status</th><th scope="col">Answer</th></tr></thead>
            <tbody>{rows.map((one) => <tr key={one.item}><th scope="row">{one.item}</th><td><Badge tone={one.succeeded ? "good" : "bad"}>{one.status || one.reason}</Badge></td><td class="wrap">{one.body.slice(0, 300)}</td></tr>)}</tbody>
          </Table>
        )}
      </Load>
    </Card>
  );
}

/** One job. */
export function JobPage({ id }: { id: string }) {
  const loaded = useLoad(`jobs/${id}`, (signal) => get<JobDetail>(`/jobs${path(id)}`, {}, signal), 2000);
  return (
    <>
      <Head title={`Job ${id}`} crumbs={[["Jobs", to(["jobs"])]]} />
      <Load of={loaded}>
        {(of) => (
          <>
            <Card>
              <p><State job={of.job} /> {of.job.name && <strong>{of.job.name}</strong>} <Bar job={of.job} />; ends <Ends job={of.job} />.</p>
              <p class="muted">Calls <code>{of.calls}</code> from queue {of.job.queue}{of.job.consumer && <> for {of.job.consumer}</>}; {of.job.retries} retries, {of.job.repeats} repeats.{of.job.reason && <> {of.job.reason}.</>}</p>
              {of.after.length > 0 && <p>After {of.after.map((one) => <><a href={to(["jobs", one.job])}>{one.job}</a>{one.each && " (item by item)"} </>)}</p>}
              <Wishes job={of.job} reload={loaded.reload} />
            </Card>
            {of.notes.length > 0 && (
              <Card title="What went wrong or twice" flush>
                <Table label="What went wrong or twice">
                  <thead><tr><th scope="col">Time</th><th scope="col">Item</th><th scope="col">Try</th><th scope="col">What</th><th scope="col">Why</th></tr></thead>
                  <tbody>{of.notes.map((note, at) => <tr key={at}><td class="nowrap"><Time at={note.at} /></td><th scope="row">{note.item}</th><td>{note.attempt + 1}</td><td>{note.kind}</td><td class="wrap">{note.reason}</td></tr>)}</tbody>
                </Table>
              </Card>
            )}
            {id.startsWith("job-") && <Results id={id} />}
          </>
        )}
      </Load>
    </>
  );
}
