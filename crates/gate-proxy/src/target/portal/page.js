// The developer portal's page: reads the APIs' documents and builds everything by text, never by
// markup from a document. Requests go out only when somebody presses Send.
"use strict";

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const DEPTH_MAX = 8;

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

async function load(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(path + ": " + answer.status);
  return answer.json();
}

// Follows references inside the document; circles end after some steps.
function follow(root, value) {
  for (let steps = 0; value && typeof value.$ref === "string" && steps < 32; steps += 1) {
    if (!value.$ref.startsWith("#/")) return {};
    value = value.$ref.slice(2).split("/").reduce((at, key) => {
      const name = decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~");
      return at === undefined || at === null ? undefined : at[name];
    }, root);
  }
  return value || {};
}

// An example of a schema, as far as it says one.
function example(root, schema, depth = 0) {
  const at = follow(root, schema);
  if (at.example !== undefined) return at.example;
  if (Array.isArray(at.examples) && at.examples.length) return at.examples[0];
  if (at.default !== undefined) return at.default;
  if (at.const !== undefined) return at.const;
  if (Array.isArray(at.enum)) return at.enum[0];
  if (depth > DEPTH_MAX) return null;
  if (at.allOf) {
    const parts = at.allOf.map((part) => example(root, part, depth + 1));
    return parts.every((part) => part && typeof part === "object") ? Object.assign({}, ...parts) : parts[0];
  }
  const some = at.oneOf || at.anyOf;
  if (some) return example(root, some[0], depth + 1);
  const type = Array.isArray(at.type) ? at.type[0] : at.type;
  if (type === "object" || at.properties) {
    const made = {};
    for (const [name, property] of Object.entries(at.properties || {})) {
      if (!follow(root, property).readOnly) made[name] = example(root, property, depth + 1);
    }
    return made;
  }
  if (type === "array") return [example(root, at.items, depth + 1)];
  if (type === "integer" || type === "number") return at.minimum || 0;
  if (type === "boolean") return false;
  return type === "null" ? null : "text";
}

function operations(root) {
  const found = [];
  for (const [path, given] of Object.entries(root.paths || {})) {
    const item = follow(root, given);
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const own = (operation.parameters || []).map((one) => follow(root, one));
      const known = new Set(own.map((one) => one.in + " " + one.name));
      const shared = (item.parameters || []).map((one) => follow(root, one));
      const parameters = own.concat(shared.filter((one) => !known.has(one.in + " " + one.name)));
      found.push({ path, method, operation, parameters });
    }
  }
  return found;
}

function table(heads, rows) {
  const made = element("table");
  made.append(element("tr", "", ...heads.map((head) => element("th", head))));
  for (const row of rows) {
    made.append(element("tr", "", ...row.map((cell) => (cell instanceof Node ? element("td", "", cell) : element("td", String(cell))))));
  }
  return made;
}

function field(form, name, text) {
  const input = element("input");
  input.placeholder = text || "";
  input.autocomplete = "off";
  form.append(element("label", name, input));
  return input;
}

// A form that sends one request.
function tryIt(api, root, { path, method, operation, parameters }) {
  const form = element("form");
  form.append(element("h3", "Try it"));
  const credential = field(form, "Header with your key", "Authorization: Bearer ...");
  const inputs = parameters.map((one) => [one, field(form, one.name + " (" + one.in + ")" + (one.required ? " *" : ""), one.description)]);
  const content = follow(root, operation.requestBody).content || {};
  const type = Object.keys(content)[0];
  let body;
  if (type) {
    body = element("textarea");
    const shown = example(root, content[type].schema);
    body.value = type.includes("json") ? JSON.stringify(shown, null, 2) : "";
    form.append(element("label", "Body (" + type + ")", body));
  }
  const output = element("pre");
  output.hidden = true;
  form.append(element("button", "Send"), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let target = path;
    const query = new URLSearchParams();
    const headers = new Headers();
    output.hidden = false;
    try {
      for (const [one, input] of inputs) {
        if (one.in === "path") target = target.replaceAll("{" + one.name + "}", encodeURIComponent(input.value));
        else if (input.value && one.in === "query") query.append(one.name, input.value);
        else if (input.value && one.in === "header") headers.set(one.name, input.value);
      }
      const colon = credential.value.indexOf(":");
      if (colon > 0) headers.set(credential.value.slice(0, colon).trim(), credential.value.slice(colon + 1).trim());
      const given = body && body.value && method !== "get" && method !== "head" ? body.value : undefined;
      if (given !== undefined) headers.set("Content-Type", type);
      const origin = api.host && api.host !== location.hostname ? "https://" + api.host : "";
      const text = query.toString();
      const answer = await fetch(origin + api.base + target + (text ? "?" + text : ""), {
        method: method.toUpperCase(), headers, body: given, credentials: "same-origin",
      });
      const fields = [...answer.headers].map(([name, value]) => name + ": " + value).join("\n");
      output.textContent = answer.status + " " + answer.statusText + "\n" + fields + "\n\n" + (await answer.text());
    } catch (error) {
      output.textContent = String(error);
    }
  });
  return form;
}

