// One stream of events for the whole page: calls under way, calls that ended, the last hour by minutes.
import { useLayoutEffect, useState } from "preact/hooks";
import { pageHeaders, refusal, Refused, wantLogin } from "./api";
import { events } from "./stream";
import type { EndedCall, LiveCall, Minute } from "./types";

const KEPT = 200;
const LONGEST_WAIT_MS = 10_000;

export interface Live {
  state: "connecting" | "live" | "lost";
  problem: string;
  calls: LiveCall[];
  ended: EndedCall[]; // newest first
  minutes: Minute[]; // oldest first
  missed: number;
}

interface Line {
  id: string;
  calls: LiveCall[];
  ended: EndedCall[];
  minutes: Minute[];
  missed: number;
}

let live: Live = { state: "connecting", problem: "", calls: [], ended: [], minutes: [], missed: 0 };
let last = "";
let going: AbortController | null = null;
const readers = new Set<(now: Live) => void>();

export function useLive(): Live {
  const [now, setNow] = useState(live);
  useLayoutEffect(() => {
    readers.add(setNow);
    if (!going) start();
    return () => void readers.delete(setNow);
  }, []);
  return now;
}

function tell(change: Partial<Live>): void {
  live = { ...live, ...change };
  for (const reader of readers) reader(live);
}

function take(line: Line): void {
  const first = line.minutes[0]?.at ?? "~";
  tell({
    state: "live",
    problem: "",
    calls: line.calls,
    ended: [...line.ended.reverse(), ...live.ended].slice(0, KEPT),
    minutes: [...live.minutes.filter((minute) => minute.at < first), ...line.minutes].slice(-60),
    missed: live.missed + line.missed,
  });
  last = line.id;
}

function start(): void {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) going?.abort();
    else void follow();
  });
  void follow();
}

async function follow(): Promise<void> {
  going?.abort();
  const mine = (going = new AbortController());
  for (let wait = 500; !mine.signal.aborted; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      await stream(mine.signal, () => (wait = 500));
      tell({ state: "lost", problem: "The daemon has ended the stream." });
    } catch (error) {
      if (mine.signal.aborted) return;
      tell({ state: "lost", problem: (error as Error).message });
      if (error instanceof Refused && error.status === 401 && (await wantLogin())) continue;
    }
    await new Promise((done) => setTimeout(done, wait));
  }
}

async function stream(signal: AbortSignal, begun: () => void): Promise<void> {
  const headers = { ...pageHeaders(), ...(last ? { "Last-Event-ID": last } : {}) };
  let reply: Response;
  try {
    reply = await fetch("live", { headers, signal, credentials: "same-origin" });
  } catch {
    throw new Refused(0, "unreachable", "The daemon cannot be reached. Is it running?");
  }
  if (!reply.ok) throw await refusal(reply);
  for await (const data of events(reply)) {
    take(JSON.parse(data) as Line);
    begun();
  }
}
