// An OpenID provider for tests: the certified implementation `oidc-provider`, on loopback. It prints
// its URL, reads one line with the metadata of the client `tidegate`, and prints `ready`. Everybody
// may sign in with any password; `ada` is in the group `deploy`, others are in none. The client may
// also have tokens of its own: as JWTs for the resource `urn:orders`, else opaque. It ends with its
// input.

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
const client = JSON.parse(line);
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const provider = new Provider(issuer, {
  clients: [{ client_id: "tidegate", grant_types: ["authorization_code"], response_types: ["code"], ...client }],
  claims: { profile: ["groups"] },
  cookies: { keys: [randomUUID()] },
  features: {
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: "orders:read", accessTokenFormat: "jwt", audience: "urn:orders" }),
    },
  },
  scopes: ["openid", "offline_access", "orders:read"],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: id === "ada" ? ["deploy"] : [] }) }),
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig" }] },
  // Back-channel calls go to loopback, which the default refuses as an address of special use.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  pkce: { required: () => true },
  ttl: { AccessToken: 15, Session: 600, Grant: 600, IdToken: 600 },
});
server.on("request", provider.callback());
console.log("ready");
await once(input, "close");
process.exit(0);
