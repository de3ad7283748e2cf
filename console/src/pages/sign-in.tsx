// Signing in: a key, or a token of the identity provider, becomes a session whose cookie scripts
// cannot read. Neither is kept by the page.

import { useState } from "preact/hooks";
import { asProblem, call, type Problem } from "../api";
import { useTitle } from "../hooks";
import { Failed, Field } from "../ui/parts";

/** The page for those who are not signed in. */
export function SignIn({ entered }: { entered: () => void }) {
  useTitle("Sign in");
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
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
        <form class="stack" onSubmit={(event) => void submit(event)}>
          <Field label="Key or token" hint="A key of the admin API, or a token (JWT) of your identity provider.">
            {(id, described) => <input id={id} aria-describedby={described} name="key" type="password" autocomplete="current-password" required autofocus value={key} onInput={(event) => setKey(event.currentTarget.value)} />}
          </Field>
          {problem && <Failed problem={problem.status === 401 ? Object.assign(problem, { title: "This key or token is not valid" }) : problem} />}
          <button type="submit" class="primary" disabled={busy || key.trim() === ""}>Sign in</button>
        </form>
        <p class="small muted">The session ends when you sign out or when the key expires.</p>
      </div>
    </main>
  );
}
