// One past call: what was decided, where its time and its money went, and how to send one like it.
import { useResource } from "../resource";
import { count, milliseconds } from "../format";
import type { Attempt, Span, Status, WholeCall } from "../types";
import { Outcome } from "../ui/outcome";
import { Code, Copy, Dialog, Problem, Usd, Waiting, When } from "../ui/parts";
import { Table, type Column } from "../ui/table";

const STRETCHES: Record<string, string> = {
  waiting: "waiting",
  ours: "Tollkeeper",
  connect: "connecting",
  first_byte: "to the first byte",
  first_token: "to the first token",
  rest: "the rest",
  no_reply: "no reply",
};

export function CallSheet({ id, onClose }: { id: string; onClose: () => void }) {
  const { data, error, again } = useResource<WholeCall>(`calls/${encodeURIComponent(id)}`);
  const title = (
    <>
      <h2>{data ? data.asked || data.model || data.endpoint : "Call"}</h2>
      <span class="soft small">
        {id} <Copy text={id} />
      </span>
    </>
  );
  return (
    <Dialog sheet title={title} onClose={onClose}>
      {error && <Problem error={error} again={again} />}
      {!data && !error && <Waiting />}
      {data && <Told call={data} />}
    </Dialog>
  );
}

function Told({ call }: { call: WholeCall }) {
  const last = call.attempts.at(-1);
  return (
    <>
      <dl class="facts">
        <Fact name="Outcome">
          <Outcome
            status={call.refused?.status ?? last?.status ?? 0}
            error={call.refused?.error ?? last?.error ?? null}
            refused={call.refused !== null}
          />
        </Fact>
        <Fact name="Cost">
          <Usd of={call.cost_usd} />
        </Fact>
        <Fact name="Began">
          <When at={call.at} />
        </Fact>
        <Fact name="Key">{call.key || "none"}</Fact>
        <Fact name="Endpoint">{call.endpoint + (call.stream ? ", streamed" : "")}</Fact>
        <Fact name="Model">{call.model || "–"}</Fact>
        {call.tenant && <Fact name="Tenant">{call.tenant}</Fact>}
        {call.session && <Fact name="Session">{call.session}</Fact>}
        {call.use_case && <Fact name="Use case">{call.use_case}</Fact>}
        {call.tags.length > 0 && <Fact name="Tags">{call.tags.join(", ")}</Fact>}
      </dl>
      {call.refused && (
        <p class="note-box">
          {call.refused.message ?? "It was refused."}
          {call.refused.times > 1 && ` It is the first of ${count(call.refused.times)} in one second.`}
        </p>
      )}
      {call.waterfall.length > 0 && <Waterfall spans={call.waterfall} several={call.attempts.length > 1} />}
      {call.attempts.length > 0 && (
        <section>
          <h3>Attempts, from the hold to what was charged</h3>
          <Table caption="Attempts" columns={ATTEMPTS} rows={call.attempts} id={(one) => String(one.attempt)} />
          <Changes attempts={call.attempts} />
        </section>
      )}
      {call.feedback.length > 0 && (
        <section>
          <h3>Feedback</h3>
          {call.feedback.map((one) => (
            <p key={one.label}>
              {one.label || "rating"}: {one.score}
            </p>
          ))}
        </section>
      )}
      <Again call={call} />
    </>
  );
}

const Fact = ({ name, children }: { name: string; children: preact.ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

const ATTEMPTS: Column<Attempt>[] = [
  { name: "Provider", of: (one) => <Served one={one} /> },
  { name: "Outcome", of: (one) => <Outcome status={one.status} error={one.error ?? (one.status < 400 ? null : one.outcome)} /> },
  { name: "Tokens", of: (one) => `${count(one.input_tokens)} → ${count(one.output_tokens)}`, right: true },
  { name: "Held", of: (one) => <Usd of={one.hold_usd} />, right: true },
  { name: "Charged", of: (one) => <Usd of={one.cost_usd} />, right: true },
  { name: "Source", of: (one) => one.source },
  { name: "Ended after", of: (one) => milliseconds(one.total_ms), right: true },
];

function Served({ one }: { one: Attempt }) {
  return (
    <>
      <span class="cut">{one.provider}</span>
      <span class="cut small soft" title={one.upstream_model}>
        {one.upstream_model}
        {one.served && one.served !== one.upstream_model ? `, served by ${one.served}` : ""}
      </span>
    </>
  );
}

// What the request was changed in, what a shadow would have refused, what the provider calls it.
function Changes({ attempts }: { attempts: Attempt[] }) {
  return (
    <ul class="lines small">
      {attempts.map((one) => (
        <li key={one.attempt}>
          {one.adjusted && <div>Adjusted: {one.adjusted}</div>}
          {one.shadow_rejections.map((text) => (
            <div key={text}>In shadow: {text}</div>
          ))}
          {one.cached_input_tokens + one.reasoning_tokens > 0 && (
            <div>
              {count(one.cached_input_tokens)} input tokens from the provider's cache, {count(one.reasoning_tokens)} of reasoning
            </div>
          )}
          {one.upstream_id && <div class="soft">{one.upstream_id}</div>}
        </li>
      ))}
    </ul>
  );
}

function Waterfall({ spans, several }: { spans: Span[]; several: boolean }) {
  const end = Math.max(1, ...spans.map((span) => span.start_ms + span.duration_ms));
  const part = (ms: number) => `${(100 * ms) / end}%`;
  return (
    <section>
      <h3>Where the time went</h3>
      <div class="falls">
        {spans.map((span, at) => (
          <div class={`fall ${span.what}`} key={at}>
            <span class="cut">
              {several ? `${span.attempt}: ` : ""}
              {STRETCHES[span.what] ?? span.what}
            </span>
            <span class="track">
              <i style={{ left: part(span.start_ms), width: part(span.duration_ms) }} />
            </span>
            <span class="num">{milliseconds(span.duration_ms)}</span>
          </div>
        ))}
      </div>
    </section>
  );
}

const BODIES: Record<string, object> = {
  messages: { max_tokens: 1000, messages: [{ role: "user", content: "…" }] },
  responses: { input: "…" },
  completions: { prompt: "…" },
  embeddings: { input: "…" },
  "images/generations": { prompt: "…" },
};

function Again({ call }: { call: WholeCall }) {
  const { data } = useResource<Status>("status");
  if (!data) return null;
  const body = { model: call.asked || call.model, ...(BODIES[call.endpoint] ?? { messages: [{ role: "user", content: "…" }] }) };
  const sent = JSON.stringify(call.stream ? { ...body, stream: true } : body).replaceAll("'", "'\\''");
  return (
    <section>
      <h3>Send one like it</h3>
      <p class="soft small">Prompts are kept nowhere; put yours in place of the dots.</p>
      <Code>{`curl ${data.url}/v1/${call.endpoint} \\
  -H "Authorization: Bearer $TOLLKEEPER_KEY" -H "Content-Type: application/json" \\
  -d '${sent}'`}</Code>
    </section>
  );
}
