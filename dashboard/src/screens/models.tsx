// Models: found, filtered, compared, switched off and on, one or many; the providers' lists fetched anew, told as it goes.
import { useState } from "preact/hooks";
import { pageHeaders, query, refusal, wantLogin } from "../api";
import { count } from "../format";
import { useResource } from "../resource";
import { go, hashOf, placeOf, type Place } from "../router";
import { events } from "../stream";
import { Card, Empty, Head, Problem, State, Waiting } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Filter } from "../ui/filter";
import { useWrite } from "../ui/write";
import { Chosen, Switching } from "./choosing";

export interface Model {
  name: string;
  target: string | null;
  problem: string | null;
  provider: string | null;
  author: string | null;
  context_length: number | null;
  max_output: number | null;
  input_usd: string | null;
  output_usd: string | null;
  takes: string[];
  makes: string[];
  released: string | null;
  ends: string | null;
}

interface Step {
  event: string;
  provider?: string;
  models?: number;
  problem?: string | null;
  done: number;
  of: number;
}

const MOST = 200;
const FILTERS: [string, string, string][] = [
  ["query", "Name", "claude"],
  ["provider", "Provider", "openrouter"],
  ["author", "Author", "anthropic"],
  ["takes", "Takes", "tools,images"],
  ["max_input_usd", "Input up to, USD", "3"],
  ["min_context", "Context from, tokens", "128000"],
];
const SORTS = ["name", "input", "output", "context", "released"];
export const price = (text: string | null) => (text === null ? "–" : `$${Number(text).toLocaleString("en-US", { minimumFractionDigits: Number(text) ? 2 : 0, maximumFractionDigits: 6 })}`);

export function Models({ place }: { place: Place }) {
  const given = place.params;
  const asked = Object.fromEntries(given);
  const { data, error, again } = useResource<{ models: Model[]; off: number }>(`models${query({ ...asked, limit: MOST })}`);
  const write = useWrite(again, "models");
  const set = (name: string, value: string) => {
    const changed = placeOf(location.hash).params;
    changed.set(name, value);
    go(hashOf("models", "", changed), true);
  };
  const turn = (pattern: string, enabled: boolean) => void write.run("PATCH", "models", { body: { pattern, enabled } });
  const isOff = given.has("off");
  const [chosen, setChosen] = useState<Model[]>([]);
  const [switching, setSwitching] = useState(false);
  const isChosen = (one: Model) => chosen.some(({ name }) => name === one.name);
  const choose = (one: Model) => setChosen(isChosen(one) ? chosen.filter(({ name }) => name !== one.name) : [...chosen, one]);
  const columns: Column<Model>[] = [
    { name: "Choose", plain: true, of: (one) => <input type="checkbox" aria-label={`Choose ${one.name}`} checked={isChosen(one)} onChange={() => choose(one)} /> },
    { name: "Name", of: (one) => <Named one={one} /> },
    { name: "Input", of: (one) => price(one.input_usd), right: true },
    { name: "Output", of: (one) => price(one.output_usd), right: true },
    { name: "Context", of: (one) => count(one.context_length), right: true, wide: true },
    { name: "Provider", of: (one) => <span class="soft">{one.provider}</span>, wide: true },
    { name: "Takes", of: (one) => <span class="soft small">{one.takes.join(", ").replaceAll("_", " ")}</span>, wide: true },
    {
      name: "Action",
      right: true,
      of: (one) => (
        <button class="plain" disabled={write.busy} onClick={() => turn(one.name, isOff)} aria-label={`Switch ${isOff ? "on" : "off"} ${one.name}`}>
          {isOff ? "Switch on" : "Switch off"}
        </button>
      ),
    },
  ];
  return (
    <div class="stack">
      <Head title="Models" why={write.why}>
        <button disabled={write.why !== ""} onClick={() => setSwitching(true)}>Switch many</button>
        <Sync after={again} barred={write.why !== ""} />
      </Head>
      <form class="filters" role="search" aria-label="Filters of models" onSubmit={(event) => event.preventDefault()}>
        {FILTERS.map(([name, title, hint]) => (
          <Filter key={name} title={title} hint={hint} value={given.get(name) ?? ""} set={(value) => set(name, value)} />
        ))}
        <label class="field">
          Order
          <select value={given.get("sort") ?? "name"} onChange={(event) => set("sort", event.currentTarget.value)}>
            {SORTS.map((sort) => <option key={sort}>{sort}</option>)}
          </select>
        </label>
        <label class="row small">
          <input type="checkbox" checked={isOff} onChange={() => set("off", isOff ? "" : "true")} />
          Switched off{data?.off ? ` (${count(data.off)})` : ""}
        </label>
      </form>
      {(error ?? (switching ? null : write.error)) && <Problem error={(error ?? write.error) as Error} again={again} />}
      {chosen.length > 0 && <Chosen chosen={chosen} write={write} clear={() => setChosen([])} />}
      <Card title="Names clients may send" aside={data ? `${count(data.models.length)}${data.models.length === MOST ? "+" : ""}, prices per million tokens` : ""}>
        {!data && !error && <Waiting />}
        {data?.models.length === 0 && <Empty title="No model fits"><a href={hashOf("models")}>Remove the filters</a></Empty>}
        {data && data.models.length > 0 && <Table caption="Models" columns={columns} rows={data.models} id={(one) => one.name} />}
      </Card>
      {switching && <Switching write={write} close={() => setSwitching(false)} />}
    </div>
  );
}

function Named({ one }: { one: Model }) {
  return (
    <>
      <span class="cut" title={one.name}>{one.name}</span>
      {(one.problem ?? one.target) !== `${one.provider}: ${one.name}` && <span class="cut small soft" title={one.problem ?? one.target ?? ""}>{one.problem ?? one.target}</span>}
    </>
  );
}

function Sync({ after, barred }: { after: () => void; barred: boolean }) {
  const [step, setStep] = useState<Step | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await streamed((told) => (told.event === "change" ? undefined : setStep(told)));
      after();
    } catch (error) {
      setProblem((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <>
      {problem && <State tone="bad">{problem}</State>}
      {step && (
        <span class="soft small" role="status">
          {step.event === "done" ? `${count(step.models)} models are listed` : `${step.done} of ${step.of}: ${step.provider} ${step.problem ?? ""}`}
        </span>
      )}
      <button disabled={busy || barred} onClick={() => void run()}>
        Fetch the lists
      </button>
    </>
  );
}

async function streamed(told: (step: Step) => void): Promise<void> {
  let reply = await fetch("models/sync", { method: "POST", headers: pageHeaders() });
  if (reply.status === 401 && (await wantLogin())) reply = await fetch("models/sync", { method: "POST", headers: pageHeaders() });
  if (!reply.ok) throw await refusal(reply);
  for await (const data of events(reply)) told(JSON.parse(data) as Step);
}
