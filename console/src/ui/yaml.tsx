// Documents as YAML, the form in which people write them, with the few colours that help reading.

import type { Json } from "../types";

const PLAIN = /^[A-Za-z_/.][A-Za-z0-9_./+-]*$/;
const WORDS = new Set(["true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"]);

/** A text as YAML 1.2 reads it back, quoted only where it must be. */
export function scalar(text: string): string {
  if (PLAIN.test(text) && !WORDS.has(text.toLowerCase())) return text;
  return JSON.stringify(text);
}

function lines(value: Json, indent: string): string[] {
  if (Array.isArray(value)) {
    if (value.length === 0) return ["[]"];
    return value.flatMap((item) => {
      const inner = lines(item, `${indent}  `);
      return [`- ${inner[0]}`, ...inner.slice(1).map((line) => `  ${line}`)];
    });
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0) return ["{}"];
    return entries.flatMap(([name, item]) => {
      const inner = lines(item, `${indent}  `);
      const nested = typeof item === "object" && item !== null && Object.keys(item).length > 0;
      if (!nested) return [`${scalar(name)}: ${inner[0]}`];
      return [`${scalar(name)}:`, ...inner.map((line) => `  ${line}`)];
    });
  }
  return [typeof value === "string" ? scalar(value) : String(value)];
}

/** A value as YAML. */
export function yaml(value: Json): string {
  return lines(value, "").join("\n");
}

function Line({ text }: { text: string }) {
  const match = /^(\s*(?:- )*)((?:"(?:[^"\\]|\\.)*"|[^\s:"]+):)?(\s*)(.*)$/.exec(text);
  if (!match) return <>{text}</>;
  const [, lead, key, gap, rest] = match;
  const tone = /^-?[0-9.]+$|^(true|false|null)$/.test(rest ?? "") ? "n" : "s";
  return <>{lead}{key && <span class="k">{key}</span>}{gap}{rest && <span class={tone}>{rest}</span>}</>;
}

/** A document to read; it can be scrolled by keyboard. */
export function Yaml({ value, label }: { value: Json; label: string }) {
  return (
    <pre class="code" tabIndex={0} role="group" aria-label={label}>
      {yaml(value).split("\n").map((line, at) => <div key={at}><Line text={line} /></div>)}
    </pre>
  );
}
