// Budgets: where each stands, corrected and made here.
import { useState } from "preact/hooks";
import { until } from "../format";
import { useResource } from "../resource";
import { go, hashOf, type Place } from "../router";
import type { Budget } from "../types";
import { BudgetLines, useEnds } from "../ui/budgets";
import { Card, Dialog, Head, Problem, State, Usd, Waiting, When } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Choice, Form, ifStill, Text, useWrite, type Write } from "../ui/write";

const PERS = ["month", "day", "week", "hour", "total"];
const columns = (ends: Map<string, string>): Column<Budget>[] => [
  { name: "Budget", of: (one) => <span class="cut">{one.budget}</span> },
  { name: "Cap", of: (one) => <Usd of={one.cap_usd} />, right: true, wide: true },
  { name: "Spent", of: (one) => <Usd of={one.spent_usd} />, right: true, wide: true },
  { name: "Held", of: (one) => <Usd of={one.held_usd} />, right: true, wide: true },
  { name: "Left", of: (one) => <Usd of={one.left_usd} />, right: true },
  { name: "Runs out", of: (one) => <Lasts one={one} end={ends.get(one.budget)} /> },
  { name: "Resets", of: (one) => <span class="soft">{until(one.resets_at)}</span>, wide: true },
];

export function Budgets({ place }: { place: Place }) {
  const { data, error, again } = useResource<{ budgets: Budget[] }>("budgets", 5000);
  const ends = useEnds();
  const [making, setMaking] = useState(false);
  const correcting = useWrite(again, "adjust");
  const write = useWrite(again, "budgets");
  const chosen = data?.budgets.find((one) => one.budget === place.rest);
  return (
    <div class="stack">
      <Head title="Budgets" why={write.why}>
        <button class="main" disabled={write.why !== ""} onClick={() => setMaking(true)}>
          New budget
        </button>
      </Head>
      {error && <Problem error={error} again={again} />}
      <Card title="Where they stand">
        {!data && !error && <Waiting />}
        {data && (data.budgets.length ? (
          <Table caption="Budgets" columns={columns(ends)} rows={data.budgets} id={(one) => one.budget} href={(one) => hashOf("budgets", one.budget)} />
        ) : <BudgetLines budgets={[]} />)}
      </Card>
      {making && <Making write={write} close={() => setMaking(false)} />}
      {chosen && <Correcting of={chosen} write={correcting} />}
    </div>
  );
}

function Lasts({ one, end }: { one: Budget; end: string | undefined }) {
  if (Number(one.left_usd) <= 0) return <State tone="bad">nothing is left</State>;
  return end ? <State tone="warn">about <When at={end} /></State> : <State tone="good">not at this pace</State>;
}

function Making({ write, close }: { write: Write; close: () => void }) {
  const send = async (given: Record<string, string>) => {
    const value = { usd: Number(given.usd), per: given.per };
    if (await write.run("PUT", `settings/budgets/${encodeURIComponent(given.name ?? "")}`, { body: { value }, headers: ifStill() })) close();
  };
  return (
    <Dialog title={<h2>New budget for everything together</h2>} onClose={close}>
      <Form write={write} send={(given) => void send(given)} word="Set it">
        <Text name="name" title="Name" needed />
        <div class="pair">
          <Text name="usd" title="USD" needed type="number" />
          <Choice name="per" title="a" among={PERS} />
        </div>
        <p class="soft small">A budget of one key is set with the key.</p>
      </Form>
    </Dialog>
  );
}

function Correcting({ of, write }: { of: Budget; write: Write }) {
  const close = () => go(hashOf("budgets"));
  const send = async (given: Record<string, string>) => {
    const path = `budgets/${encodeURIComponent(of.budget)}/adjustments`;
    if (await write.run("POST", path, { body: { usd: given.usd, reason: given.reason } })) close();
  };
  return (
    <Dialog title={<h2>{of.budget}</h2>} onClose={close}>
      <BudgetLines budgets={[of]} />
      <Form write={write} send={(given) => void send(given)} word="Correct what is spent">
        <Text name="usd" title="Add to what is spent, in USD; below zero gives back" hint="-0.25" needed />
        <Text name="reason" title="Why" needed />
      </Form>
    </Dialog>
  );
}
