// What is ahead: where budgets will stand when they start anew, when credit runs out, and what would have cost less.
import { query } from "../api";
import { count } from "../format";
import { useResource } from "../resource";
import { hashOf } from "../router";
import { Card, Copy, Empty, isForbidden, Problem, State, Usd, Waiting, When, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";

interface Ahead {
  exhausted_at: string | null;
  confidence: "high" | "medium" | "low";
}

interface BudgetAhead extends Ahead {
  budget: string;
  cap_usd: string;
  spent_usd: string;
  at_end_usd: { p10: string; p50: string; p90: string } | null;
  resets_at: string | null;
}

interface CreditAhead extends Ahead {
  provider: string;
  tenant: string | null;
  left_usd: string;
}

interface Expected {
  budgets: BudgetAhead[];
  credits: CreditAhead[];
  left_off: number;
}

const RESTS: Record<Ahead["confidence"], string> = { high: "two weeks or more", medium: "some days", low: "little" };
const Ends = ({ one }: { one: Ahead }) => (one.exhausted_at ? <State tone="warn"><When at={one.exhausted_at} /></State> : <State tone="good">it lasts</State>);

const BUDGETS: Column<BudgetAhead>[] = [
  { name: "Budget", of: (one) => <a class="cut" href={hashOf("budgets", one.budget)}>{one.budget}</a> },
  { name: "Runs out", of: (one) => <Ends one={one} /> },
  { name: "Spent", of: (one) => <><Usd of={one.spent_usd} /> <span class="soft">of</span> <Usd of={one.cap_usd} /></>, right: true, wide: true },
  { name: "At its end", of: (one) => <Usd of={one.at_end_usd?.p50} />, right: true },
  { name: "In 8 cases of 10", of: (one) => one.at_end_usd && <><Usd of={one.at_end_usd.p10} /> to <Usd of={one.at_end_usd.p90} /></>, right: true, wide: true },
  { name: "Rests on", of: (one) => <span class="soft">{RESTS[one.confidence]}</span>, wide: true },
];

const CREDITS: Column<CreditAhead>[] = [
  { name: "Credit at", of: (one) => <>{one.provider} {one.tenant && <span class="tag">{one.tenant}</span>}</> },
  { name: "Left", of: (one) => <Usd of={one.left_usd} />, right: true },
  { name: "Runs out", of: (one) => <Ends one={one} /> },
  { name: "Rests on", of: (one) => <span class="soft">{RESTS[one.confidence]}</span>, wide: true },
];

export function Forecast() {
  const { data, error, again } = useResource<Expected>("forecast");
  if (isForbidden(error) || (data && !data.budgets.length && !data.credits.length)) return null;
  return (
    <Card title="Forecast" aside={data?.left_off ? `${count(data.left_off)} more budgets were not looked at` : ""}>
      {error && <div class="body"><Problem error={error} again={again} /></div>}
      {!data && !error && <Waiting />}
      {data && data.budgets.length > 0 && <Table caption="Where budgets will stand" columns={BUDGETS} rows={data.budgets} id={(one) => one.budget} />}
      {data && data.credits.length > 0 && <Table caption="When credit runs out" columns={CREDITS} rows={data.credits} id={(one) => `${one.provider} ${one.tenant}`} />}
    </Card>
  );
}

interface Saving {
  kind: string;
  model: string;
  provider: string;
  to: string | null;
  saves_usd: string;
  confidence: string;
  why: string;
  how: string;
}

const SHOWN = 10;
const TONES: Record<string, Tone> = { high: "good", medium: "good", unproven: "warn" };
const KINDS: Record<string, string> = {
  cheaper_provider: "the same model elsewhere",
  cheaper_model: "a cheaper model",
  prompt_cache: "prompts that begin alike",
  batch: "as a batch",
  flex: "at the price of what can wait",
  maximum: "a maximum that replies never come near",
  repeats: "the same asked again",
  unused_tools: "tools that are never called",
};

// Advice; it takes a right that not everybody has.
export function Savings({ since }: { since: string }) {
  const { data, error, again } = useResource<{ spent_usd: string; savings: Saving[] }>(`savings${query({ since })}`);
  if (isForbidden(error)) return null;
  return (
    <Card title="What would have cost less" aside={data && data.savings.length > 0 && <>of <Usd of={data.spent_usd} />; two may be about the same calls</>}>
      <div class="body">
        {error && <Problem error={error} again={again} />}
        {!data && !error && <Waiting />}
        {data?.savings.length === 0 && <Empty title="Nothing that is known of">Advice comes with what was spent: choose a longer time.</Empty>}
        <ul class="lines">{data?.savings.slice(0, SHOWN).map((one) => <Advice key={`${one.kind} ${one.model} ${one.provider} ${one.to}`} one={one} />)}</ul>
      </div>
    </Card>
  );
}

// What stands between backticks is to be typed.
const Said = ({ text }: { text: string }) => <>{text.split("`").map((part, at) => (at % 2 ? <code key={at}>{part}</code> : part))}</>;

function Advice({ one }: { one: Saving }) {
  const tried = { experiment: one.model, to: one.to ?? "", called: /experiments\.(\S+)/.exec(one.how)?.[1] ?? "" };
  return (
    <li class="advice">
      <div class="row">
        <strong>{Number(one.saves_usd) === 0 ? "Room in budgets" : <Usd of={one.saves_usd} />}</strong>
        <span>{KINDS[one.kind] ?? one.kind.replaceAll("_", " ")}:</span>
        <span class="wraps">{one.model} at {one.provider}{one.to && one.to !== one.model ? ` → ${one.to}` : ""}</span>
        <State tone={TONES[one.confidence] ?? "idle"}>{one.confidence === "unproven" ? "unproven" : `${one.confidence} confidence`}</State>
      </div>
      <p class="soft small wraps"><Said text={one.why[0]?.toUpperCase() + one.why.slice(1)} />.</p>
      <div class="small wraps">
        {one.kind === "cheaper_model" && one.to ? <a href={hashOf("routing", "", tried)}>Try it on 5 % of the sessions</a> : <>How: <Said text={one.how} /> {one.how.startsWith("tollkeeper ") && <Copy text={one.how} />}</>}
      </div>
    </li>
  );
}
