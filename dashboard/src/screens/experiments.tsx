// Experiments: where each stands and what its arms show; begun, ramped, held, rolled back and finished here.
import { useState } from "preact/hooks";
import { count, share } from "../format";
import { useResource } from "../resource";
import { go, hashOf, type Place } from "../router";
import { Card, Dialog, Empty, Problem, State, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Choice, Form, ifStill, Text, Twice, useWrite, type Write } from "../ui/write";

interface Arm {
  target: string;
  share: number;
  calls: number;
  errors: number;
  metric: { mean: number | null; low: number | null; high: number | null };
}

interface Experiment {
  name: string;
  state: "running" | "held" | "rolled_back" | "finished";
  arms: Arm[];
  winner: string | null;
  reason: string;
}

const TONES: Record<Experiment["state"], Tone> = { running: "good", held: "warn", rolled_back: "bad", finished: "idle" };
const METRICS = ["cost", "first_token", "total", "errors", "flags", "judge", "feedback"];
const figure = (value: number | null) => (value === null ? "–" : String(Number(value.toPrecision(3))));
const ARMS: Column<Arm>[] = [
  { name: "Arm", of: (arm) => <span class="cut">{arm.target}</span> },
  { name: "Share", of: (arm) => `${arm.share} %`, right: true },
  { name: "Calls", of: (arm) => count(arm.calls), right: true },
  { name: "Errors", of: (arm) => share(arm.errors, arm.calls), right: true, wide: true },
  { name: "Mean", of: (arm) => figure(arm.metric.mean), right: true },
  { name: "95 % within", of: (arm) => `${figure(arm.metric.low)} … ${figure(arm.metric.high)}`, right: true, wide: true },
];

// `experiment`, `to` and `called` in the address: one that advice has thought of.
export function Experiments({ place }: { place: Place }) {
  const { data, error, again } = useResource<{ experiments: Experiment[] }>("experiments", 5000);
  const advised = place.params.get("experiment");
  const [making, setMaking] = useState(advised !== null);
  const write = useWrite(again, "routing");
  const close = () => {
    setMaking(false);
    if (advised !== null) go(hashOf("routing"), true);
  };
  return (
    <Card title="Experiments" aside={<button disabled={write.why !== ""} onClick={() => setMaking(true)}>New experiment</button>}>
      {error && <Problem error={error} again={again} />}
      {write.error && !making && <Problem error={write.error} />}
      {data?.experiments.length === 0 && <Empty title="No experiment yet">One shares the calls of a name out among models, and says which does better.</Empty>}
      {data?.experiments.map((one) => <One key={one.name} of={one} write={write} />)}
      {making && <Making write={write} close={close} model={advised ?? ""} to={place.params.get("to") ?? ""} name={place.params.get("called") ?? ""} />}
    </Card>
  );
}

function One({ of, write }: { of: Experiment; write: Write }) {
  const [wanted, setWanted] = useState("");
  const order = (what: string, body: object = {}) => void write.run("POST", `experiments/${encodeURIComponent(of.name)}/${what}`, { body });
  const isOver = of.state === "finished";
  return (
    <section aria-label={`Experiment ${of.name}`}>
      <div class="body row">
        <strong>{of.name}</strong>
        <State tone={TONES[of.state]}>{of.state.replace("_", " ")}</State>
        {of.winner && <span>{of.winner} won</span>}
        <span class="soft small">{of.reason}</span>
      </div>
      <Table caption={`Arms of ${of.name}`} columns={ARMS} rows={of.arms} id={(arm) => arm.target} />
      {!isOver && (
        <div class="body row">
          <input aria-label={`Share of ${of.name} in percent`} type="number" min="0" max="100" step="any" placeholder="the next" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
          <button disabled={write.busy} onClick={() => order("ramp", wanted ? { share: Number(wanted) } : {})}>Go on to this share</button>
          {of.state !== "rolled_back" && <Under of={of} write={write} order={order} />}
        </div>
      )}
    </section>
  );
}

function Under({ of, write, order }: { of: Experiment; write: Write; order: (what: string, body?: object) => void }) {
  const winner = of.winner ?? of.arms.at(-1)?.target;
  return (
    <>
      <button disabled={write.busy || of.state === "held"} onClick={() => order("hold")}>Hold</button>
      <Twice word="Roll back" sure={`Roll ${of.name} back now`} write={write} onSure={() => order("rollback")} />
      <Twice word="Finish" sure={`All calls to ${winner}`} write={write} onSure={() => order("finish", { winner })} />
    </>
  );
}

function Making({ write, close, model, to, name }: { write: Write; close: () => void; model: string; to: string; name: string }) {
  const send = async (given: Record<string, string>) => {
    const part = Number(given.share);
    const arms = [{ target: given.first, share: 100 - part }, { target: given.second, share: part }];
    const ramp = (given.ramp ?? "").split(",").map(Number).filter((one) => one > 0);
    const value = { model: given.model, arms, metric: given.metric, ...(ramp.length ? { ramp, step: given.step || "24h" } : {}) };
    if (await write.run("PUT", `experiments/${encodeURIComponent(given.name ?? "")}`, { body: { value }, headers: ifStill() })) close();
  };
  return (
    <Dialog title={<h2>New experiment</h2>} onClose={close}>
      <Form write={write} send={(given) => void send(given)} word="Begin it">
        <Text name="name" title="Its name" hint="newer" value={name} needed />
        <Text name="model" title="The name that clients send" hint="smart" value={model} needed />
        <Text name="first" title="As it is" hint="openai/gpt-4o" value={model} needed />
        <Text name="second" title="Instead" hint="openai/gpt-5-mini" value={to} needed />
        <div class="pair">
          <Text name="share" title="Its share, percent" value="5" type="number" needed />
          <Choice name="metric" title="Measured by" among={METRICS} />
        </div>
        <div class="pair">
          <Text name="ramp" title="Steps, percent, with commas" hint="5, 25, 50, 100" />
          <Text name="step" title="Each at least" hint="24h" />
        </div>
      </Form>
    </Dialog>
  );
}
