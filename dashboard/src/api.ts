// Asking the daemon. Addresses are relative; a login is a cookie and this page's token, of which neither is enough alone.
const PAGE_TOKEN = "tollkeeper.page";
const LONGEST_MS = 30_000;

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Asked {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  // nobody is asked to log in for it
  quiet?: boolean;
}

let login: (() => Promise<boolean>) | null = null;
let underWay: Promise<boolean> | null = null;

// Who shows the form; it answers whether somebody has logged in.
export function onLogin(show: () => Promise<boolean>): void {
  login = show;
}

export function wantLogin(): Promise<boolean> {
  underWay ??= (login ? login() : Promise.resolve(false)).finally(() => (underWay = null));
  return underWay;
}

export function keepPageToken(token: string | null): void {
  if (token) localStorage.setItem(PAGE_TOKEN, token);
  else localStorage.removeItem(PAGE_TOKEN);
}

// Null: everything that was kept went.
export const isPageToken = (key: string | null): boolean => key === null || key === PAGE_TOKEN;

// A login at a provider of identity comes back with the token behind the #.
export function takePageToken(): void {
  const found = /^#page=([\w-]+)$/.exec(location.hash);
  if (found?.[1]) {
    keepPageToken(found[1]);
    history.replaceState(null, "", "#/");
  }
}

export function pageHeaders(): Record<string, string> {
  const token = localStorage.getItem(PAGE_TOKEN);
  return token ? { "x-tollkeeper-page": token } : {};
}

export async function ask<T>(method: string, path: string, asked: Asked = {}): Promise<T> {
  return (await (await answered(method, path, asked)).json()) as T;
}

// As it was sent, where it is no JSON.
export async function answered(method: string, path: string, asked: Asked = {}): Promise<Response> {
  try {
    return await once(method, path, asked);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401 || asked.quiet || !(await wantLogin())) throw error;
    return await once(method, path, asked);
  }
}

export const read = <T>(path: string, asked?: Asked): Promise<T> => ask<T>("GET", path, asked);

const EARLY_MS = 5000; // what nobody took by then is asked for anew
const early = new Map<string, Promise<unknown>>();

// What the first screen shows is asked for while that is still being drawn.
export function readEarly(paths: string[]): void {
  for (const path of paths) early.set(path, read(path, { quiet: true }).catch(() => undefined));
  setTimeout(() => early.clear(), EARLY_MS);
}

// Once, and undefined where there was no answer: then it is asked for as ever.
export function takeEarly<T>(path: string): Promise<T | undefined> | undefined {
  const found = early.get(path);
  early.delete(path);
  return found as Promise<T | undefined> | undefined;
}

async function once(method: string, path: string, asked: Asked): Promise<Response> {
  const reply = await sent(method, path, asked);
  if (!reply.ok) throw await refusal(reply);
  return reply;
}

export async function sent(method: string, path: string, { body, headers, signal }: Asked): Promise<Response> {
  const late = AbortSignal.timeout(LONGEST_MS);
  const init: RequestInit = {
    method,
    headers: { ...pageHeaders(), ...headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    signal: signal ? AbortSignal.any([signal, late]) : late,
    credentials: "same-origin",
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
  try {
    return await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    if (late.aborted) throw new Refused(0, "slow", "The daemon has not answered for 30 seconds.");
    throw new Refused(0, "unreachable", "The daemon cannot be reached. Is it running?");
  }
}

export async function refusal(reply: Response): Promise<Refused> {
  try {
    const { error } = (await reply.json()) as { error: { code: string; message: string } };
    return new Refused(reply.status, error.code, error.message);
  } catch {
    return new Refused(reply.status, "unreadable", `The answer was ${reply.status}, and not from the daemon.`);
  }
}

export function query(params: Record<string, string | number | null | undefined>): string {
  const filled = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return filled.length ? `?${new URLSearchParams(filled.map(([name, value]) => [name, String(value)]))}` : "";
}
