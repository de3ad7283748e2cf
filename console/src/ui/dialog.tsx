// Asking before something is done: a native dialog, so that focus stays inside and Escape closes it.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { asProblem, type Problem } from "../api";
import { Failed } from "./parts";

interface Props {
  title: string;
  /** What the button says that does it. */
  verb: string;
  danger?: boolean;
  ready?: boolean;
  /** Does it; a failure is shown in the dialog. */
  run: () => Promise<unknown>;
  close: () => void;
  children?: ComponentChildren;
}

/** A question with what it needs to know. */
export function Ask({ title, verb, danger, ready = true, run, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  const submit = (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    run().then(close, (error: unknown) => {
      setProblem(asProblem(error));
      setBusy(false);
    });
  };
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby={id}>
      <form onSubmit={submit}>
        <h2 id={id}>{title}</h2>
        {children}
        {problem && <Failed problem={problem} />}
        <div class="actions">
          <button type="button" onClick={close}>Cancel</button>
          <button type="submit" class={danger ? "danger" : "primary"} disabled={busy || !ready} aria-busy={busy}>{verb}</button>
        </div>
      </form>
    </dialog>
  );
}
