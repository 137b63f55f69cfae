// Alerts: rules of one's own over what is measured, tried by a button; and who is told.
import { useState } from "preact/hooks";
import { count, usd } from "../format";
import { useResource } from "../resource";
import { go, hashOf, type Place } from "../router";
import { Card, Code, Dialog, Empty, Head, Problem, State, Usd, Waiting, When, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Twice, useWrite, type Write } from "../ui/write";
import { Terms, type Measure } from "./rule";
import type { Stored } from "./routing";

interface Watched {
  subject: string;
  state: string;
  value: number | null;
  since: string | null;
}

interface Rule {
  name: string;
  rule: Record<string, unknown>;
  unit: string;
  state: string;
  watched: Watched[];
}

interface Tried {
  passed: boolean;
  unit: string;
  watched: Watched[];
  sent: { name: string; host: string; delivered: boolean; reason: string }[];
}

const TONES: Record<string, Tone> = { ok: "good", firing: "bad", pending: "warn" };
const figure = (value: number | null, unit: string) =>
  value === null ? "no data" : unit === "part" ? `${Number((100 * value).toPrecision(4))} %` : unit === "USD" ? usd(String(value)) : `${count(Number(value.toPrecision(6)))} ${unit}`;
// its unit stands with the figures
const plain = (metric: unknown) => String(metric).split("_").filter((word) => word !== "usd" && word !== "ms").join(" ");

function limitOf({ above, below }: Record<string, unknown>, unit: string): string {
  return above !== undefined ? `above ${figure(Number(above), unit)}` : `below ${figure(Number(below), unit)}`;
}

function columnsOf(measures: Measure[]): Column<Rule>[] {
  const ofEach = (one: Rule) => one.rule.each ?? measures.find(({ metric }) => metric === one.rule.metric)?.watches;
  const isStanding = (one: Rule) => measures.some(({ metric, watches }) => metric === one.rule.metric && watches);
  return [
    { name: "Rule", of: (one) => <span class="cut" title={one.name}>{one.name}</span> },
    { name: "State", of: (one) => <State tone={TONES[one.state] ?? "idle"}>{one.state}</State> },
    { name: "Watches", of: (one) => `${plain(one.rule.metric)}${ofEach(one) ? ` of each ${String(ofEach(one))}` : ""}`, wide: true },
    { name: "Fires", of: (one) => `${limitOf(one.rule, one.unit)}${isStanding(one) ? "" : ` over ${String(one.rule.over ?? "1h")}`}` },
    { name: "Last", of: (one) => (one.watched[0] ? figure(one.watched[0].value, one.unit) : "–"), right: true, wide: true },
  ];
}

export function Alerts({ place }: { place: Place }) {
  const { data, error, again } = useResource<{ rules: Rule[]; measures: Measure[] }>("alerts/rules", 5000);
  const [making, setMaking] = useState(false);
  const write = useWrite(again, "limits");
  const chosen = data?.rules.find((one) => one.name === place.rest);
  return (
    <div class="stack">
      <Head title="Alerts" why={write.why}>
        <button class="main" disabled={!data || write.why !== ""} onClick={() => setMaking(true)}>
          New rule
        </button>
      </Head>
      {error && <Problem error={error} again={again} />}
      <Card title="Rules" aside={data ? count(data.rules.length) : ""}>
        {!data && !error && <Waiting />}
        {data?.rules.length === 0 && <Empty title="No rule yet">A rule watches what is spent, fails, or takes long, and tells you. Budgets tell by themselves.</Empty>}
        {data && data.rules.length > 0 && (
          <Table caption="Rules" columns={columnsOf(data.measures)} rows={data.rules} id={(one) => one.name} href={(one) => hashOf("alerts", one.name)} />
        )}
      </Card>
      <Unusual />
      <Told />
      <Prometheus />
      {making && data && (
        <Dialog title={<h2>New rule</h2>} onClose={() => setMaking(false)}>
          <Terms write={write} measures={data.measures} before={{}} done={() => setMaking(false)} />
        </Dialog>
      )}
      {chosen && data && <One key={chosen.name} of={chosen} measures={data.measures} write={write} after={again} />}
    </div>
  );
}

const WATCHED: Column<Watched & { unit: string }>[] = [
  { name: "What", of: (one) => <span class="cut">{one.subject || "all together"}</span> },
  { name: "Measured", of: (one) => figure(one.value, one.unit), right: true },
  { name: "State", of: (one) => <State tone={TONES[one.state] ?? "idle"}>{one.state}</State> },
  { name: "Since", of: (one) => (one.since ? <When at={one.since} /> : "–"), wide: true },
];

