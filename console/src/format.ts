// Numbers, money and times as people read them. Everything here is pure; zones come from the caller.

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** What is shown where a value is not known. */
export const NONE = "–";

/** A count: exact below ten thousand, compact above. */
export function count(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NONE;
  return Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value);
}

/** A figure with at most three digits that matter. */
export function figure(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  if (Math.abs(value) >= 1000) return count(value);
  return String(Number(value.toPrecision(3)));
}

/** Requests a second. */
export function rate(value: number | null | undefined): string {
  return value == null || !Number.isFinite(value) ? NONE : `${figure(value)}/s`;
}

/** Milliseconds, in seconds and minutes where that reads better. */
export function milliseconds(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NONE;
  if (value >= 60_000) return `${figure(value / 60_000)} min`;
  if (value >= 1000) return `${figure(value / 1000)} s`;
  if (value > 0 && value < 0.01) return "<0.01 ms";
  return `${figure(value)} ms`;
}

/** US dollars; small amounts keep two digits that matter. */
export function dollars(value: number | string | null | undefined): string {
  const amount = typeof value === "string" ? Number(value) : value;
  if (amount == null || !Number.isFinite(amount)) return NONE;
  if (amount === 0) return "$0";
  if (Math.abs(amount) >= 1) return `$${amount.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return `$${Number(amount.toPrecision(2))}`;
}

/** A sum of amounts as decimal text, exact to the last digit. */
export function sum(amounts: string[]): string {
  const digits = 12;
  const whole = amounts.reduce((all, amount) => {
    const [before = "0", behind = ""] = amount.replace("-", "").split(".");
    const one = BigInt(before + behind.padEnd(digits, "0").slice(0, digits));
    return amount.startsWith("-") ? all - one : all + one;
  }, 0n);
  const text = (whole < 0n ? -whole : whole).toString().padStart(digits + 1, "0");
  const behind = text.slice(-digits).replace(/0+$/, "");
  return `${whole < 0n ? "-" : ""}${text.slice(0, -digits)}${behind && `.${behind}`}`;
}

/** A share from 0 to 1 as a percentage. */
export function percent(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return NONE;
  if (value !== 0 && Math.abs(value) < 0.001) return "<0.1 %";
  return `${Number((value * 100).toPrecision(3))} %`;
}

/** Bytes in binary units. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return NONE;
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  let left = value;
  while (left >= 1024 && unit < units.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${figure(left)} ${units[unit]}`;
}

/** How long ago, or how long until; both times in milliseconds. */
export function relative(at: number, now: number): string {
  const seconds = Math.round((at - now) / 1000);
  const away = Math.abs(seconds);
  if (away < 5) return "now";
  const steps: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = steps.find(([size]) => away >= size) ?? [1, "s"];
  const amount = `${Math.floor(away / size)} ${unit}`;
  return seconds < 0 ? `${amount} ago` : `in ${amount}`;
}

/** Date and time to the second in a zone; `undefined` is the user's own. */
export function moment(at: number, zone: string | undefined): string {
  return new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, year: "numeric", month: "short", day: "2-digit",
    hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  }).format(at);
}

/** The user's zone with its distance from UTC, as in `Europe/Paris, UTC+1`. */
export function zone(now: number): string {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const part = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" })
    .formatToParts(now).find((part) => part.type === "timeZoneName");
  return `${name}, ${(part?.value ?? "UTC").replace("GMT", "UTC")}`;
}

/** The first digits of a digest. */
export function short(digest: string | null | undefined): string {
  return digest ? digest.slice(0, 12) : NONE;
}

/** `one route`, `2 routes`. */
export function plural(amount: number, one: string, many = `${one}s`): string {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}
