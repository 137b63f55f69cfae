// One prompt for several models side by side, as they answer: calls like any other of the data port, with a key of its own.
import { useRef, useState } from "preact/hooks";
import { refusal } from "../api";
import { count, milliseconds } from "../format";
import { useResource } from "../resource";
import { hashOf, type Place } from "../router";
import { events } from "../stream";
import type { Status } from "../types";
import { Card, Head, Problem, State, Usd } from "../ui/parts";
import { Text } from "../ui/write";

interface Cell {
  column: string;
  model: string | null;
  request_id: string;
  status: number;
  text: string;
  first_token_ms: number | null;
  total_ms: number;
  tokens_per_second: number | null;
  cost_usd: string | null;
  flags: string[];
  error: { message?: string } | string | null;
}

interface Result {
  models: Record<string, string>;
  verdict: { winner: string | null; reason: string; model: string } | null;
}

interface News {
  column?: string;
  text?: string;
  cell?: Cell;
  result?: Result;
  error?: { message: string };
}

interface Column {
  text: string;
  pictures: string[];
  cell: Cell | null;
  error: string;
}

const COLUMNS = 4;
const LETTERS = "ABCD";
const EMPTY: Column = { text: "", pictures: [], cell: null, error: "" };
const said = (error: Cell["error"]) => (typeof error === "string" ? error : (error?.message ?? ""));

export function Playground({ place }: { place: Place }) {
  const status = useResource<Status>("status");
  const [columns, setColumns] = useState<Record<string, Column>>({});
  const [result, setResult] = useState<Result | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const going = useRef<AbortController | null>(null);
  const [busy, setBusy] = useState(false);
  const put = (column: string, change: (known: Column) => Partial<Column>) =>
    setColumns((known) => ({ ...known, [column]: { ...EMPTY, ...known[column], ...change(known[column] ?? EMPTY) } }));
  const send = async (event: Event) => {
    event.preventDefault();
    const given = Object.fromEntries([...new FormData(event.currentTarget as HTMLFormElement)].map(([name, value]) => [name, String(value).trim()]));
    const models = [...LETTERS].map((letter) => given[letter]).filter((model): model is string => !!model);
    const round: Round = { url: status.data?.url ?? "", given, models, put, end: setResult, signal: (going.current = new AbortController()).signal };
    setColumns(Object.fromEntries(models.map((_, n) => [LETTERS[n], EMPTY])));
    setResult(null);
    setError(null);
    setBusy(true);
    try {
      await (given.what === "pictures" ? painted(round) : compared(round));
    } catch (problem) {
      if (!round.signal.aborted) setError(problem as Error);
    }
    setBusy(false);
  };
  return (
    <div class="stack">
      <Head title="Playground" />
      <form class="form" aria-label="What to ask" onSubmit={(event) => void send(event)}>
        <label class="field">
          Prompt
          <textarea name="prompt" required />
        </label>
        <div class="pair">
          {Array.from({ length: COLUMNS }, (_, n) => <Text key={n} name={LETTERS[n]!} title={`Model ${LETTERS[n]}`} hint={n ? "none" : "openai/gpt-4o-mini"} value={place.params.get(LETTERS[n]!.toLowerCase()) ?? ""} needed={n === 0} />)}
        </div>
        <div class="pair">
          <label class="field">
            What it makes
            <select name="what">
              <option value="text">Text</option>
              <option value="pictures">Pictures</option>
            </select>
          </label>
          <Text name="max_tokens" title="Tokens at most" value="500" type="number" />
          <Text name="judge" title="Judged by" hint="nobody" />
          <Text name="key" title="Client key; it is kept nowhere" hint="sk-…" type="password" />
        </div>
        <label class="row small"><input type="checkbox" name="blind" /> Blind: which is which is told at the end</label>
        <div class="row">
          <button class="main" disabled={busy || !status.data}>Ask them</button>
          {busy && <button type="button" onClick={() => going.current?.abort()}>Stop</button>}
        </div>
      </form>
      {error && <Problem error={error} />}
      {status.error && <Problem error={status.error} again={status.again} />}
      {result?.verdict && (
        <p class="note-box" role="status">
          {result.verdict.model} {found(result.verdict.winner, result.models)}. {result.verdict.reason}
        </p>
      )}
      <div class="columns" aria-busy={busy}>
        {Object.entries(columns).map(([letter, column]) => <Answer key={letter} letter={letter} column={column} model={column.cell?.model ?? result?.models[letter] ?? ""} />)}
      </div>
    </div>
  );
}

