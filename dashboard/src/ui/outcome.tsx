import { State } from "./parts";

interface Ended {
  status: number;
  error: string | null;
  refused?: boolean;
}

// What became of a call, in a word or its error's code.
export function Outcome({ status, error, refused }: Ended) {
  if (status < 400 && !error) return <State tone="good">{status || "ok"}</State>;
  const tone = refused || status === 429 || status === 402 ? "warn" : "bad";
  return (
    <>
      <State tone={tone}>{status}</State> {error && error !== String(status) && <span class="cut small soft" title={error}>{error}</span>}
    </>
  );
}