function shown(api, root, one) {
  const { path, method, operation, parameters } = one;
  const title = element("summary", "", element("span", method.toUpperCase()), element("code", api.base + path), document.createTextNode("  " + (operation.summary || "")));
  title.firstChild.className = "method";
  if (operation.deprecated) title.childNodes[1].className = "deprecated";
  const inside = element("div");
  const box = element("details", "", title, inside);
  box.addEventListener("toggle", () => {
    if (!box.open || inside.childNodes.length) return;
    if (operation.deprecated) inside.append(element("p", "Deprecated: it may go away."));
    if (operation.description) inside.append(element("p", operation.description));
    if (parameters.length) {
      inside.append(element("h3", "Parameters"), table(["Name", "In", "Required", "Schema", "Description"], parameters.map((parameter) => [
        parameter.name, parameter.in, parameter.required ? "yes" : "no",
        element("code", JSON.stringify(follow(root, parameter.schema))), parameter.description || "",
      ])));
    }
    const content = follow(root, operation.requestBody).content || {};
    for (const [type, media] of Object.entries(content)) {
      inside.append(element("h3", "Body: " + type), element("pre", JSON.stringify(follow(root, media.schema), null, 2)));
    }
    inside.append(element("h3", "Answers"), table(["Status", "Description", "Content"], Object.entries(operation.responses || {}).map(([status, given]) => {
      const response = follow(root, given);
      return [status, response.description || "", Object.keys(response.content || {}).join(", ")];
    })));
    inside.append(tryIt(api, root, one));
  });
  return box;
}

async function open(api) {
  const place = document.getElementById("api");
  const root = await load("apis/" + encodeURIComponent(api.name) + "/openapi.json");
  const link = element("a", "OpenAPI document");
  link.href = "apis/" + encodeURIComponent(api.name) + "/openapi.json";
  place.replaceChildren(element("h2", api.title + " " + api.version), element("p", api.description || ""), element("p", "", link));
  place.append(...operations(root).map((one) => shown(api, root, one)));
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-current", String(button.dataset.name === api.name));
  }
}

function date(seconds) {
  return seconds ? new Date(seconds * 1000).toISOString() : "never";
}

async function me() {
  const place = document.getElementById("me");
  const known = await load("me.json");
  if (!known.consumer) {
    place.append(element("p", "You are not signed in: keys and usage are shown to callers whom this route authenticates."));
    return;
  }
  place.append(element("h2", known.consumer + (known.team ? " (" + known.team + ")" : "")));
  place.append(table(["Key", "SHA-256 begins with", "Expires"], known.keys.map((key) => [key.name, key.sha256_prefix + "…", key.expires || "never"])));
  place.append(table(["API", "Requests", "Broke the contract", "Last"], known.usage.map((one) => [one.api, one.requests, one.broken, date(one.last_unix_s)])));
  const note = (text) => {
    place.append(element("p", text));
    place.lastChild.className = "note";
  };
  note("Counted on this gateway since it started.");
  const shared = known.usage.filter((one) => one.all_gateways);
  if (!shared.length) return;
  place.append(table(["API", "Requests", "Failed", "Last"], shared.map((one) => [one.api, one.all_gateways.requests, one.all_gateways.failed, date(one.all_gateways.last_unix_s)])));
  note("Counted on all gateways in the last " + known.days + " days, a few seconds late.");
}

async function start() {
  const apis = await load("apis.json");
  const list = document.getElementById("apis");
  for (const api of apis) {
    const button = element("button", api.title);
    button.dataset.name = api.name;
    button.addEventListener("click", () => { location.hash = encodeURIComponent(api.name); });
    list.append(button);
  }
  // Each API has an address of its own, behind the mark.
  const chosen = () => apis.find((api) => "#" + encodeURIComponent(api.name) === location.hash) || apis[0];
  addEventListener("hashchange", () => open(chosen()).catch(failed));
  if (apis.length) await open(chosen());
  await me();
}

function failed(error) {
  document.getElementById("api").append(element("p", String(error)));
}

start().catch(failed);
