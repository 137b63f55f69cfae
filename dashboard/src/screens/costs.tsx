// Where the money went: by time as a chart with its table, and by whatever one likes to tell it apart by.
import { useState } from "preact/hooks";
import { query } from "../api";
import { count, share, usd } from "../format";
import { useResource } from "../resource";
import { go, hashOf, placeOf, type Place } from "../router";
import { Chart } from "../ui/chart";
import { Filter } from "../ui/filter";
import { Card, Empty, Head, Problem, Usd, Waiting } from "../ui/parts";
import { Table, type Column } from "../ui/table";

interface Row {
  at: string | null;
  calls: number;
  errors: number;
  refused: number;
  input_tokens: number;
  output_tokens: number;
  cached_input_tokens: number;
  cost_usd: string;
  first_token_ms: { p50: number | null; p95: number | null };
  total_ms: { p50: number | null; p95: number | null };
  [name: string]: unknown;
}

interface Report {
  rows: Row[];
  total: Row;
}

const BYS = ["model", "key", "provider", "tenant", "endpoint", "session", "flag"];
const SPANS: Record<string, string> = { today: "today", "7d": "7 days", "30d": "30 days", "365d": "a year" };
const INTERVALS: Record<string, string> = { today: "hour", "7d": "day", "30d": "day", "365d": "month" };
const METRICS: Record<string, [string, (row: Row) => number, (value: number) => string]> = {
  cost: ["Cost", (row) => Number(row.cost_usd), (value) => usd(String(value))],
  calls: ["Calls", (row) => row.calls, count],
  tokens: ["Tokens", (row) => row.input_tokens + row.output_tokens, count],
  errors: ["Failed attempts", (row) => row.errors, count],
  first_token: ["First token, half within, ms", (row) => row.first_token_ms.p50 ?? 0, count],
};

export function Costs({ place }: { place: Place }) {
  const given = place.params;
  const since = given.get("since") ?? "7d";
  const by = given.get("by") ?? "model";
  const metric = given.get("metric") ?? "cost";
  const only = Object.fromEntries(["key", "model", "provider"].map((name) => [name, given.get(name)]));
  const interval = INTERVALS[since] ?? "day";
  const times = useResource<Report>(`analytics/costs${query({ since, interval, ...only })}`);
  const parts = useResource<Report>(`analytics/costs${query({ since, by, ...only })}`);
  const set = (name: string, value: string) => {
    const changed = placeOf(location.hash).params;
    changed.set(name, value);
    go(hashOf("costs", "", changed), true);
  };
  const csv = `analytics/costs${query({ since, by, ...only, format: "csv" })}`;
  const error = times.error ?? parts.error;
  return (
    <div class="stack">
      <Head title="Costs">
        <Download path={csv} />
      </Head>
      <form class="filters" role="search" aria-label="What to show" onSubmit={(event) => event.preventDefault()}>
        <Select title="When" value={since} among={SPANS} set={(value) => set("since", value)} />
        <Select title="Figure" value={metric} among={Object.fromEntries(Object.entries(METRICS).map(([name, [title]]) => [name, title]))} set={(value) => set("metric", value)} />
        <Select title="Told apart by" value={by} among={Object.fromEntries(BYS.map((name) => [name, name]))} set={(value) => set("by", value)} />
        {["key", "model", "provider"].map((name) => (
          <Filter key={name} title={`Only ${name}`} value={given.get(name) ?? ""} set={(value) => set(name, value)} />
        ))}
      </form>
      {error && <Problem error={error} again={() => (times.again(), parts.again())} />}
      {(!times.data || !parts.data) && !error && <Waiting />}
      {times.data && <OverTime rows={times.data.rows} metric={metric} interval={interval} total={times.data.total} />}
      {parts.data && <Parts report={parts.data} by={by} />}
    </div>
  );
}

function Select({ title, value, among, set }: { title: string; value: string; among: Record<string, string>; set: (value: string) => void }) {
  return (
    <label class="field">
      {title}
      <select value={value} onChange={(event) => set(event.currentTarget.value)}>
        {Object.entries(among).map(([name, word]) => <option key={name} value={name}>{word}</option>)}
      </select>
    </label>
  );
}

function OverTime({ rows, metric, interval, total }: { rows: Row[]; metric: string; interval: string; total: Row }) {
  const [open, setOpen] = useState(false);
  const [title, value, shown] = METRICS[metric] ?? METRICS.cost!;
  if (!rows.length) return <Card title={title}><Empty title="Nothing was used in this time">Choose a longer one, or fewer filters.</Empty></Card>;
  const points = rows.filter((row) => row.at !== null);
  const columns: Column<Row>[] = [
    { name: interval, of: (row) => <span class="num">{day(row.at, interval)}</span> },
    { name: title, of: (row) => shown(value(row)), right: true },
  ];
  return (
    <Card title={`${title} by ${interval}`} aside={<><Usd of={total.cost_usd} /> in {count(total.calls)} calls</>}>
      <div class="body stack">
        <Chart title={`${title} by ${interval}`} at={points.map((row) => new Date(row.at as string).getTime() / 1000)} values={points.map(value)} shown={shown} />
        <button class="plain" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Hide the figures" : "Show the figures"}
        </button>
      </div>
      {open && <Table caption={`Figures of ${title.toLowerCase()} by ${interval}`} columns={columns} rows={points} id={(row) => row.at as string} />}
    </Card>
  );
}

function day(at: string | null, interval: string): string {
  const text = at ?? "";
  return interval === "hour" ? text.slice(0, 16).replace("T", " ") : text.slice(0, interval === "month" ? 7 : 10);
}

function Parts({ report, by }: { report: Report; by: string }) {
  const whole = Number(report.total.cost_usd);
  const columns: Column<Row>[] = [
    { name: by, of: (row) => <span class="cut">{String(row[by] ?? "") || "none"}</span> },
    { name: "Share", of: (row) => <Bar part={whole ? Number(row.cost_usd) / whole : 0} />, wide: true },
    { name: "Cost", of: (row) => <Usd of={row.cost_usd} />, right: true },
    { name: "Of all", of: (row) => share(Number(row.cost_usd), whole), right: true, wide: true },
    { name: "Calls", of: (row) => count(row.calls), right: true },
    { name: "Input tokens", of: (row) => count(row.input_tokens), right: true, wide: true },
    { name: "Output tokens", of: (row) => count(row.output_tokens), right: true, wide: true },
    { name: "Failed", of: (row) => count(row.errors), right: true, wide: true },
  ];
  return (
    <Card title={`By ${by}`} aside={count(report.rows.length)}>
      {report.rows.length ? (
        <Table caption={`Costs by ${by}`} columns={columns} rows={report.rows.slice(0, 200)} id={(row) => String(row[by])} />
      ) : (
        <Empty title="Nothing to tell apart" />
      )}
    </Card>
  );
}

const Bar = ({ part }: { part: number }) => (
  <span class="meter bar" aria-hidden="true">
    <i style={{ width: `${100 * part}%` }} />
  </span>
);

// With the login's headers, so that a plain link would not do.
function Download({ path }: { path: string }) {
  const [problem, setProblem] = useState("");
  const save = async () => {
    const { sent, refusal } = await import("../api");
    const reply = await sent("GET", path, {});
    if (!reply.ok) return setProblem((await refusal(reply)).message);
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await reply.blob()), download: "costs.csv" });
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
