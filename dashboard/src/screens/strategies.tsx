// Strategies: sliders for what counts, and what the calls of the last week would have cost and taken under them.
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api";
import { count, milliseconds, share, usd } from "../format";
import { Card, Empty, Problem, State, Waiting } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Choice, Form, ifStill, listOf, Text, useWrite } from "../ui/write";
import type { Stored } from "./routing";

type Weights = Record<"cost" | "speed" | "quality" | "load", number>;

export interface Known {
  strategies: Record<string, { weights: Weights }>;
  own: string[];
}

interface Simulated {
  calls: number;
  compared: number;
  changed: number;
  unserved: number;
  unpriced: number;
  was: Figures;
  would_be: Figures;
  models: Share[];
}

interface Figures {
  cost_usd: string;
  latency_ms: number;
}

interface Share {
  model: string;
  was: number;
  would_be: number;
}

const DIALS: [keyof Weights, string][] = [["cost", "Cost"], ["speed", "Speed"], ["quality", "Quality"], ["load", "Little load"]];
const MOST = 2000; // among a thousand models, what a dial's turn may take of the processor
const PAUSE_MS = 250;
const STEPS = 20;
const SHOWN = 10; // models

export function Strategies({ known, stored, after }: { known: Known; stored: Stored["sections"][string]; after: () => void }) {
  const [from, setFrom] = useState("balanced");
  const [weights, setWeights] = useState<Weights>(known.strategies.balanced!.weights);
  const [model, setModel] = useState("auto");
  const write = useWrite(after, "routing");
  const choose = (name: string) => {
    setFrom(name);
    setWeights(known.strategies[name]!.weights);
  };
  const send = (given: Record<string, string>) => {
    const was = stored[given.name ?? ""];
    void write.run("PUT", `routing/strategies/${encodeURIComponent(given.name ?? "")}`, { body: { value: { ...(was?.value as object), weights } }, headers: ifStill(was?.version) });
  };
  return (
    <Card title="Strategies" aside={`${count(known.own.length)} of your own`}>
      <div class="body stack">
        <div class="pair">
          <Choice title="Begin with" among={Object.keys(known.strategies)} value={from} set={choose} />
          <label class="field">
            Among the models of
            <input value={model} onChange={(event) => setModel(event.currentTarget.value.trim() || "auto")} />
          </label>
        </div>
        <div class="pair">
          {DIALS.map(([name, title]) => (
            <label class="field" key={name}>
              <span>{title} <span class="num">{share(weights[name], Object.values(weights).reduce((sum, one) => sum + one, 0))}</span></span>
              <input type="range" min="0" max="1" step={1 / STEPS} value={weights[name]} onInput={(event) => setWeights({ ...weights, [name]: Number(event.currentTarget.value) })} />
            </label>
          ))}
        </div>
        <Effect model={model} weights={weights} />
        <Form write={write} send={send} word="Keep it as a strategy">
          <Text key={from} name="name" title="Its name" hint="thrifty" value={known.own.includes(from) ? from : ""} needed />
        </Form>
      </div>
    </Card>
  );
}

// What is asked for while a dial turns is forgotten for what it says when it rests.
function Effect({ model, weights }: { model: string; weights: Weights }) {
  const [told, setTold] = useState<Simulated | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const asked = JSON.stringify({ ...readAsked(model), weights, since: "7d", calls: MOST });
  const isNothing = !Object.values(weights).some((one) => one > 0);
  const isFirst = useRef(true);
  useEffect(() => {
    if (isNothing) return;
    const gone = new AbortController();
    const timer = setTimeout(() => {
      ask<Simulated>("POST", "routing/simulate", { body: JSON.parse(asked), signal: gone.signal, quiet: true }).then(
        (answer) => (setTold(answer), setError(null)),
        (problem: Error) => gone.signal.aborted || (setTold(null), setError(problem)),
      );
    }, isFirst.current ? 0 : PAUSE_MS);
    isFirst.current = false;
    return () => (clearTimeout(timer), gone.abort());
  }, [asked]);
  if (isNothing) return <p class="soft">Something must count.</p>;
  if (error) return "status" in error && error.status === 404 ? <Empty title="No call of the last seven days to try it on" /> : <Problem error={error} />;
  if (!told) return <Waiting />;
  const { was, would_be: would } = told;
  const most = [...told.models].sort((one, other) => Math.max(other.was, other.would_be) - Math.max(one.was, one.would_be));
  return (
    <section aria-label="The last seven days under it" aria-live="polite" class="stack">
      <dl class="facts">
        <div><dt>Cost</dt><dd><Change was={Number(was.cost_usd)} would={Number(would.cost_usd)} shown={(value) => usd(String(value))} /></dd></div>
        <div><dt>Time of a call</dt><dd><Change was={was.latency_ms} would={would.latency_ms} shown={milliseconds} /></dd></div>
        <div><dt>Would have gone elsewhere</dt><dd>{count(told.changed)} of {count(told.compared)} calls</dd></div>
      </dl>
      {told.calls >= MOST && <p class="soft small">Of the newest {count(MOST)} calls of that time.</p>}
      {told.unserved + told.unpriced > 0 && <p class="soft small">{count(told.unserved)} could not have been served, {count(told.unpriced)} would have gone where no price is known.</p>}
      {told.models.some((one) => !one.was) && <p class="soft small">The time of a model that has answered nothing here yet is a guess.</p>}
      {told.models.length > 0 && <Table caption="Calls by model" columns={MODELS} rows={most.slice(0, SHOWN)} id={(one) => one.model} />}
      {most.length > SHOWN && <p class="soft small">{count(most.length - SHOWN)} more models have fewer calls.</p>}
    </section>
  );
}

const readAsked = (model: string) => (model.includes(",") ? { candidates: listOf(model) } : { model });

// Beyond twice as much nobody reads a percentage.
const times = (ratio: number) => (ratio >= 1000 ? "more than 1,000 times" : `${ratio.toLocaleString("en-US", { maximumSignificantDigits: 2 })} times`);

function Change({ was, would, shown }: { was: number; would: number; shown: (value: number) => string }) {
  const tone = would < was ? "good" : "warn";
  const by = !was || would === was ? "" : would >= 2 * was ? `${times(would / was)} as much` : `${would < was ? "−" : "+"}${share(Math.abs(would - was), was)}`;
  return <>{shown(would)} <span class="soft">instead of {shown(was)}</span> {by && <State tone={tone}>{by}</State>}</>;
}

const MODELS: Column<Share>[] = [
  { name: "Model", of: (one) => <span class="cut">{one.model}</span> },
  { name: "Was", of: (one) => count(one.was), right: true },
  { name: "Would be", of: (one) => count(one.would_be), right: true },
];
