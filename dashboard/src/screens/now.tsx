// What happens this minute: calls under way and just ended, the last hour, budgets, providers.
import { useState } from "preact/hooks";
import { count, milliseconds, seconds, share, usd } from "../format";
import { useLive, type Live } from "../live";
import { useResource } from "../resource";
import { hashOf } from "../router";
import type { Budget, EndedCall, LiveCall, Minute, Provider } from "../types";
import { BudgetLines, useEnds } from "../ui/budgets";
import { Outcome } from "../ui/outcome";
import { Card, Empty, Head, Problem, Spark, State, Usd, Waiting, When, Why } from "../ui/parts";
import { LAST_HOUR, LastHour, ProviderState, useLastHour } from "../ui/provider";
import { Table, type Column } from "../ui/table";
import { useWrite } from "../ui/write";
import { Welcome } from "./welcome";

const PAST = "calls/past?limit=1";
export const FIRST = [PAST, "budgets", "providers", LAST_HOUR];
const SHOWN = 30;
const RECENT_MS = 15 * 60_000;

export function Now() {
  const live = useLive();
  const past = useResource<{ calls: unknown[] }>(PAST);
  const isKnown = past.data || past.error || live.ended.length > 0 || live.calls.length > 0;
  const isNew = past.data?.calls.length === 0 && live.ended.length === 0 && live.calls.length === 0;
  return (
    <div class="stack">
      <Head title="Now">
        <Connection live={live} />
      </Head>
      {live.state === "lost" && <Problem error={new Error(`${live.problem} This page goes on when it is back.`)} />}
      {!isKnown ? <Waiting /> : isNew ? <Welcome /> : <Busy live={live} />}
    </div>
  );
}

function Connection({ live }: { live: Live }) {
  if (live.state === "live") return <State tone="good">live</State>;
  return <State tone={live.state === "lost" ? "bad" : "idle"}>{live.state === "lost" ? "not connected" : "connecting"}</State>;
}

function Busy({ live }: { live: Live }) {
  return (
    <>
      <Stats live={live} />
      <div class="split">
        <div class="stack">
          <UnderWay calls={live.calls} />
          <JustEnded live={live} />
        </div>
        <div class="stack">
          <Budgets />
          <Providers />
        </div>
      </div>
    </>
  );
}

// The last hour, a value a minute, with zeros where nothing ended.
function hourOf(minutes: Minute[], value: (minute: Minute) => number): number[] {
  const last = Math.floor(Date.now() / 60_000);
  const known = new Map(minutes.map((minute) => [Math.floor(new Date(minute.at).getTime() / 60_000), value(minute)]));
  return Array.from({ length: 60 }, (_, at) => known.get(last - 59 + at) ?? 0);
}

function Stats({ live }: { live: Live }) {
  const since = Date.now() - RECENT_MS;
  const recent = live.minutes.filter((minute) => new Date(minute.at).getTime() > since);
  const sum = (value: (minute: Minute) => number) => recent.reduce((total, minute) => total + value(minute), 0);
  const calls = sum((minute) => minute.calls);
  const errors = sum((minute) => minute.errors);
  const spent = sum((minute) => Number(minute.cost_usd));
  const token = [...live.minutes].reverse().find((minute) => minute.first_token_ms)?.first_token_ms;
  return (
    <dl class="stats">
      <Stat name="Calls under way" value={count(live.calls.length)} note={`${count(calls)} ended in 15 minutes`}>
        <Spark values={hourOf(live.minutes, (minute) => minute.calls)} />
      </Stat>
      <Stat name="Spend a minute" value={usd(String(spent / 15))} note={`${usd(String(spent))} in 15 minutes`}>
        <Spark values={hourOf(live.minutes, (minute) => Number(minute.cost_usd))} />
      </Stat>
      <Stat name="First token" value={milliseconds(token?.p50)} note={token ? `95 % within ${milliseconds(token.p95)}` : "no stream yet"}>
        <Spark values={hourOf(live.minutes, (minute) => minute.first_token_ms?.p50 ?? 0)} />
      </Stat>
      <Stat name="Errors" value={share(errors, calls)} note={`${count(errors)} of ${count(calls)} in 15 minutes`}>
        <Spark values={hourOf(live.minutes, (minute) => minute.errors)} bad />
      </Stat>
    </dl>
  );
}

function Stat({ name, value, note, children }: { name: string; value: string; note: string; children: preact.ComponentChildren }) {
  return (
    <div class="card stat">
      <dt>{name}</dt>
      <dd>{value}</dd>
      <dd class="note">{note}</dd>
      <dd aria-hidden="true">{children}</dd>
    </div>
  );
}

