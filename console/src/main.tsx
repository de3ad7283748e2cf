// Where the console begins: who is there, then the frame with its pages.

import { render } from "preact";
import { Frame } from "./frame";
import { useDoor, SessionProvider } from "./session";
import { call } from "./api";
import { SignIn } from "./pages/sign-in";
import { Failed } from "./ui/parts";
import "./style.css";

function Console() {
  const [door, ask] = useDoor();
  switch (door.state) {
    case "asking":
      return <main class="splash"><h1>Tidegate</h1><p>Loading the console…</p></main>;
    case "out":
      return <SignIn entered={ask} />;
    case "failed":
      return <main class="door"><div class="card"><h1>Tidegate</h1><Failed problem={door.problem} again={ask} /></div></main>;
    case "in": {
      const signOut = () => void call("DELETE", "/session").catch(() => undefined).then(ask);
      return <SessionProvider me={door.me} signOut={signOut}><Frame /></SessionProvider>;
    }
  }
}

const root = document.getElementById("console");
if (root) {
  root.replaceChildren();
  render(<Console />, root);
}