// Asked twice, in either order: a tie is also what the two answers do not agree on.
function found(winner: string | null, models: Record<string, string>): string {
  if (winner === null) return "says nothing that can be read as a verdict";
  return winner === "tie" ? "finds none better" : `finds ${winner} best, ${models[winner] ?? ""}`;
}

function Answer({ letter, column, model }: { letter: string; column: Column; model: string }) {
  const { cell } = column;
  const wrong = column.error || (cell ? said(cell.error) : "");
  return (
    <Card title={model ? `${letter}: ${model}` : letter}>
      <div class="body stack">
        {wrong && <Problem error={new Error(wrong)} />}
        {column.text && <div class="answer">{column.text}</div>}
        {column.pictures.map((source, n) => <img key={n} src={source} alt={`Picture ${n + 1} of ${letter}`} />)}
        {cell && (
          <p class="soft small">
            {milliseconds(cell.first_token_ms)} to the first token, {milliseconds(cell.total_ms)} in all, {count(cell.tokens_per_second && Math.round(cell.tokens_per_second))} tokens a second, <Usd of={cell.cost_usd} />{" "}
            {cell.flags.map((flag) => <State key={flag} tone="warn">{flag.replaceAll("_", " ")}</State>)} <a href={hashOf("calls", cell.request_id)}>The call</a>
          </p>
        )}
      </div>
    </Card>
  );
}

interface Round {
  url: string;
  given: Record<string, string>;
  models: string[];
  put: (column: string, change: (known: Column) => Partial<Column>) => void;
  end: (result: Result) => void;
  signal: AbortSignal;
}

async function post(round: Round, path: string, body: object): Promise<Response> {
  const headers = { "Content-Type": "application/json", ...(round.given.key ? { Authorization: `Bearer ${round.given.key}` } : {}) };
  let reply: Response;
  try {
    reply = await fetch(`${round.url}${path}`, { method: "POST", headers, body: JSON.stringify(body), signal: round.signal, credentials: "omit" });
  } catch (problem) {
    if (round.signal.aborted) throw problem;
    throw new Error(`${round.url} cannot be reached from this browser, or refuses pages of this origin (listen.origins).`);
  }
  if (!reply.ok) throw await refusal(reply);
  return reply;
}

async function compared(round: Round): Promise<void> {
  const { prompt, max_tokens, judge, blind } = round.given;
  const body = { models: round.models, prompt, stream: true, ...(max_tokens ? { max_tokens: Number(max_tokens) } : {}), ...(judge ? { judge } : {}), ...(blind ? { blind: true } : {}) };
  const reply = await post(round, "/tollkeeper/compare", body);
  for await (const data of events(reply)) {
    if (data === "[DONE]") return;
    const { column, text, cell, result, error } = JSON.parse(data) as News;
    if (error) throw new Error(error.message);
    if (column && text) round.put(column, (known) => ({ text: known.text + text }));
    if (cell) round.put(cell.column, () => ({ cell, text: cell.text }));
    if (result) round.end(result);
  }
}

async function painted(round: Round): Promise<void> {
  const one = async (model: string, column: string) => {
    try {
      const reply = await post(round, "/v1/images/generations", { model, prompt: round.given.prompt });
      const { data } = (await reply.json()) as { data: { b64_json?: string; url?: string }[] }; // the page loads nothing from elsewhere: an address is told
      round.put(column, () => ({ pictures: data.flatMap(({ b64_json }) => (b64_json ? [`data:image/png;base64,${b64_json}`] : [])), text: data.flatMap(({ url }) => (url ? [url] : [])).join("\n") }));
    } catch (problem) {
      if (!round.signal.aborted) round.put(column, () => ({ error: (problem as Error).message }));
    }
  };
  round.end({ models: Object.fromEntries(round.models.map((model, n) => [LETTERS[n], model])), verdict: null });
  await Promise.all(round.models.map((model, n) => one(model, LETTERS[n]!)));
}