function One({ of, measures, write, after }: { of: Rule; measures: Measure[]; write: Write; after: () => void }) {
  const [tried, setTried] = useState<Tried | null>(null);
  const trying = useWrite(() => undefined, "limits");
  const entry = useResource<{ version: number; value: Record<string, unknown> }>(`settings/alert_rules/${encodeURIComponent(of.name)}`, 0, true);
  const saving = useWrite(() => (after(), entry.again()), "limits");
  const close = () => go(hashOf("alerts"));
  const test = async () => setTried(await trying.run<Tried>("POST", `alerts/rules/${encodeURIComponent(of.name)}/test`, { body: {} }));
  const remove = async () => (await write.run("DELETE", `settings/alert_rules/${encodeURIComponent(of.name)}`)) && close();
  return (
    <Dialog sheet title={<h2>{of.name}</h2>} onClose={close}>
      {of.watched.length > 0 && <Table caption={`What ${of.name} watches`} columns={WATCHED} rows={of.watched.map((one) => ({ ...one, unit: of.unit }))} id={(one) => one.subject} />}
      {trying.error && <Problem error={trying.error} />}
      {write.error && <Problem error={write.error} />}
      {tried && <Result of={tried} />}
      <div class="row">
        <button disabled={trying.busy} onClick={() => void test()}>
          Measure it now, and send a test
        </button>
        <Twice word="Remove" sure={`Remove ${of.name} now`} write={write} onSure={() => void remove()} />
      </div>
      {entry.error && <Problem error={entry.error} again={entry.again} />}
      {entry.data && <Terms key={entry.data.version} name={of.name} write={saving} measures={measures} before={entry.data.value} version={entry.data.version} done={() => undefined} />}
    </Dialog>
  );
}

function Result({ of }: { of: Tried }) {
  const first = of.watched[0];
  return (
    <div class="note-box" role="status">
      <State tone={of.passed ? "warn" : "good"}>{of.passed ? "It would fire" : "It would not fire"}</State>
      <p>{first ? `${first.subject || "All together"}: ${figure(first.value, of.unit)}` : "There is nothing to measure yet."}</p>
      <ul class="plain-list">
        {of.sent.map((one) => <li key={one.name}>{one.name || one.host}: {one.delivered ? "taken" : `not taken, ${one.reason}`}</li>)}
      </ul>
      {!of.sent.length && <p class="soft small">Nobody is told: there is nobody under alerts.</p>}
    </div>
  );
}

interface Anomaly {
  kind: string;
  of: string;
  name: string;
  cost_usd: string;
  why: string;
}

// What stands out without a rule; those who may not see it see nothing.
function Unusual() {
  const { data, error } = useResource<{ since: string; anomalies: Anomaly[] }>("anomalies", 60_000, true);
  if (!data) return error ? null : <Card title="Unusual"><Waiting /></Card>;
  return (
    <Card title="Unusual" aside={<>since <When at={data.since} /></>}>
      {data.anomalies.length ? (
        <ul class="body lines">
          {data.anomalies.map((one) => (
            <li key={`${one.kind} ${one.of} ${one.name}`} class="advice">
              <div class="row"><State tone="warn">{one.kind.replaceAll("_", " ")}</State><span class="wraps">{one.of} <strong>{one.name}</strong></span></div>
              <p class="soft small wraps">{one.why}.{Number(one.cost_usd) > 0 && <> It has cost <Usd of={one.cost_usd} /> more than usual.</>}</p>
            </li>
          ))}
        </ul>
      ) : (
        <Empty title="Nothing stands out">Spending, costs of a call, errors and times are as they usually are.</Empty>
      )}
    </Card>
  );
}

// Who is told, and what budgets tell; both stand among the settings.
function Told() {
  const { data, error, again } = useResource<Stored>("settings/alerts");
  const to = Object.entries(data?.sections.alerts ?? {});
  return (
    <Card title="Who is told" aside={<a href={hashOf("settings")}>Settings</a>}>
      {error && <div class="body"><Problem error={error} again={again} /></div>}
      {to.length ? (
        <ul class="body lines">
          {to.map(([name, one]) => <li key={name}><strong>{name}</strong> <span class="soft cut">{String((one.value as { url?: string; to?: string }).url ?? (one.value as { to?: string }).to ?? "")}</span></li>)}
        </ul>
      ) : data && (
        <Empty title="Nobody">Put a webhook or mail under <code>alerts</code>, in the file or as a new entry of the <a href={hashOf("settings")}>settings</a>; what fires is in the log either way.</Empty>
      )}
    </Card>
  );
}

function Prometheus() {
  const [open, setOpen] = useState(false);
  const { data, error } = useResource<{ rules: string }>(open ? "alerts/prometheus" : null);
  return (
    <Card title="The same for Prometheus">
      <div class="body stack">
        <button class="plain" aria-expanded={open} onClick={() => setOpen(!open)}>{open ? "Hide the file" : "Show the file"}</button>
        {error && <Problem error={error} />}
        {data && open && <Code>{data.rules}</Code>}
      </div>
    </Card>
  );
}
