// The terms of an alert rule: what is measured, of what part, and when it fires.
import { useState } from "preact/hooks";
import { Choice, Form, ifStill, listOf, Text, type Write } from "../ui/write";

// `watches`: what it is measured of, each by itself, as it stands; null where the rule says that. `only` may narrow it.
export interface Measure {
  metric: string;
  unit: string;
  says: string;
  watches: string | null;
  only: string[];
}

interface Given {
  name?: string;
  write: Write;
  measures: Measure[];
  before: Record<string, unknown>;
  version?: number;
  done: () => void;
}

const EACH = ["", "key", "tenant", "provider", "model", "endpoint"];

// What is not in the form stays as it was.
export function Terms({ name, write, measures, before, version, done }: Given) {
  const [metric, setMetric] = useState(String(before.metric ?? measures[0]?.metric ?? ""));
  const text = (member: string) => String(before[member] ?? "");
  const was = (before.only ?? {}) as Record<string, string>;
  const measure = measures.find((one) => one.metric === metric);
  const send = async (given: Record<string, string>) => {
    const { above: _, below: __, each: ___, over: ____, lasts: _____, min_calls, ...rest } = before;
    const only = Object.fromEntries((measure?.only ?? []).map((one) => [one, given[`only ${one}`] ?? ""]).filter(([, of]) => of));
    const span = measure?.watches ? {} : { over: given.over || "1h", ...(given.each ? { each: given.each } : {}), ...(min_calls ? { min_calls } : {}) };
    const value = { ...rest, metric, [given.side ?? "above"]: given.limit, ...span, ...(given.lasts ? { lasts: given.lasts } : {}), only, severity: given.severity, to: listOf(given.to) };
    if (await write.run("PUT", `alerts/rules/${encodeURIComponent(name ?? given.name ?? "")}`, { body: { value }, headers: ifStill(version) })) done();
  };
  return (
    <Form write={write} send={(given) => void send(given)} word={name ? "Put it in force" : "Make it"}>
      {!name && <Text name="name" title="Name" hint="dear-hour" needed />}
      <Choice title="What is measured" among={measures.map((one) => one.metric)} value={metric} set={setMetric} />
      {measure && (
        <p class="soft small">
          {measure.says.replace(/\.$/, "")}, in {measure.unit === "part" ? "parts of 1, or percent" : measure.unit}
          {measure.watches && `; of every ${measure.watches} by itself, as it stands`}.
        </p>
      )}
      <div class="pair">
        <Choice name="side" title="It fires" among={["above", "below"]} {...(before.below === undefined ? {} : { value: "below" })} />
        <Text name="limit" title="this limit" hint="5" value={text("above") || text("below")} needed />
        {!measure?.watches && <Text name="over" title="over the last" hint="1h" value={text("over")} />}
        {!measure?.watches && <Choice name="each" title="of each" among={EACH} value={text("each")} />}
        <Text name="lasts" title="for at least" hint="at once" value={text("lasts")} />
      </div>
      <div class="pair" role="group" aria-label="What counts">
        {measure?.only.map((one) => <Text key={`${metric} ${one}`} name={`only ${one}`} title={`Only ${one}`} hint={one === "model" ? "openai/*" : "all"} value={was[one] ?? ""} />)}
      </div>
      <div class="pair">
        <Choice name="severity" title="How urgent it is" among={["ticket", "page"]} value={text("severity") || "ticket"} />
        <Text name="to" title="Who is told, with commas; none: all" hint="all under alerts" value={((before.to as string[]) ?? []).join(", ")} />
      </div>
    </Form>
  );
}
