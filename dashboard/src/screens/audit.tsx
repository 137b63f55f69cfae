// What operators did, the newest first, and whether the record of it is whole.
import { useEffect, useState } from "preact/hooks";
import { query, read } from "../api";
import { count } from "../format";
import { useResource } from "../resource";
import { go, hashOf, placeOf, type Place } from "../router";
import { Filter } from "../ui/filter";
import { Card, Code, Dialog, Empty, Head, Problem, State, Waiting, When } from "../ui/parts";
import { Table, type Column } from "../ui/table";

interface Row {
  seq: number;
  at: string;
  actor: string;
  source: string;
  action: string;
  target: string;
  before: unknown;
  after: unknown;
  reason: string;
}

interface Page {
  rows: Row[];
  next: number | null;
}

const shown = (value: unknown) => (value === null || value === undefined ? "" : JSON.stringify(value));
const COLUMNS: Column<Row>[] = [
  { name: "Time", of: (row) => <When at={row.at} /> },
  { name: "Who", of: (row) => <span class="cut" title={row.source}>{row.actor}</span> },
  { name: "Action", of: (row) => row.action },
  { name: "Target", of: (row) => <span class="cut">{row.target}</span> },
  { name: "Before", of: (row) => <code class="cut" title={shown(row.before)}>{shown(row.before)}</code>, wide: true },
  { name: "After", of: (row) => <code class="cut" title={shown(row.after)}>{shown(row.after)}</code>, wide: true },
  { name: "Why", of: (row) => row.reason, wide: true },
];

export function Audit({ place }: { place: Place }) {
  const [pages, setPages] = useState<Page[]>([]);
  const [error, setError] = useState<Error | null>(null);
  const given = place.params.toString();
  const whole = useResource<{ ok: boolean; rows: number; problems: string[] }>("audit/verification");
  const load = (before: number | null) =>
    read<Page>(`audit${query({ ...Object.fromEntries(new URLSearchParams(given)), before })}`).then(
      (page) => (setPages((known) => (before ? [...known, page] : [page])), setError(null)),
      setError,
    );
  useEffect(() => void load(null), [given]);
  const set = (name: string, value: string) => {
    const changed = placeOf(location.hash).params;
    changed.set(name, value);
    go(hashOf("audit", "", changed), true);
  };
  const rows = pages.flatMap((page) => page.rows);
  const next = pages.at(-1)?.next ?? null;
  const chosen = rows.find((row) => String(row.seq) === place.rest);
  return (
    <div class="stack">
      <Head title="Audit">
        {whole.data && (
          <State tone={whole.data.ok ? "good" : "bad"}>
            {whole.data.ok ? `whole, ${count(whole.data.rows)} rows` : whole.data.problems[0]}
          </State>
        )}
      </Head>
      <form class="filters" role="search" aria-label="Filters of the audit" onSubmit={(event) => event.preventDefault()}>
        {["actor", "action", "target", "since"].map((name) => (
          <Filter
            key={name}
            title={name[0]?.toUpperCase() + name.slice(1)}
            hint={{ action: "key.*", since: "7d" }[name] ?? ""}
            value={place.params.get(name) ?? ""}
            set={(value) => set(name, value)}
          />
        ))}
      </form>
      {error && <Problem error={error} again={() => void load(null)} />}
      <Card title="What was done" aside={`${count(rows.length)}${next ? "+" : ""}`}>
        {!pages.length && !error && <Waiting />}
        {pages.length > 0 && !rows.length && <Empty title="Nothing was done yet">Whatever an operator changes leaves a row here.</Empty>}
        {rows.length > 0 && <Table caption="What operators did" columns={COLUMNS} rows={rows} id={(row) => String(row.seq)} href={(row) => hashOf("audit", String(row.seq), place.params)} />}
        {next && (
          <div class="body">
            <button onClick={() => void load(next)}>Show more</button>
          </div>
        )}
      </Card>
      {chosen && <Whole of={chosen} close={() => go(hashOf("audit", "", place.params))} />}
    </div>
  );
}

function Whole({ of, close }: { of: Row; close: () => void }) {
  return (
    <Dialog sheet title={<h2>{of.action}</h2>} onClose={close}>
      <dl class="facts">
        <div><dt>When</dt><dd><When at={of.at} /></dd></div>
        <div><dt>Who</dt><dd>{of.actor}</dd></div>
        <div><dt>From</dt><dd>{of.source}</dd></div>
        <div><dt>Target</dt><dd>{of.target}</dd></div>
        <div><dt>Why</dt><dd>{of.reason || "not said"}</dd></div>
      </dl>
      {[["Before", of.before], ["After", of.after]].map(([title, value]) => value !== null && value !== undefined && (
        <section key={String(title)}>
          <h3>{String(title)}</h3>
          <Code>{JSON.stringify(value, null, 2)}</Code>
        </section>
      ))}
    </Dialog>
  );
}
