// Calls of the admin API. Every failure is a `Problem` (RFC 9457), also when no answer came, so that
// pages have one thing to show. The session is a cookie that scripts cannot read; the header that every
// write carries is what a page of another site cannot send.

import type { Finding, ResourceChange } from "./types";

/** A failed call: what the server said, or why it could not be asked. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly findings: Finding[];
  /** What changed since the state that the caller had seen (412). */
  readonly changes: ResourceChange[];
  readonly body: Record<string, unknown>;

  constructor(status: number, body: Record<string, unknown>) {
    const title = typeof body.title === "string" ? body.title : "The request failed";
    super(typeof body.detail === "string" ? body.detail : title);
    this.status = status;
    this.title = title;
    this.code = typeof body.code === "string" ? body.code : `http_${status}`;
    this.findings = Array.isArray(body.findings) ? body.findings : [];
    this.changes = Array.isArray(body.changes) ? body.changes : [];
    this.body = body;
  }
}

/** What a call may carry. */
export interface Options {
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  ifMatch?: string | undefined;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** An answer with its entity tag. */
export interface Answer<T> {
  data: T;
  etag: string | undefined;
}

const BASE = "/api/v1";


/** The path of a call below `/api/v1`; each part is encoded. */
export function path(...parts: (string | number)[]): string {
  return parts.map((part) => `/${encodeURIComponent(String(part))}`).join("");
}

function address(path: string, query: Options["query"]): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return `${BASE}${path}${text ? `?${text}` : ""}`;
}

/** The address of a stream of events. */
export function streamAddress(path: string, query: Options["query"]): string {
  return address(path, query);
}

async function problem(response: Response): Promise<Problem> {
  const fallback = { title: response.statusText || `Status ${response.status}` };
  try {
    const body: unknown = await response.json();
    return new Problem(response.status, typeof body === "object" && body !== null ? (body as Record<string, unknown>) : fallback);
  } catch {
    return new Problem(response.status, fallback);
  }
}

async function send(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json", ...options.headers };
  if (method !== "GET") headers["tidegate-csrf"] = "1";
  if (options.body !== undefined) headers["content-type"] = "application/json";
  if (options.ifMatch !== undefined) headers["if-match"] = options.ifMatch;
  let response: Response;
  try {
    response = await fetch(address(path, options.query), {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, {
      title: "The gateway did not answer",
      code: "unreachable",
      detail: "The admin address could not be reached. Requests through the gateway do not depend on it.",
    });
  }
  if (!response.ok) throw await problem(response);
  return response;
}

/** Sends a request below `/api/v1`. */
export async function call<T>(method: string, path: string, options: Options = {}): Promise<Answer<T>> {
  const response = await send(method, path, options);
  const etag = response.headers.get("etag") ?? undefined;
  const text = await response.text();
  return { data: (text ? JSON.parse(text) : undefined) as T, etag };
}

/** Sends a request whose answer is a file, as it is. */
export async function download(path: string, options: Options): Promise<Blob> {
  return (await send("POST", path, { ...options, headers: { accept: "*/*" } })).blob();
}

/** Reads something. */
export async function get<T>(path: string, query?: Options["query"], signal?: AbortSignal): Promise<T> {
  return (await call<T>("GET", path, { query, signal })).data;
}

/** Any thrown value as a problem. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Problem(0, { title: "The console failed", code: "console", detail });
}
