// Signing in: at the identity provider, which the browser is led to and back from, or with a key or a
// token. Either becomes a session whose cookie scripts cannot read. Nothing is kept by the page.

import { useEffect, useState } from "preact/hooks";
import { asProblem, call, get, type Problem } from "../api";
import { useTitle } from "../hooks";
import { parse } from "../router";
import { Failed, Field, Note } from "../ui/parts";

/** How a session can be begun. */
interface Means { keys: boolean; tokens: boolean; oidc: boolean }

/** Why the way back from the identity provider led here, by the API's code. */
const WHY: Record<string, string> = {
  forbidden: "You are known, but none of your groups may use this gateway.",
  bad_origin: "The sign-in took too long or was begun in another browser. Try again.",
  store_unavailable: "The identity provider or the gateway's store cannot be reached now. Try again in a moment.",
};

/** What to say of a sign-in that failed; nothing where none did. */
function failure(): string | undefined {
  const code = parse(location.hash).query.get("sign_in");
  return code === null ? undefined : WHY[code] ?? "The identity provider did not let you in. Try again.";
}

/** The page for those who are not signed in. */
export function SignIn({ entered }: { entered: () => void }) {
  useTitle("Sign in");
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [failed] = useState(failure);
  const [means, setMeans] = useState<Means>();
  useEffect(() => {
    // Without an answer there is still the key.
    get<Means>("/session").then(setMeans, () => undefined);
    if (failed !== undefined) history.replaceState(null, "", "#/");
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await call("POST", "/session", { body: { key: key.trim() } });
      setKey("");
      entered();
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main class="door">
      <div class="card">
        <div class="brand"><img src="/favicon.svg" alt="" width="26" height="26" /><span>Tidegate</span></div>
        <h1>Sign in</h1>
        {(failed !== undefined || means?.oidc) && (
          <div class="stack">
            {failed !== undefined && <Note tone="bad">{failed}</Note>}
            {means?.oidc && <a class="button primary" href="/api/v1/session/oidc">Sign in at your identity provider</a>}
          </div>
        )}
        <form class="stack" onSubmit={(event) => void submit(event)}>
          <Field label="Key or token" hint="A key of the admin API, or a token (JWT) of your identity provider.">
            {(id, described) => <input id={id} aria-describedby={described} name="key" type="password" autocomplete="current-password" required autofocus value={key} onInput={(event) => setKey(event.currentTarget.value)} />}
          </Field>
          {problem && <Failed problem={problem.status === 401 ? Object.assign(problem, { title: "This key or token is not valid" }) : problem} />}
          <button type="submit" class={means?.oidc ? "" : "primary"} disabled={busy || key.trim() === ""}>Sign in</button>
        </form>
        <p class="small muted">The session ends when you sign out or when the key expires.</p>
      </div>
    </main>
  );
}
