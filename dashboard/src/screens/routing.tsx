// Where calls go: strategies with what they would have done last week, a request tried, chains of fallbacks, experiments.
import { useState } from "preact/hooks";
import { usd, milliseconds, share } from "../format";
import { useResource } from "../resource";
import { hashOf, type Place } from "../router";
import { Card, Empty, Head, Problem, Waiting } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Choice, Form, ifStill, listOf, Text, useWrite } from "../ui/write";
import { Experiments } from "./experiments";
import { Strategies, type Known } from "./strategies";

interface Decision {
  selected_model: string;
  fallback_models: string[];
  reasons: string[];
  dropped: { model: string; reason: string }[];
  estimated_cost_usd: string | null;
  estimated_latency_ms: number;
  confidence: number;
}

export interface Stored {
  sections: Record<string, Record<string, { version: number; value: unknown; source: string }>>;
}

export function Routing({ place }: { place: Place }) {
  const known = useResource<Known>("routing/strategies");
  const own = useResource<Stored>("settings/strategies");
  const names = useResource<Stored>("settings/models");
  return (
    <div class="stack">
      <Head title="Routing" />
      {known.error && <Problem error={known.error} again={known.again} />}
      {!known.data && !known.error && <Waiting />}
      {known.data && <Strategies known={known.data} stored={own.data?.sections.strategies ?? {}} after={() => (known.again(), own.again())} />}
      {known.data && <Try strategies={Object.keys(known.data.strategies)} />}
      <Chains models={names.data?.sections.models} error={names.error} after={names.again} />
      <Experiments place={place} />
    </div>
  );
}

function Try({ strategies }: { strategies: string[] }) {
  const [told, setTold] = useState<Decision | null>(null);
  const write = useWrite(() => undefined);
  const send = async (given: Record<string, string>) => {
    const body = {
      model: given.model,
      messages: [{ role: "user", content: given.prompt }],
      needs: listOf(given.needs),
      candidates: listOf(given.candidates),
      ...(given.strategy ? { strategy: given.strategy } : {}),
      ...(given.key ? { key: given.key } : {}),
    };
    setTold(await write.run<Decision>("POST", "routing/recommend", { body }));
  };
  return (
    <Card title="Try a request" aside="Nothing is sent.">
      <div class="body stack">
        <Form write={write} send={(given) => void send(given)} word="Where would it go?">
          <Text name="prompt" title="Prompt" value="Hello" needed />
          <div class="pair">
            <Text name="model" title="Model" value="auto" needed />
            <Choice name="strategy" title="Strategy" among={["", ...strategies]} />
            <Text name="candidates" title="Only among, with commas" hint="as the model says" />
            <Text name="needs" title="Must take, with commas" hint="images, tools" />
            <Text name="key" title="For the key" hint="nobody's" />
          </div>
        </Form>
        {told && <Told of={told} />}
      </div>
    </Card>
  );
}

function Told({ of }: { of: Decision }) {
  return (
    <div class="note-box" role="status">
      <p>
        <strong>{of.selected_model || "No candidate fits"}</strong>, likely {usd(of.estimated_cost_usd)} in {milliseconds(of.estimated_latency_ms)}, {share(of.confidence, 1)} sure
      </p>
      <ul class="plain-list">
        {of.reasons.map((one) => <li key={one}>{one}</li>)}
      </ul>
      {of.fallback_models.length > 0 && <p class="soft small">Then: {of.fallback_models.slice(0, 8).join(", ")}{of.fallback_models.length > 8 ? " …" : ""}</p>}
      {of.dropped.length > 0 && <p class="soft small">Not: {of.dropped.slice(0, 8).map((one) => `${one.model} (${one.reason})`).join("; ")}{of.dropped.length > 8 ? " …" : ""}</p>}
    </div>
  );
}

interface Chain {
  name: string;
  first: string;
  then: string[];
  source: string;
}

function chainOf(name: string, value: unknown, source: string): Chain {
  const { target, candidates, fallbacks } = (typeof value === "string" ? { target: value } : value) as Record<string, unknown>;
  const among = ((candidates as (string | { target: string })[]) ?? []).map((one) => (typeof one === "string" ? one : one.target));
  return { name, first: (target as string) || among.join(" or "), then: (fallbacks as string[]) ?? [], source };
}

const CHAINS: Column<Chain>[] = [
  { name: "Name", of: (one) => <span class="cut">{one.name}</span> },
  { name: "Goes to", of: (one) => <span class="cut" title={one.first}>{one.first}</span> },
  { name: "Then, in order", of: (one) => <span class="cut" title={one.then.join(", ")}>{one.then.join(", ") || "–"}</span> },
  { name: "Defined in", of: (one) => <span class="cut soft">{one.source}</span>, wide: true },
];

function Chains({ models, error, after }: { models: Stored["sections"][string] | undefined; error: Error | null; after: () => void }) {
  const write = useWrite(after, "models");
  const send = (given: Record<string, string>) => {
    const value = { target: given.target, fallbacks: listOf(given.fallbacks) };
    void write.run("PUT", `settings/models/${encodeURIComponent(given.name ?? "")}`, { body: { value }, headers: ifStill(models?.[given.name ?? ""]?.version) });
  };
  const rows = Object.entries(models ?? {}).map(([name, { value, source }]) => chainOf(name, value, source));
  return (
    <Card title="Names and their fallbacks">
      {error && <div class="body"><Problem error={error} again={after} /></div>}
      {rows.length ? (
        <Table caption="Names and their fallbacks" columns={CHAINS} rows={rows} id={(one) => one.name} href={(one) => hashOf("settings", `models.${one.name}`)} />
      ) : models && (
        <Empty title="No name of your own yet">A name leads to a model, and to others when that one does not answer.</Empty>
      )}
      <div class="body">
        <Form write={write} send={send} word="Put the name in force">
          <div class="pair">
            <Text name="name" title="Name" hint="smart" needed />
            <Text name="target" title="Goes to" hint="openai/gpt-4o" needed />
            <Text name="fallbacks" title="Fallbacks, with commas" hint="anthropic/claude-sonnet-4.5" />
          </div>
        </Form>
      </div>
    </Card>
  );
}
