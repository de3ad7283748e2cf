// A new key, made in the browser: what is sent and kept is only its hash. The key is shown once.

import { useState } from "preact/hooks";
import { useSession } from "../session";
import { Note } from "../ui/parts";

/** What every key begins with, as `tidegate keys new` makes them. */
const PREFIX = "tg_";

function hex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** 256 random bits as text, and the SHA-256 of that text. */
async function make(): Promise<{ key: string; sha256: string }> {
  const bits = crypto.getRandomValues(new Uint8Array(32));
  const text = btoa(String.fromCharCode(...bits)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const key = `${PREFIX}${text}`;
  return { key, sha256: hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key))) };
}

/** Offers to make a key, whose hash becomes the value of the field. */
export function NewKey({ take }: { take: (sha256: string) => void }) {
  const { say } = useSession();
  const [key, setKey] = useState("");
  // Browsers hash only on loopback and over TLS.
  if (!isSecureContext) return null;
  const press = async () => {
    const made = await make();
    setKey(made.key);
    take(made.sha256);
  };
  if (key === "") return <p><button type="button" class="small" onClick={() => void press()}>Make a new key</button></p>;
  return (
    <Note tone="warn" live title="Copy the key now: it is not shown again">
      <p><code class="wrap">{key}</code></p>
      <p><button type="button" class="small" onClick={() => navigator.clipboard.writeText(key).then(() => say("Copied"), () => say("The browser did not allow copying", "bad"))}>Copy the key</button></p>
    </Note>
  );
}
