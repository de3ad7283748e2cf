// What the JSON Schema of the configuration says about one value, in the few shapes that it uses:
// nested objects, maps by name, ordered lists, externally tagged choices, and plain values.

import type { Json, JsonObject } from "../types";

/** One node of a JSON Schema. */
export interface SchemaNode {
  $ref?: string;
  type?: string | string[];
  description?: string;
  default?: Json;
  properties?: Record<string, SchemaNode>;
  required?: string[];
  additionalProperties?: boolean | SchemaNode;
  items?: SchemaNode;
  oneOf?: SchemaNode[];
  anyOf?: SchemaNode[];
  enum?: Json[];
  const?: Json;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  examples?: Json[];
}

/** A whole schema. */
export interface Schema extends SchemaNode {
  $defs?: Record<string, SchemaNode>;
}

/** One way that a choice can be taken. */
export interface Variant {
  /** The word itself, or the name of the only settings that it has. */
  tag: string;
  description: string;
  /** Settings under the tag; none where the word alone is the value. */
  content: SchemaNode | undefined;
  /** Fields that stand beside the tag, such as a policy's `when`. */
  beside: Record<string, SchemaNode>;
}

/** What a value is, as a form needs to know it. */
export type Shape =
  | { is: "object"; properties: Record<string, SchemaNode>; required: string[] }
  | { is: "map"; of: SchemaNode }
  | { is: "list"; of: SchemaNode }
  | { is: "choice"; variants: Variant[] }
  | { is: "text"; pattern?: string | undefined; examples: Json[] }
  | { is: "number"; whole: boolean; minimum?: number | undefined; maximum?: number | undefined }
  | { is: "flag" }
  | { is: "any" };

/** A node with its reference followed; its own description and default win. */
export function resolve(schema: Schema, node: SchemaNode): SchemaNode {
  // `true` stands for a value of which nothing is said.
  let found: SchemaNode = typeof node === "object" ? node : {};
  for (let depth = 0; found.$ref !== undefined && depth < 8; depth += 1) {
    const { $ref, ...own } = found;
    const target = schema.$defs?.[$ref.replace("#/$defs/", "")];
    if (target === undefined) return own;
    found = { ...target, ...own };
  }
  const rest = found.anyOf?.filter((one) => one.type !== "null");
  if (rest?.length === 1 && rest[0]) {
    const { anyOf: _, ...own } = found;
    return resolve(schema, { ...rest[0], ...own });
  }
  return found;
}

function variant(schema: Schema, node: SchemaNode): Variant | undefined {
  const one = resolve(schema, node);
  const description = node.description ?? one.description ?? "";
  if (typeof one.const === "string") return { tag: one.const, description, content: undefined, beside: {} };
  const [tag] = one.required ?? [];
  if (one.required?.length !== 1 || tag === undefined) return undefined;
  const { [tag]: content, ...beside } = one.properties ?? {};
  if (content === undefined) return undefined;
  return { tag, description: description || (content.description ?? ""), content, beside };
}

function types(node: SchemaNode): string[] {
  return (Array.isArray(node.type) ? node.type : node.type ? [node.type] : []).filter((type) => type !== "null");
}

/** The shape of a resolved node. */
export function shape(schema: Schema, node: SchemaNode): Shape {
  if (node.oneOf) {
    const variants = node.oneOf.map((one) => variant(schema, one));
    return variants.every((one) => one !== undefined) ? { is: "choice", variants } : { is: "any" };
  }
  if (node.enum) {
    const variants = node.enum.map((one) => ({ tag: String(one), description: "", content: undefined, beside: {} }));
    return { is: "choice", variants };
  }
  const [type, ...others] = types(node);
  if (type === "string" || others.includes("string")) return { is: "text", pattern: node.pattern, examples: node.examples ?? [] };
  switch (type) {
    case "object":
      if (typeof node.additionalProperties === "object" && !node.properties) return { is: "map", of: node.additionalProperties };
      return { is: "object", properties: node.properties ?? {}, required: node.required ?? [] };
    case "array":
      return node.items ? { is: "list", of: node.items } : { is: "any" };
    case "integer":
    case "number":
      return { is: "number", whole: type === "integer", minimum: node.minimum, maximum: node.maximum };
    case "boolean":
      return { is: "flag" };
    default:
      return { is: "any" };
  }
}

/** The least that a value can be: required fields only. */
export function initial(schema: Schema, node: SchemaNode, depth = 0): Json {
  const resolved = resolve(schema, node);
  const is = shape(schema, resolved);
  switch (is.is) {
    case "object": {
      const made: JsonObject = {};
      for (const name of is.required) {
        const field = is.properties[name];
        if (field && depth < 8) made[name] = initial(schema, field, depth + 1);
      }
      return made;
    }
    case "choice": {
      const [first] = is.variants;
      return first ? take(schema, first, depth + 1) : null;
    }
    case "map": return {};
    case "list": return [];
    case "text": return "";
    case "number": return is.minimum ?? 0;
    case "flag": return resolved.default === true;
    case "any": return null;
  }
}

/** The value of a choice that is taken anew. */
export function take(schema: Schema, variant: Variant, depth = 0): Json {
  return variant.content === undefined ? variant.tag : { [variant.tag]: initial(schema, variant.content, depth) };
}

/** Which variant a value has taken. */
export function taken(variants: Variant[], value: Json | undefined): Variant | undefined {
  if (typeof value === "string") return variants.find((one) => one.tag === value && one.content === undefined);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return variants.find((one) => one.content !== undefined && one.tag in value);
}

/** Kinds of resources: fields of the document that are maps by name. */
export function kinds(schema: Schema): [string, SchemaNode, SchemaNode][] {
  return Object.entries(schema.properties ?? {}).flatMap(([kind, node]): [string, SchemaNode, SchemaNode][] => {
    const is = shape(schema, resolve(schema, node));
    return is.is === "map" ? [[kind, node, is.of]] : [];
  });
}

/** The first sentence of a description, without the marks of code. */
export function lead(description: string | undefined): string {
  return (description ?? "").split(/\n\n|(?<=\.)\s/)[0]?.replaceAll("\n", " ") ?? "";
}

/** A name as the paths of findings write it: bare where it can be, else as JSON. */
export function key(name: string): string {
  return /^[^.[\]"\s\p{Cc}]+$/u.test(name) ? name : JSON.stringify(name);
}

/** The resource that a finding's path is in. */
export function resourceOf(path: string): { kind: string; name: string } | undefined {
  const match = /^([a-z_]+)\.(?:"((?:[^"\\]|\\.)*)"|([^.[]+))/.exec(path);
  if (!match?.[1]) return undefined;
  return { kind: match[1], name: match[3] ?? (JSON.parse(`"${match[2] ?? ""}"`) as string) };
}
