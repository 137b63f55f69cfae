// Several models at once: beside each other, to the playground, and switched by their names or by a pattern.
import { useEffect, useState } from "preact/hooks";
import { read } from "../api";
import { count, usd } from "../format";
import { hashOf } from "../router";
import { Card, Dialog, Problem } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import type { Write } from "../ui/write";
import { price, type Model } from "./models";

const COLUMNS = 4; // as the playground has them
const PAUSE_MS = 250;
const NAMED = 8;

// What is chosen stays so while the filters change.
export function Chosen({ chosen, write, clear }: { chosen: Model[]; write: Write; clear: () => void }) {
  const [comparing, setComparing] = useState(false);
  const some = chosen.length >= 2 && chosen.length <= COLUMNS;
  const turn = async (enabled: boolean) => {
    for (const { name } of chosen) if (!(await write.run("PATCH", "models", { body: { pattern: name, enabled } }))) return;
    clear();
  };
  const asked = Object.fromEntries(chosen.slice(0, COLUMNS).map(({ name }, n) => ["abcd"[n], name]));
  return (
    <Card title={`${count(chosen.length)} chosen`} aside={some ? "" : `2 to ${COLUMNS} can be compared`}>
      <div class="body row">
        <button class="main" disabled={!some} onClick={() => setComparing(true)}>Compare</button>
        {chosen.length <= COLUMNS && <a class="button" href={hashOf("playground", "", asked)}>Ask them something</a>}
        <button disabled={write.busy} onClick={() => void turn(false)}>Switch them off</button>
        <button disabled={write.busy} onClick={() => void turn(true)}>Switch them on</button>
        <button class="plain" onClick={clear}>Choose none</button>
      </div>
      {comparing && <Compared chosen={chosen} close={() => setComparing(false)} />}
    </Card>
  );
}

interface Fact {
  name: string;
  of: (one: Model) => string;
}

const known = (value: string | null) => value ?? "not known";
const CALL = { input: 1000, output: 500 };
const costOf = (one: Model) => (one.input_usd === null || one.output_usd === null ? null : (CALL.input * Number(one.input_usd) + CALL.output * Number(one.output_usd)) / 1e6);
const FACTS: Fact[] = [
  { name: "Goes to", of: (one) => one.problem ?? known(one.target) },
  { name: "Input, a million tokens", of: (one) => price(one.input_usd) },
  { name: "Output, a million tokens", of: (one) => price(one.output_usd) },
  { name: `A call of ${count(CALL.input)} tokens in, ${CALL.output} out`, of: (one) => usd(costOf(one)?.toString()) },
  { name: "Context, tokens", of: (one) => count(one.context_length) },
  { name: "Longest answer, tokens", of: (one) => count(one.max_output) },
  { name: "Takes", of: (one) => one.takes.join(", ").replaceAll("_", " ") || "text" },
  { name: "Makes", of: (one) => one.makes.join(", ").replaceAll("_", " ") || "not known" },
  { name: "Released", of: (one) => known(one.released) },
  { name: "Ends", of: (one) => one.ends ?? "no day is told" },
];

function Compared({ chosen, close }: { chosen: Model[]; close: () => void }) {
  const columns: Column<Fact>[] = [
    { name: "What", of: (fact) => <span class="soft">{fact.name}</span> },
    ...chosen.map((one): Column<Fact> => ({ name: one.name, of: (fact) => fact.of(one) })),
  ];
  return (
    <Dialog sheet title={<h2>Models compared</h2>} onClose={close}>
      <Table caption="Models compared" columns={columns} rows={FACTS} id={(fact) => fact.name} />
      <p class="soft small">Of a name that leads to several, the first is shown. How good their answers are, the playground shows.</p>
    </Dialog>
  );
}

// As the daemon takes patterns: over names, and over provider/model.
export function fits(pattern: string, one: Model): boolean {
  const source = pattern.replace(/[.+^${}()|\\[\]]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  const shape = new RegExp(`^${source}$`, "s");
  return [one.name, (one.target ?? "").split(", then ")[0]!.replace(": ", "/")].some((name) => shape.test(name));
}

export function Switching({ write, close }: { write: Write; close: () => void }) {
  const [pattern, setPattern] = useState("");
  const [models, setModels] = useState<Model[]>([]);
  const [error, setError] = useState<Error | null>(null);
  const [told, setTold] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => Promise.all([read<{ models: Model[] }>("models"), read<{ models: Model[] }>("models?off=true")]).then((both) => setModels(both.flatMap((one) => one.models)), setError), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [told]);
  const found = pattern ? models.filter((one) => fits(pattern, one)).map(({ name }) => name) : [];
  const tell = (answer: { changes: string[] } | null, done: string) => answer && setTold(answer.changes.length ? `${done} ${answer.changes.join("; ")}` : "That is so already.");
  const turn = async (enabled: boolean) =>
    tell(await write.run<{ changes: string[] }>("PATCH", "models", { body: { pattern, enabled } }), `Switched ${enabled ? "on" : "off"}:`);
  const undo = async () => tell(await write.run<{ changes: string[] }>("POST", "models/undo", { body: {} }), "Taken back:");
  return (
    <Dialog title={<h2>Switch many</h2>} onClose={close}>
      <form class="form" onSubmit={(event) => event.preventDefault()}>
        <label class="field">
          Every model that fits
          <input value={pattern} placeholder="anthropic/*" autocomplete="off" onInput={(event) => setPattern(event.currentTarget.value.trim())} />
        </label>
        <p class="soft small wraps" role="status">
          {!pattern ? "A name, or a part of one with * for the rest; provider/* for all of a provider." : `${count(found.length)} names fit${found.length ? `: ${found.slice(0, NAMED).join(", ")}${found.length > NAMED ? " …" : ""}` : ""}`}
        </p>
        {(error ?? write.error) && <Problem error={(error ?? write.error) as Error} />}
        {told && <p class="note-box wraps" role="status">{told}</p>}
        <div class="row">
          <button disabled={!pattern || write.busy} onClick={() => void turn(false)}>Switch off</button>
          <button disabled={!pattern || write.busy} onClick={() => void turn(true)}>Switch on</button>
          <button class="plain" type="button" disabled={write.busy} onClick={() => void undo()}>Take the latest switching back</button>
        </div>
      </form>
    </Dialog>
  );
}