function UnderWay({ calls }: { calls: LiveCall[] }) {
  const write = useWrite(() => undefined, "jobs");
  const end = (call: LiveCall) => write.run("DELETE", `calls/${encodeURIComponent(call.request_id)}`);
  const columns: Column<LiveCall>[] = [
    { name: "Model", of: (call) => <span class="cut">{call.model ?? call.endpoint}</span> },
    { name: "Key", of: (call) => <span class="cut">{call.key}</span>, wide: true },
    { name: "Phase", of: (call) => (call.client_left ? "client left" : call.phase) },
    { name: "Tokens", of: (call) => count(call.output_tokens), right: true, wide: true },
    { name: "Cost", of: (call) => <Usd of={call.cost_usd} />, right: true },
    { name: "Age", of: (call) => seconds(call.age_seconds), right: true },
    {
      name: "Action",
      of: (call) => (
        <button class="plain" disabled={write.busy} onClick={() => void end(call)} aria-label={`End the call ${call.request_id}`}>
          End
        </button>
      ),
      right: true,
    },
  ];
  return (
    <Card title="Under way" aside={count(calls.length)}>
      {write.error && <Problem error={write.error} />}
      {write.why && calls.length > 0 && <div class="body"><Why of={write.why} /></div>}
      {calls.length ? (
        <Table caption="Calls under way" columns={columns} rows={calls.slice(0, SHOWN)} id={(call) => call.request_id} />
      ) : (
        <Empty title="No call is under way" />
      )}
      {calls.length > SHOWN && <p class="body soft small">{count(calls.length - SHOWN)} more are not shown.</p>}
    </Card>
  );
}

const ENDED: Column<EndedCall>[] = [
  { name: "Time", of: (call) => <When at={call.at} /> },
  { name: "Model", of: (call) => <span class="cut">{call.model ?? call.endpoint}</span> },
  { name: "Key", of: (call) => <span class="cut">{call.key ?? "–"}</span>, wide: true },
  { name: "Outcome", of: (call) => <Outcome {...call} refused={call.attempts === 0} /> },
  { name: "Tokens", of: (call) => `${count(call.input_tokens)} → ${count(call.output_tokens)}`, right: true, wide: true },
  { name: "Cost", of: (call) => <Usd of={call.cost_usd} />, right: true },
  { name: "Took", of: (call) => seconds(call.total_seconds), right: true, wide: true },
];

function JustEnded({ live }: { live: Live }) {
  const [opened] = useState(Date.now());
  const late = (call: EndedCall) => new Date(call.at).getTime() > opened;
  const all = <a href={hashOf("calls")}>All calls</a>;
  return (
    <Card title="Just ended" aside={live.missed ? <>{count(live.missed)} came too fast to be shown · {all}</> : all}>
      {live.ended.length ? (
        <Table
          caption="Calls that have just ended"
          columns={ENDED}
          rows={live.ended.slice(0, SHOWN)}
          id={(call) => call.request_id}
          href={(call) => hashOf("calls", call.request_id)}
          fresh={late}
        />
      ) : (
        <Empty title="No call has ended since the daemon was started">Earlier ones are under {all}.</Empty>
      )}
    </Card>
  );
}

function Budgets() {
  const ends = useEnds();
  const { data, error, again } = useResource<{ budgets: Budget[] }>("budgets", 5000);
  return (
    <Card title="Budgets">
      <div class="body">
        {error && <Problem error={error} again={again} />}
        {!data && !error && <Waiting />}
        {data && <BudgetLines budgets={data.budgets} ends={ends} />}
      </div>
    </Card>
  );
}

function Providers() {
  const hours = useLastHour();
  const { data, error, again } = useResource<{ providers: Provider[] }>("providers", 5000);
  return (
    <Card title="Providers">
      <div class="body">
        {error && <Problem error={error} again={again} />}
        {!data && !error && <Waiting />}
        {data?.providers.length === 0 && (
          <Empty title="No provider is configured">
            Put one under <code>providers:</code>, or its key into the environment.
          </Empty>
        )}
        <ul class="lines">
          {data?.providers.map((one) => (
            <li key={`${one.provider} ${one.tenant}`}>
              <div class="top row">
                <strong>{one.provider}</strong>
                {one.tenant && <span class="tag">{one.tenant}</span>}
                <ProviderState provider={one} hours={hours} />
              </div>
              <div class="soft small">
                <LastHour provider={one} hours={hours} />
                <div>{count(one.in_flight)} under way{one.failures ? `, ${count(one.failures)} failures in a row` : ""}</div>
                {one.models.map((alone) => (
                  <div key={alone.model}>
                    {alone.model} is left alone, again in {seconds(alone.retry_in_seconds)}
                  </div>
                ))}
              </div>
            </li>
          ))}
        </ul>
      </div>
    </Card>
  );
}
