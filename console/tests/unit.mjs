// Tests of what is pure: documents as YAML, forms' view of the schema, addresses, figures. The
// sources are bundled as the browser gets them: `node tests/unit.mjs REFERENCE`, the folder of the
// committed schemas.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { load, unload } from "./load.mjs";

async function check(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error?.stack ?? error}`);
    process.exitCode = 1;
  }
}

const { yaml } = await load("ui/yaml.tsx");
const model = await load("schema/model.ts");
const format = await load("format.ts");
const router = await load("router.ts");
const reference = process.argv[2] ?? "../docs/reference";
const read = (name) => JSON.parse(readFileSync(join(reference, name), "utf8"));
const schema = read("schema.json");

await check("a document as YAML is read back as it was", () => {
  const hard = ["", " ", "yes", "No", "null", "~", "1", "1.5", "0x1f", "1e3", "2026-11-22", "a: b", "a #b", "- a", "# a", "${vars.HOST}", "/orders/{id}", "*.example.com", "!x", "&x", "|", ">", "'", '"', "\\", "a\nb", "ü", "100/s", "5f2c", "=", "<<", "@a", "`a`", "%a", "a\u0000b", "\u2028"];
  const values = [null, true, false, 0, -1, 1.5, [], {}, [[]], [{}], [[1, [2, {}]], { a: [] }], { a: { b: { c: [] } } }, ...hard, hard, Object.fromEntries(hard.map((key) => [key, key]))];
  for (const value of values) {
    const text = yaml({ value });
    assert.deepEqual(parse(text), { value }, text);
  }
});

await check("amounts are summed to the last digit", () => {
  assert.equal(format.sum([]), "0");
  assert.equal(format.sum(["0.000000000001", "12.5", "-0.1", "3"]), "15.400000000001");
  assert.equal(format.sum(["0.1", "0.2"]), "0.3");
  assert.equal(format.sum(["-2", "1.5"]), "-0.5");
  assert.equal(format.sum(Array(1000).fill("9007199254740.993")), "9007199254740993");
});

await check("every part of the schema has a form", () => {
  const kinds = model.kinds(schema);
  assert.ok(kinds.length >= 10, `${kinds.length} kinds`);
  const open = [];
  const seen = new Set();
  const walk = (node, at) => {
    const resolved = model.resolve(schema, node);
    const key = JSON.stringify(resolved);
    if (seen.has(key)) return;
    seen.add(key);
    const shape = model.shape(schema, resolved);
    // A node that says nothing of its value is edited as JSON; one that says something is understood.
    const says = ["type", "oneOf", "anyOf", "allOf", "$ref", "properties"].some((word) => word in resolved);
    if (shape.is === "any" && says) open.push(at);
    if (shape.is === "object") for (const [name, field] of Object.entries(shape.properties)) walk(field, `${at}.${name}`);
    if (shape.is === "map" || shape.is === "list") walk(shape.of, `${at}[]`);
    if (shape.is === "choice") {
      for (const variant of shape.variants) {
        if (variant.content) walk(variant.content, `${at}.${variant.tag}`);
        const made = model.take(schema, variant);
        assert.equal(model.taken(shape.variants, made)?.tag, variant.tag, `${at}: ${variant.tag} is known again`);
      }
    }
  };
  for (const [kind, , node] of kinds) {
    walk(node, kind);
    assert.notEqual(model.initial(schema, node), undefined);
  }
  assert.deepEqual(open, [], "only what the schema leaves open is edited as JSON");
});

await check("addresses are read back as they were written", () => {
  for (const part of ["a/b", "ü", "100%", "?", "#", "+"]) {
    const { path, query } = router.parse(router.to(["records", part], { route: part, empty: "" }));
    assert.deepEqual(path, ["records", part]);
    assert.deepEqual([...query], [["route", part]]);
  }
});

await check("figures read well", () => {
  const cases = [
    [format.count, 9999, "9,999"], [format.count, 38_500, "38.5K"], [format.rate, 0.25, "0.25/s"], [format.milliseconds, 0.001, "<0.01 ms"],
    [format.milliseconds, 1234, "1.23 s"], [format.dollars, "0.0049", "$0.0049"], [format.dollars, "12.5", "$12.50"], [format.percent, 0.0412, "4.12 %"],
    [format.percent, 0.00001, "<0.1 %"], [format.percent, 0, "0 %"], [format.bytes, 2048, "2 KiB"], [format.count, null, "–"],
  ];
  for (const [show, value, text] of cases) assert.equal(show(value), text);
  assert.equal(format.relative(0, 90_000), "1 min ago");
  assert.equal(format.relative(3_600_000, 0), "in 1 h");
});

/** Interfaces of types.ts that the API calls otherwise. */
const OTHERWISE = { ResourceChange: "Change" };

await check("the fields that are read are those that the API describes", () => {
  const described = read("openapi.json").components.schemas;
  const source = readFileSync("src/types.ts", "utf8").replaceAll(/\/\*\*[\s\S]*?\*\/|\/\/.*/g, "");
  let compared = 0;
  for (const [, name, body] of source.matchAll(/export interface (\w+)(?:<\w+>)? \{((?:[^{}]|\{[^{}]*\})*)\}/g)) {
    const schema = described[OTHERWISE[name] ?? name];
    if (name === "Page") continue;
    assert.ok(schema, `the API describes ${name}`);
    const fields = [...body.replaceAll(/\{[^{}]*\}/g, "").matchAll(/(\w+)\??:/g)].map(([, field]) => field);
    const unknown = fields.filter((field) => !(field in schema.properties));
    assert.deepEqual(unknown, [], `${name} has these`);
    compared += fields.length;
  }
  assert.ok(compared > 100, `${compared} fields`);
});

unload();
