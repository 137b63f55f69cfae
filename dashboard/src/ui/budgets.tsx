import { clock, count, until } from "../format";
import { useResource } from "../resource";
import { hashOf } from "../router";
import type { Budget } from "../types";
import { Empty, Usd } from "./parts";

const HIGH = 0.8;
const OFTEN_MS = 60_000;
const SHOWN = 20; // thousands of keys may have one each

interface Forecast {
  budgets: { budget: string; exhausted_at: string | null }[];
}

// When those run out that will, by the forecast; of none for those who may not see it.
export function useEnds(): Map<string, string> {
  const { data } = useResource<Forecast>("forecast", OFTEN_MS, true);
  return new Map(data?.budgets.flatMap((one) => (one.exhausted_at ? [[one.budget, one.exhausted_at] as const] : [])));
}

// The fullest budgets, each with what is spent and held of it.
export function BudgetLines({ budgets, ends }: { budgets: Budget[]; ends?: Map<string, string> }) {
  if (!budgets.length) {
    return (
      <Empty title="Nothing limits what is spent">
        Set one under <a href={hashOf("budgets")}>Budgets</a>, or in the file under <code>budgets:</code>, such as <code>{"- {usd: 100, per: month}"}</code>.
      </Empty>
    );
  }
  const full = (budget: Budget) => Number(budget.spent_usd) / (Number(budget.cap_usd) || 1);
  const sorted = [...budgets].sort((one, other) => full(other) - full(one));
  return (
    <>
      <ul class="lines">
        {sorted.slice(0, SHOWN).map((budget) => (
          <Line key={budget.budget} budget={budget} used={full(budget)} end={ends?.get(budget.budget)} />
        ))}
      </ul>
      {sorted.length > SHOWN && (
        <p class="soft small">
          Of {count(sorted.length - SHOWN)} others less is spent: <a href={hashOf("budgets")}>all budgets</a>
        </p>
      )}
    </>
  );
}

function Line({ budget, used, end }: { budget: Budget; used: number; end: string | undefined }) {
  const tone = used >= 1 ? " bad" : used >= HIGH ? " warn" : "";
  const held = Number(budget.held_usd) / (Number(budget.cap_usd) || 1);
  const percent = Math.round(100 * used);
  return (
    <li class="line">
      <div class="top">
        <span class="cut" title={budget.budget}>
          {budget.budget}
          {budget.shadow && <span class="tag"> shadow</span>}
        </span>
        <span class="num">
          <Usd of={budget.spent_usd} /> <span class="soft">of</span> <Usd of={budget.cap_usd} />
        </span>
      </div>
      <div
        class={`meter${tone}`}
        role="meter"
        aria-label={`Spent of ${budget.budget}`}
        aria-valuenow={percent}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <i style={{ width: `${Math.min(100, 100 * used)}%` }} />
        <i class="held" style={{ width: `${Math.min(100, 100 * held)}%` }} />
      </div>
      {end && used < 1 && (
        <div class="state warn small" title={end}>
          runs out about {clock(end).slice(0, -3)}
        </div>
      )}
      <div class="soft small">
        {percent} %, {until(budget.resets_at)}
        {Number(budget.held_usd) > 0 && (
          <>
            {" · "}
            <Usd of={budget.held_usd} /> held
          </>
        )}
      </div>
    </li>
  );
}
