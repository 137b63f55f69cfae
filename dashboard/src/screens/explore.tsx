// Any figure, by any interval, told apart by anything, of any part: as a chart with its table, as a file, and kept as a view.
import { useState } from "preact/hooks";
import { query } from "../api";
import { count } from "../format";
import { useResource } from "../resource";
import { hashOf, type Place } from "../router";
import type { Line } from "../ui/chart";
import { BYS, Download, INTERVALS, METRICS, OverTime, SPANS, type Figures, type Metric, type Report } from "../ui/figures";
import { Filter, Select, setter, words } from "../ui/filter";
import { Card, Empty, Head, Problem, Waiting } from "../ui/parts";

const LINES = 5; // beside "others"
const KEPT = "tollkeeper.views";
const PASSED = ["since", "key", "model", "provider", "tenant", "session"]; // filters of calls as well
const TIMES = { "": "as fits", minute: "minute", hour: "hour", day: "day", month: "month" };
const set = setter("explore");

export function Explore({ place }: { place: Place }) {
  const given = place.params;
  const of = (name: string, usual: string) => given.get(name) || usual;
  const [since, by, metric] = [of("since", "7d"), of("by", "model"), METRICS[of("metric", "cost")] ?? METRICS.cost!];
  const interval = of("interval", INTERVALS[since] ?? "day");
  const only = Object.fromEntries(BYS.map((name) => [name, given.get(name)]));
  const path = `analytics/usage${query({ since, interval, by: by === "none" ? "" : by, ...only })}`;
  const { data, error, again } = useResource<Report>(path);
  return (
    <div class="stack">
      <Head title="Explore">
        <Download path={`${path}&format=csv`} name="explore.csv" />
      </Head>
      <form class="filters" role="search" aria-label="What to show" onSubmit={(event) => event.preventDefault()}>
        <Select title="Metric" value={of("metric", "cost")} among={Object.fromEntries(Object.entries(METRICS).map(([name, { title }]) => [name, title]))} set={(value) => set("metric", value)} />
        <Select title="Group by" value={by} among={words([...BYS, "none"])} set={(value) => set("by", value)} />
        <Select title="When" value={since} among={SPANS} set={(value) => set("since", value)} />
        <Select title="Interval" value={given.get("interval") ?? ""} among={TIMES} set={(value) => set("interval", value)} />
        {BYS.map((name) => (
          <Filter key={name} title={`Only ${name}`} hint={name === "model" ? "openai/*" : ""} value={given.get(name) ?? ""} set={(value) => set(name, value)} />
        ))}
        <label class="row small tick">
          <input type="checkbox" checked={given.has("sum")} onChange={() => set("sum", given.has("sum") ? "" : "true")} />
          Cumulative
        </label>
      </form>
      <Views now={given.toString()} />
      {error && <Problem error={error} again={again} />}
      {!data && !error && <Waiting />}
      {data && <Drawn report={data} metric={metric} by={by} interval={interval} sum={given.has("sum")} calls={hashOf("calls", "", Object.fromEntries([...given, ["since", since]].filter(([name]) => PASSED.includes(name!))))} />}
    </div>
  );
}

interface Asked {
  report: Report;
  metric: Metric;
  by: string;
  interval: string;
  sum: boolean;
  calls: string;
}

function Drawn({ report, metric, by, interval, sum, calls }: Asked) {
  const title = `${metric.title} by ${by === "none" ? "" : `${by} and `}${interval}`;
  if (!report.rows.length) return <Card title={title}><Empty title="Nothing was used in this time">Choose a longer one, or fewer filters.</Empty></Card>;
  const { times, lines, left } = pivot(report.rows, metric, by);
  const shown = sum && metric.sums ? lines.map(addedUp) : lines;
  const whole = metric.of(report.total);
  return (
    <Card title={title} aside={<>{whole === null ? "" : `${metric.shown(whole)} in all · `}<a href={calls}>The calls</a></>}>
      <OverTime title={title} interval={interval} times={times} lines={shown} shown={metric.shown} />
      {left > 0 && <p class="body soft small">{metric.sums ? `${count(left)} more are added up as others.` : `${count(left)} more are not drawn; the file has them.`}</p>}
    </Card>
  );
}

// The largest as lines of their own; the rest as one where figures add up, and else left out.
export function pivot(rows: Figures[], metric: Metric, by: string): { times: string[]; lines: Line[]; left: number } {
  const times = [...new Set(rows.map((row) => row.at as string))].sort((one, other) => Date.parse(one) - Date.parse(other)); // an hour may be there twice
  const places = new Map(times.map((at, n) => [at, n]));
  const found = new Map<string, (number | null)[]>();
  const blank = () => times.map(() => (metric.sums ? 0 : null));
  for (const row of rows) {
    const name = by === "none" ? metric.title : String(row[by] ?? "") || "none";
    const values = found.get(name) ?? found.set(name, blank()).get(name)!;
    values[places.get(row.at as string)!] = metric.of(row);
  }
  const size = (line: Line) => line.values.reduce<number>((total, value) => (metric.sums ? total + (value ?? 0) : Math.max(total, value ?? 0)), 0);
  const lines = [...found].map(([name, values]): Line => ({ name, values })).sort((one, other) => size(other) - size(one));
  const rest = lines.length > LINES + 1 ? lines.splice(LINES) : [];
  if (rest.length && metric.sums) lines.push({ name: "others", values: times.map((_, n) => rest.reduce((total, line) => total + (line.values[n] ?? 0), 0)) });
  return { times, lines, left: rest.length };
}

function addedUp({ name, values }: Line): Line {
  let total = 0;
  return { name, values: values.map((value) => (total += value ?? 0)) };
}

// Views of this browser: the address is all there is of one, so that it can be sent to others as well.
function Views({ now }: { now: string }) {
  const [views, setViews] = useState(kept);
  const [name, setName] = useState("");
  const put = (changed: Record<string, string>) => {
    localStorage.setItem(KEPT, JSON.stringify(changed));
    setViews(changed);
  };
  const save = (event: Event) => {
    event.preventDefault();
    put({ ...views, [name.trim()]: now });
    setName("");
  };
  return (
    <form class="row small" aria-label="Views" onSubmit={save}>
      {Object.entries(views).map(([title, params]) => (
        <span class="tag" key={title}>
          <a href={hashOf("explore", "", new URLSearchParams(params))}>{title}</a>{" "}
          <button type="button" class="plain" aria-label={`Forget the view ${title}`} onClick={() => put(Object.fromEntries(Object.entries(views).filter(([one]) => one !== title)))}>
            ✕
          </button>
        </span>
      ))}
      <input value={name} aria-label="Name of this view" placeholder="Keep this view as …" required maxLength={40} onInput={(event) => setName(event.currentTarget.value)} />
      <button>Keep it</button>
    </form>
  );
}

function kept(): Record<string, string> {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}") as Record<string, string>;
  } catch {
    return {};
  }
}
