// The shapes of the admin port's answers, as openapi.json describes them. Amounts are decimal strings in USD.
export interface LiveCall {
  request_id: string;
  at: string;
  age_seconds: number;
  phase: string;
  key: string | null;
  endpoint: string;
  model: string | null;
  provider: string | null;
  upstream_model: string | null;
  stream: boolean;
  attempts: number;
  first_token_seconds: number | null;
  output_tokens: number;
  tokens_per_second: number | null;
  cost_usd: string;
  client_left: boolean;
}

export interface EndedCall {
  request_id: string;
  at: string;
  key: string | null;
  endpoint: string;
  model: string | null;
  target: string | null;
  provider: string | null;
  stream: boolean;
  status: number;
  error: string | null;
  attempts: number;
  input_tokens: number | null;
  output_tokens: number | null;
  cost_usd: string | null;
  cost_source: string | null;
  first_token_seconds: number | null;
  total_seconds: number;
}

export interface Minute {
  at: string;
  calls: number;
  errors: number;
  cost_usd: string;
  first_token_ms: { p50: number; p95: number } | null;
}

export interface Budget {
  budget: string;
  scope: string;
  per: string;
  cap_usd: string;
  spent_usd: string;
  held_usd: string;
  left_usd: string;
  resets_at: string | null;
  shadow: boolean;
}

export interface Provider {
  provider: string;
  kind: string;
  base_url: string;
  key_source: string;
  in_flight: number;
  breaker: "closed" | "open" | "none";
  failures: number;
  retry_in_seconds: number | null;
  models: { model: string; failures: number; retry_in_seconds: number }[];
  tenant: string | null;
}

export interface PastCall {
  request_id: string;
  at: string;
  key: string;
  endpoint: string;
  asked: string;
  model: string;
  provider: string;
  status: number;
  error: string | null;
  refused: boolean;
  stream: boolean;
  attempts: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: string;
  source: string;
  first_token_ms: number | null;
  total_ms: number;
  times: number;
  tenant: string | null;
  session: string | null;
  tags: string[];
}

export interface Attempt {
  attempt: number;
  provider: string;
  model: string;
  upstream_model: string;
  served: string | null;
  status: number;
  outcome: string;
  error: string | null;
  input_tokens: number;
  output_tokens: number;
  cached_input_tokens: number;
  reasoning_tokens: number;
  hold_usd: string;
  cost_usd: string;
  source: string;
  first_token_ms: number | null;
  total_ms: number;
  upstream_id: string | null;
  adjusted: string;
  shadow_rejections: string[];
}

export interface Span {
  attempt: number;
  what: string;
  start_ms: number;
  duration_ms: number;
}

export interface WholeCall {
  request_id: string;
  at: string;
  key: string;
  endpoint: string;
  asked: string;
  model: string;
  stream: boolean;
  refused: { status: number; error: string | null; message: string | null; total_ms: number; times: number } | null;
  attempts: Attempt[];
  cost_usd: string;
  waterfall: Span[];
  session: string | null;
  tags: string[];
  tenant: string | null;
  use_case: string;
  feedback: { score: number; label: string }[];
}

export interface Status {
  version: string;
  url: string;
  admin_url: string;
}
