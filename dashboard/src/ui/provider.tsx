import { seconds } from "../format";
import type { Provider } from "../types";
import { State } from "./parts";

// How a provider fares, as its breaker saw it.
export function ProviderState({ provider }: { provider: Provider }) {
  if (provider.breaker === "open") {
    return <State tone="bad">left alone, again in {seconds(provider.retry_in_seconds)}</State>;
  }
  if (provider.failures || provider.models.length) return <State tone="warn">some calls fail</State>;
  return provider.breaker === "none" ? <State tone="idle">no failures</State> : <State tone="good">answers again</State>;
}
