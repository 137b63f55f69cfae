// Past calls: filters in the address, the newest first, and a sheet for each.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { query, read, Refused } from "../api";
import { count, milliseconds } from "../format";
import { useLive } from "../live";
import { useResource } from "../resource";
import { go, hashOf, type Place } from "../router";
import type { PastCall } from "../types";
import { INTERVALS, OverTime, type Figures, type Report } from "../ui/figures";
import { Filter, Select, setter } from "../ui/filter";
import { Outcome } from "../ui/outcome";
import { Card, Empty, Head, Problem, Usd, Waiting, When } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { CallSheet } from "./call";

const PAGE = 50;
const TURNS = 60; // of half a second each, for what is rare
const TEXTS = ["key", "model", "provider", "tenant", "session", "tag", "error"];
const SPANS: Record<string, string> = { "1h": "last hour", today: "today", "7d": "7 days", "30d": "30 days", "": "ever" };
const set = setter("calls");
const OUTCOMES: Record<string, string> = { "": "any", ok: "ok", failed: "failed", refused: "refused" };

interface Page {
  calls: PastCall[];
  next: string | null;
}

const COLUMNS: Column<PastCall>[] = [
  { name: "Time", of: (call) => <When at={call.at} /> },
  { name: "Model", of: (call) => <Model call={call} /> },
  { name: "Key", of: (call) => <span class="cut">{call.key || "–"}</span>, wide: true },
  { name: "Outcome", of: (call) => <Outcome {...call} /> },
  { name: "Tokens in", of: (call) => count(call.input_tokens), right: true, wide: true },
  { name: "out", of: (call) => count(call.output_tokens), right: true, wide: true },
  { name: "Cost", of: (call) => <Usd of={call.cost_usd} />, right: true },
  { name: "From", of: (call) => <span class="soft">{call.refused ? "" : call.source}</span>, wide: true },
  { name: "First token", of: (call) => milliseconds(call.first_token_ms), right: true, wide: true },
  { name: "Took", of: (call) => milliseconds(call.total_ms), right: true },
];

function Model({ call }: { call: PastCall }) {
  return (
    <>
      <span class="cut" title={call.asked}>
        {call.asked || call.model || call.endpoint}
      </span>
      {call.model && call.model !== call.asked && <span class="cut small soft">{call.model}</span>}
      {call.attempts > 1 && <span class="tag">{call.attempts} attempts</span>}
      {call.times > 1 && <span class="tag">{count(call.times)} times</span>}
    </>
  );
}

export function Calls({ place }: { place: Place }) {
  const given = new URLSearchParams(place.params);
  const address = given.toString();
  const [pages, setPages] = useState<Page[]>([]);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(true);
  const live = useLive();
  const [seen, setSeen] = useState("");
  const [looked, setLooked] = useState<string | null>(null);
  const gone = useRef(new AbortController());
  // A search that fits little is answered bit by bit: it goes on until there is a page of it.
  const load = async (from: string | null) => {
    gone.current.abort();
    const { signal } = (gone.current = new AbortController());
    setBusy(true);
    setError(null);
    setLooked(null);
    try {
      for (let before = from, found = 0, turn = 0; turn === 0 || (before && found < PAGE && turn < TURNS); turn++) {
        const first = before === null;
        const page = await read<Page>(`calls/past${query({ ...Object.fromEntries(given), before, limit: PAGE })}`, { signal });
        setPages((known) => (first ? [page] : [...known, page]));
        if (first) setSeen(live.ended[0]?.request_id ?? "");
        before = page.next;
        found += page.calls.length;
        setLooked(page.next);
      }
    } catch (problem) {
      if (!signal.aborted) setError(problem as Error);
    }
    if (!signal.aborted) setBusy(false);
  };
  useLayoutEffect(() => {
    void load(null);
    return () => gone.current.abort();
  }, [address]);
  const calls = pages.flatMap((page) => page.calls);
  const next = pages.at(-1)?.next ?? null;
  const fresh = Math.max(0, live.ended.findIndex((call) => call.request_id === seen));
  return (
    <div class="stack">
      <Head title="Calls">
        {seen && fresh > 0 && <button onClick={() => void load(null)}>{count(fresh)} newer</button>}
        <button onClick={() => void load(null)}>Read again</button>
      </Head>
      <Filters given={given} />
      {error && <Problem error={error} again={() => void load(null)} />}
      <Histogram given={given} />
      <Card title="Calls" aside={next ? `${count(calls.length)}+` : count(calls.length)}>
        {calls.length > 0 && (
          <Table
            caption="Past calls"
            columns={COLUMNS}
            rows={calls}
            id={(call) => call.request_id}
            href={(call) => hashOf("calls", call.request_id, given)}
          />
        )}
        {!busy && !calls.length && !error && <None filtered={address !== ""} more={next !== null} />}
        {busy && (looked ? <Further to={looked} stop={() => (gone.current.abort(), setBusy(false))} /> : <Waiting />)}
        {next && !busy && (
          <div class="body">
            <button onClick={() => void load(next)}>Show more</button>
          </div>
        )}
      </Card>
      {place.rest && <CallSheet key={place.rest} id={place.rest} onClose={() => go(hashOf("calls", "", given))} />}
    </div>
  );
}

