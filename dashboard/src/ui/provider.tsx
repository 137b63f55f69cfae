import { count, milliseconds, seconds, share } from "../format";
import { useResource } from "../resource";
import type { Provider } from "../types";
import type { Figures, Report } from "./figures";
import { State } from "./parts";

const MANY = 0.05; // so many failures are worth a look
const OFTEN_MS = 15_000;
export const LAST_HOUR = "analytics/performance?since=1h&by=provider";

type Hours = Map<string, Figures>;

// What each has done in the last hour, by its name; null for those who may not see it.
export function useLastHour(): Hours | null {
  const { data } = useResource<Report>(LAST_HOUR, OFTEN_MS, true);
  return data && new Map(data.rows.map((row) => [String(row.provider), row]));
}

// How a provider fares: as its breaker saw it, and else as its attempts of the last hour went.
export function ProviderState({ provider, hours }: { provider: Provider; hours: Hours | null }) {
  if (provider.breaker === "open") {
    return <State tone="bad">left alone, again in {seconds(provider.retry_in_seconds)}</State>;
  }
  if (provider.failures || provider.models.length) return <State tone="warn">some calls fail</State>;
  const hour = hours?.get(provider.provider);
  if (!hour?.attempts) return <State tone="idle">{hours ? "not called in the last hour" : "no failures"}</State>;
  if (hour.errors === hour.attempts) return <State tone="bad">every call fails</State>;
  return hour.errors > MANY * hour.attempts ? <State tone="warn">some calls fail</State> : <State tone="good">answers</State>;
}

export function LastHour({ provider, hours }: { provider: Provider; hours: Hours | null }) {
  const hour = hours?.get(provider.provider);
  if (!hour?.attempts) return null;
  const { p50 } = hour.first_token_ms;
  return <>{count(hour.attempts)} in the last hour, {share(hour.errors, hour.attempts)} failed{p50 === null ? "" : `, first token ${milliseconds(p50)}`}</>;
}
