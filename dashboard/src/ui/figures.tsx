// The figures of analytics: what they are, how they are asked for, drawn, listed and saved.
import { useLayoutEffect, useState } from "preact/hooks";
import { answered } from "../api";
import { count, milliseconds, usd } from "../format";
import type { Chart, Line } from "./chart";
import { Table, type Column } from "./table";

export interface Figures {
  at: string | null;
  calls: number;
  attempts: number;
  errors: number;
  refused: number;
  input_tokens: number;
  output_tokens: number;
  cached_input_tokens: number;
  reasoning_tokens: number;
  cost_usd: string;
  first_token_ms: { p50: number | null; p95: number | null };
  total_ms: { p50: number | null; p95: number | null };
  [name: string]: unknown;
}

export interface Report {
  rows: Figures[];
  total: Figures;
}

export interface Metric {
  title: string;
  of: (row: Figures) => number | null;
  shown: (value: number) => string;
  sums: boolean; // whether those of parts add up to that of the whole
}

const summed = (title: string, of: Metric["of"], shown: Metric["shown"] = count): Metric => ({ title, of, shown, sums: true });
const timed = (title: string, of: Metric["of"]): Metric => ({ title, of, shown: milliseconds, sums: false });

export const METRICS: Record<string, Metric> = {
  cost: summed("Cost", (row) => Number(row.cost_usd), (value) => usd(String(value))),
  calls: summed("Calls", (row) => row.calls),
  tokens: summed("Tokens", (row) => row.input_tokens + row.output_tokens),
  input: summed("Input tokens", (row) => row.input_tokens),
  output: summed("Output tokens", (row) => row.output_tokens),
  cached: summed("Cached input tokens", (row) => row.cached_input_tokens),
  reasoning: summed("Reasoning tokens", (row) => row.reasoning_tokens),
  errors: summed("Failed attempts", (row) => row.errors),
  refused: summed("Refused calls", (row) => row.refused),
  first_token: timed("First token, half within", (row) => row.first_token_ms.p50),
  first_token_95: timed("First token, 95 % within", (row) => row.first_token_ms.p95),
  total: timed("Whole call, half within", (row) => row.total_ms.p50),
  total_95: timed("Whole call, 95 % within", (row) => row.total_ms.p95),
};

export const BYS = ["model", "key", "provider", "tenant", "endpoint", "session", "flag"];
export const SPANS: Record<string, string> = { "1h": "last hour", today: "today", "7d": "7 days", "30d": "30 days", "365d": "a year" };
export const INTERVALS: Record<string, string> = { "1h": "minute", today: "hour", "7d": "day", "30d": "day", "365d": "month" };

const LENGTHS: Record<string, number> = { month: 7, day: 10 };
export const moment = (at: string | null, interval: string): string => (at ?? "").slice(0, LENGTHS[interval] ?? 16).replace("T", " ");

const seconds = (at: string): number => new Date(at).getTime() / 1000;
const offset = (at: string): number => seconds(`${at.slice(0, 19)}Z`) - seconds(at);

// Over time, as a chart, and on demand the same as a table.
export function OverTime({ title, interval, times, lines, shown }: { title: string; interval: string; times: string[]; lines: Line[]; shown: Metric["shown"] }) {
  const [open, setOpen] = useState(false);
  const columns: Column<number>[] = [
    { name: interval, of: (n) => <span class="num">{moment(times[n] ?? "", interval)}</span> },
    ...lines.map((line): Column<number> => ({ name: line.name, right: true, of: (n) => told(line.values[n], shown) })),
  ];
  return (
    <>
      <div class="body stack">
        <Drawn title={title} at={times.map(seconds)} offsets={times.map(offset)} lines={lines} shown={shown} />
        <button class="plain" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Hide the figures" : "Show the figures"}
        </button>
      </div>
      {open && <Table caption={`Figures of ${title.toLowerCase()}`} columns={columns} rows={times.map((_, n) => n)} id={String} />}
    </>
  );
}

const told = (value: number | null | undefined, shown: Metric["shown"]) => (value === null || value === undefined ? "–" : shown(value));

// Once its library is there, for which nothing else waits.
function Drawn(given: Parameters<typeof Chart>[0]) {
  const [Loaded, setLoaded] = useState<typeof Chart | null>(null);
  useLayoutEffect(() => void import("./chart").then((found) => setLoaded(() => found.Chart), () => undefined), []);
  return Loaded ? <Loaded {...given} /> : <div class="chart" />;
}

// With the login's headers, so that a plain link would not do.
export function Download({ path, name }: { path: string; name: string }) {
  const [problem, setProblem] = useState("");
  const save = async () => {
    setProblem("");
    const table = await answered("GET", path).then((reply) => reply.blob(), (error: Error) => setProblem(error.message));
    if (!table) return;
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(table), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <>
      {problem && <span role="alert">{problem}</span>}
      <button onClick={() => void save()}>Save as CSV</button>
    </>
  );
}