// How many there were when. Analytics do not tell tags and errors apart, and are not everybody's: then there is none.
function Histogram({ given }: { given: URLSearchParams }) {
  const [since, outcome] = [given.get("since") ?? "", given.get("outcome") ?? ""];
  const interval = { "7d": "hour", "": "day" }[since] ?? INTERVALS[since] ?? "day";
  const only = Object.fromEntries(["key", "model", "provider", "tenant", "session"].map((name) => [name, given.get(name)]));
  const isTold = !given.get("tag") && !given.get("error");
  const { data, error, loading } = useResource<Report>(isTold ? `analytics/usage${query({ since, interval, ...only })}` : null, 0, true);
  if (error instanceof Refused && error.status === 400) return <p class="soft small">{error.message}</p>;
  const { title, of } = SHOWN[outcome] ?? SHOWN[""]!;
  const name = `${title} by ${interval}`;
  // its room is kept, so that what stands below stays where it is
  if (isTold && loading && !data) return <Card title={name}><div class="body"><div class="chart" /></div></Card>;
  if (!isTold || !data?.rows.length) return null;
  return (
    <Card title={name} aside={count(of(data.total))}>
      <OverTime title={name} interval={interval} times={data.rows.map((row) => row.at as string)} lines={[{ name: title, values: data.rows.map(of) }]} shown={count} />
    </Card>
  );
}

const SHOWN: Record<string, { title: string; of: (row: Figures) => number }> = {
  "": { title: "Calls", of: (row) => row.calls + row.refused },
  ok: { title: "Calls sent", of: (row) => row.calls },
  failed: { title: "Failed attempts", of: (row) => row.errors },
  refused: { title: "Refused calls", of: (row) => row.refused },
};

// How far back it has looked; `to` begins with that moment.
const Further = ({ to, stop }: { to: string; stop: () => void }) => (
  <div class="wait row" role="status">
    Looking further back than <When at={new Date(Number(to.split("-")[0])).toISOString()} /> …
    <button onClick={stop}>Stop</button>
  </div>
);

function None({ filtered, more }: { filtered: boolean; more: boolean }) {
  if (more) return <Empty title="Nothing among the newest calls">Look further back with the button below.</Empty>;
  if (filtered) {
    return (
      <Empty title="No call fits">
        <a href={hashOf("calls")}>Remove the filters</a>
      </Empty>
    );
  }
  return (
    <Empty title="No call yet">
      <a href={hashOf("now")}>How to send the first one</a>
    </Empty>
  );
}

function Filters({ given }: { given: URLSearchParams }) {
  return (
    <form class="filters" role="search" aria-label="Filters of calls" onSubmit={(event) => event.preventDefault()}>
      <Select title="When" value={given.get("since") ?? ""} among={SPANS} set={(value) => set("since", value)} />
      <Select title="Outcome" value={given.get("outcome") ?? ""} among={OUTCOMES} set={(value) => set("outcome", value)} />
      {TEXTS.map((name) => (
        <Filter
          key={name}
          title={name[0]?.toUpperCase() + name.slice(1)}
          hint={name === "model" ? "openai/*" : ""}
          value={given.get(name) ?? ""}
          set={(value) => set(name, value)}
        />
      ))}
    </form>
  );
}
