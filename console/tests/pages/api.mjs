// The admin API as a test asks it, beside the browser.

import assert from "node:assert/strict";

/** Calls below `/api/v1` of an admin address. */
export function api(url, key) {
  const call = async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...(key ? { authorization: `Bearer ${key}` } : {}), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : undefined };
  };
  const done = async (...request) => {
    const answer = await call(...request);
    assert.ok(answer.status < 300, `${request[0]} ${request[1]}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const environment = (name) => done("GET", `/environments/${name}`);
  /** Applies a document over what is there, as somebody else than the console. */
  const apply = async (name, document, more = {}) => {
    const { generation } = await environment(name);
    const body = { document, manager: "api", mode: "merge", ...more };
    return done("POST", `/environments/${name}/revisions`, body, { "if-match": `"${generation}"` });
  };
  return { call, done, environment, apply };
}
