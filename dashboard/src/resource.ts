// What the daemon says, read when a screen opens and again from time to time while somebody looks.
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { read, Refused, takeEarly } from "./api";

export interface Resource<T> {
  data: T | null;
  error: Error | null;
  loading: boolean;
  again: () => void;
}

// `quiet`: nobody is asked to log in for it.
export function useResource<T>(path: string | null, everyMs = 0, quiet = false): Resource<T> {
  const [data, setData] = useState<T | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [loading, setLoading] = useState(path !== null);
  const [turn, setTurn] = useState(0);
  const shown = useRef<string | null>(null);
  // at once, and not after the next frame, which the answer would wait for
  useLayoutEffect(() => {
    if (path === null) return;
    const gone = new AbortController();
    let timer = 0;
    if (shown.current !== path) setData(null);
    shown.current = path;
    const look = async () => {
      let mayAsk = true;
      try {
        setLoading(true);
        setData((await takeEarly<T>(path)) ?? (await read<T>(path, { signal: gone.signal, quiet })));
        setError(null);
      } catch (problem) {
        mayAsk = !(problem instanceof Refused && problem.status === 403);
        if (!gone.signal.aborted) setError(problem as Error);
      }
      if (gone.signal.aborted) return;
      setLoading(false);
      if (everyMs && mayAsk) timer = window.setTimeout(due, everyMs);
    };
    const due = () => (document.hidden ? (timer = window.setTimeout(due, everyMs)) : void look());
    void look();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs, turn]);
  const again = useCallback(() => setTurn((n) => n + 1), []);
  return { data, error, loading, again };
}
