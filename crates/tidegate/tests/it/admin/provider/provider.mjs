// An OpenID provider for tests: the certified implementation `oidc-provider`, on loopback. It prints
// its URL, reads one line `{"callback": URL, "secret": TEXT}`, and prints `ready`. Everybody may sign
// in with any password; `ada` is in the group `deploy`, others are in none. It ends with its input.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";

const server = createServer();
server.listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;
console.log(issuer);

const input = createInterface({ input: process.stdin });
const [line] = await once(input, "line");
const { callback, secret } = JSON.parse(line);
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const provider = new Provider(issuer, {
  clients: [{ client_id: "tidegate", client_secret: secret, redirect_uris: [callback], grant_types: ["authorization_code"], response_types: ["code"] }],
  claims: { profile: ["groups"] },
  cookies: { keys: [randomUUID()] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: id === "ada" ? ["deploy"] : [] }) }),
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig" }] },
  pkce: { required: () => true },
});
server.on("request", provider.callback());
console.log("ready");
await once(input, "close");
process.exit(0);
