// Where the money went: by time as a chart with its table, and by whatever one likes to tell it apart by; what is ahead.
import { query } from "../api";
import { count, share } from "../format";
import { useResource } from "../resource";
import type { Place } from "../router";
import { BYS, Download, INTERVALS, METRICS, OverTime, SPANS, type Figures, type Report } from "../ui/figures";
import { Filter, Select, setter, words } from "../ui/filter";
import { Card, Empty, Head, Problem, State, Usd, Waiting, When, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { useWrite } from "../ui/write";
import { Forecast, Savings } from "./ahead";

const SHOWN = ["cost", "calls", "tokens", "errors", "first_token"];
const set = setter("costs");

export function Costs({ place }: { place: Place }) {
  const given = place.params;
  const since = given.get("since") ?? "7d";
  const by = given.get("by") ?? "model";
  const metric = given.get("metric") ?? "cost";
  const only = Object.fromEntries(["key", "model", "provider"].map((name) => [name, given.get(name)]));
  const interval = INTERVALS[since] ?? "day";
  const times = useResource<Report>(`analytics/costs${query({ since, interval, ...only })}`);
  const parts = useResource<Report>(`analytics/costs${query({ since, by, ...only })}`);
  const csv = `analytics/costs${query({ since, by, ...only, format: "csv" })}`;
  const error = times.error ?? parts.error;
  return (
    <div class="stack">
      <Head title="Costs">
        <Download path={csv} name="costs.csv" />
      </Head>
      <form class="filters" role="search" aria-label="What to show" onSubmit={(event) => event.preventDefault()}>
        <Select title="When" value={since} among={SPANS} set={(value) => set("since", value)} />
        <Select title="Metric" value={metric} among={Object.fromEntries(SHOWN.map((name) => [name, METRICS[name]!.title]))} set={(value) => set("metric", value)} />
        <Select title="Group by" value={by} among={words(BYS)} set={(value) => set("by", value)} />
        {["key", "model", "provider"].map((name) => (
          <Filter key={name} title={`Only ${name}`} value={given.get(name) ?? ""} set={(value) => set(name, value)} />
        ))}
      </form>
      {error && <Problem error={error} again={() => (times.again(), parts.again())} />}
      {(!times.data || !parts.data) && !error && <Waiting />}
      {times.data && <Times rows={times.data.rows} metric={metric} interval={interval} total={times.data.total} />}
      {parts.data && <Parts report={parts.data} by={by} />}
      <Forecast />
      <Savings since={since} />
      <Bills />
    </div>
  );
}

function Times({ rows, metric, interval, total }: { rows: Figures[]; metric: string; interval: string; total: Figures }) {
  const { title, of, shown } = METRICS[metric] ?? METRICS.cost!;
  if (!rows.length) return <Card title={title}><Empty title="Nothing was used in this time">Choose a longer one, or fewer filters.</Empty></Card>;
  const points = rows.filter((row) => row.at !== null);
  const name = `${title} by ${interval}`;
  return (
    <Card title={name} aside={<><Usd of={total.cost_usd} /> in {count(total.calls)} calls</>}>
      <OverTime title={name} interval={interval} times={points.map((row) => row.at as string)} lines={[{ name: title, values: points.map(of) }]} shown={shown} />
    </Card>
  );
}

interface BillDay {
  provider: string;
  tenant: string | null;
  day: string;
  state: string;
  billed_usd: string;
  booked_usd: string;
  foreign_usd: string;
  drift_usd: string;
  causes: string[];
}

interface Bill {
  days: BillDay[];
  corrections: { at: string; provider: string; day: string; delta_usd: string; cause: string }[];
}

const TONES: Record<string, Tone> = { matched: "good", explained: "good" };

const BILLS: Column<BillDay>[] = [
  { name: "Day", of: (one) => <span class="num">{one.day}</span> },
  { name: "Provider", of: (one) => <>{one.provider} {one.tenant && <span class="tag">{one.tenant}</span>}</> },
  { name: "Billed", of: (one) => <Usd of={one.billed_usd} />, right: true },
  { name: "In the ledger", of: (one) => <Usd of={one.booked_usd} />, right: true },
  { name: "By others", of: (one) => <Usd of={one.foreign_usd} />, right: true, wide: true },
  { name: "Drift", of: (one) => <Usd of={one.drift_usd} />, right: true },
  { name: "State", of: (one) => <><State tone={TONES[one.state] ?? "idle"}>{one.state}</State>{one.causes.length > 0 && <div class="small soft">{one.causes.join(", ")}</div>}</> },
];

// What providers billed beside what the ledger has; those who may not see it, or have no such provider, see nothing.
function Bills() {
  const { data, again } = useResource<Bill>("reconciliation", 0, true);
  const write = useWrite(again, "models");
  if (!data?.days.length) return null;
  const read = <button disabled={write.busy} onClick={() => void write.run("POST", "reconciliation")}>Read the bills now</button>;
  return (
    <Card title="Bills and the ledger" aside={read}>
      {write.error && <div class="body"><Problem error={write.error} /></div>}
      <Table caption="Bills and the ledger" columns={BILLS} rows={data.days} id={(one) => `${one.day} ${one.provider} ${one.tenant}`} />
      {data.corrections.length > 0 && (
        <ul class="body lines small soft" aria-label="Corrections">
          {data.corrections.map((one) => <li key={`${one.day} ${one.provider}`}><When at={one.at} />: <Usd of={one.delta_usd} /> put to {one.day} of {one.provider}, {one.cause}</li>)}
        </ul>
      )}
    </Card>
  );
}

function Parts({ report, by }: { report: Report; by: string }) {
  const whole = Number(report.total.cost_usd);
  const columns: Column<Figures>[] = [
    { name: by[0]!.toUpperCase() + by.slice(1), of: (row) => <span class="cut">{String(row[by] ?? "") || "none"}</span> },
    { name: "Share", of: (row) => <Bar part={whole ? Number(row.cost_usd) / whole : 0} />, wide: true },
    { name: "Cost", of: (row) => <Usd of={row.cost_usd} />, right: true },
    { name: "Of all", of: (row) => share(Number(row.cost_usd), whole), right: true, wide: true },
    { name: "Calls", of: (row) => count(row.calls), right: true },
    { name: "Input tokens", of: (row) => count(row.input_tokens), right: true, wide: true },
    { name: "Output tokens", of: (row) => count(row.output_tokens), right: true, wide: true },
    { name: "Failed attempts", of: (row) => count(row.errors), right: true, wide: true },
  ];
  return (
    <Card title={`By ${by}`} aside={count(report.rows.length)}>
      {report.rows.length ? (
        <Table caption={`Costs by ${by}`} columns={columns} rows={report.rows.slice(0, 200)} id={(row) => String(row[by])} />
      ) : (
        <Empty title={`Nothing was used by any ${by} in this time`} />
      )}
    </Card>
  );
}

const Bar = ({ part }: { part: number }) => (
  <span class="meter bar" aria-hidden="true">
    <i style={{ width: `${100 * part}%` }} />
  </span>
);
