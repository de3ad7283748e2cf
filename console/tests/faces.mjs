// Documents as the console's forms put them together: `node tests/faces.mjs SCHEMA DOCUMENTS OUT`.
// Each is taken apart and built anew through the forms' own view of the schema, field by field, as a
// person would fill it in; OUT gets what is sent to the API, and the YAML that is shown.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { load, unload } from "./load.mjs";

const model = await load("schema/model.ts");
const { draftDocument } = await load("draft.ts");
const { yaml } = await load("ui/yaml.tsx");
const [schemaFile, documentsFile, out] = process.argv.slice(2);
const schema = JSON.parse(readFileSync(schemaFile, "utf8"));
const kinds = new Map(model.kinds(schema).map(([kind, , of]) => [kind, of]));

/** A value as the form for this node gives it, when a person enters `value`. */
function entered(node, value, at) {
  if (value === null) return null;
  const resolved = model.resolve(schema, node);
  const is = model.shape(schema, resolved);
  const fields = (made, properties, from) => {
    for (const [name, field] of Object.entries(from)) {
      assert.ok(properties[name], `${at}.${name}: no form has it`);
      made[name] = entered(properties[name], field, `${at}.${name}`);
    }
    return made;
  };
  switch (is.is) {
    case "object": return fields(model.initial(schema, node), is.properties, value);
    case "choice": {
      const variant = model.taken(is.variants, value);
      assert.ok(variant, `${at}: no choice is taken by ${JSON.stringify(value)}`);
      if (variant.content === undefined) return variant.tag;
      return fields(model.take(schema, variant), { ...variant.beside, [variant.tag]: variant.content }, value);
    }
    case "map": return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, entered(is.of, one, `${at}.${name}`)]));
    case "list": return value.map((one, index) => entered(is.of, one, `${at}[${index}]`));
    case "text": return String(value);
    case "number": return Number(String(value));
    case "flag": return Boolean(value);
    default: return JSON.parse(JSON.stringify(value));
  }
}

const documents = JSON.parse(readFileSync(documentsFile, "utf8")).map((document) => {
  const edits = Object.entries(document).flatMap(([kind, resources]) =>
    Object.entries(resources).map(([name, value]) => ({ kind, name, value: entered(kinds.get(kind), value, `${kind}.${name}`) })));
  const sent = draftDocument({ edits, generation: 1 });
  return { sent, shown: yaml(sent) };
});
writeFileSync(out, JSON.stringify(documents));
unload();
console.log("ok documents are put together by the forms");
