// Changing something: one at a time, what the daemon says against it, and what is so afterwards read back.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { ask, Refused, type Asked } from "../api";
import { Problem, Why } from "./parts";
import { refusalOf, useWho, type Changed } from "./who";

export interface Write {
  busy: boolean;
  error: Error | null;
  why: string; // their role may not, so that it is busy for ever
  run: <T>(method: string, path: string, asked?: Asked) => Promise<T | null>;
}

export function useWrite(after: () => void, changed?: Changed): Write {
  const why = refusalOf(useWho(), changed);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const run = async <T,>(method: string, path: string, asked: Asked = {}): Promise<T | null> => {
    setBusy(true);
    setError(null);
    try {
      const answer = await ask<T>(method, path, asked);
      after();
      return answer;
    } catch (problem) {
      setError(problem as Error);
      if (problem instanceof Refused && problem.status === 412) after(); // somebody was quicker: that is what is changed next
      return null;
    } finally {
      setBusy(false);
    }
  };
  return { busy: busy || why !== "", error, why, run };
}

// The version that is to be changed, as it was read; 0: there is to be none yet. Somebody else may have been quicker.
export const ifStill = (version = 0) => ({ "If-Match": `"${version}"` });

// What cannot be taken back wants a second press.
export function Twice({ word, sure, write, onSure }: { word: string; sure: string; write: Write; onSure: () => void }) {
  const [asked, setAsked] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const isFirst = useRef(true);
  // the keyboard stays where it was, though the button is another one
  useLayoutEffect(() => {
    if (!isFirst.current) button.current?.focus();
    isFirst.current = false;
  }, [asked]);
  if (!asked) {
    return (
      <button ref={button} type="button" class="danger" disabled={write.busy} onClick={() => setAsked(true)}>
        {word}
      </button>
    );
  }
  return (
    <span class="row" role="group" aria-label={word}>
      <button ref={button} type="button" class="danger" disabled={write.busy} onClick={() => (setAsked(false), onSure())}>
        {sure}
      </button>
      <button type="button" onClick={() => setAsked(false)}>
        Keep it
      </button>
    </span>
  );
}

interface Fields {
  write: Write;
  send: (fields: Record<string, string>) => void;
  word: string;
  children: ComponentChildren;
}

export function Form({ write, send, word, children }: Fields) {
  const submit = (event: Event) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    send(Object.fromEntries([...given].map(([name, value]) => [name, String(value).trim()])));
  };
  return (
    <form class="form" onSubmit={submit}>
      {children}
      {write.error && <Problem error={write.error} />}
      <Why of={write.why} />
      <div class="row">
        <button class="main" disabled={write.busy}>
          {word}
        </button>
      </div>
    </form>
  );
}

interface Given {
  name: string;
  title: string;
  hint?: string;
  value?: string;
  needed?: boolean;
  type?: "text" | "number" | "password";
}

export const Text = ({ name, title, hint, value, needed, type }: Given) => (
  <label class="field">
    {title}
    <input name={name} placeholder={hint} defaultValue={value ?? ""} required={needed} type={(type ?? "text") as "text"} step="any" autocomplete="off" />
  </label>
);

interface Chosen {
  name?: string;
  title: string;
  among: string[];
  value?: string;
  set?: (value: string) => void;
}

// Without `set` it keeps what was chosen by itself, whatever is drawn anew around it.
export function Choice({ name, title, among, value, set }: Chosen) {
  const [own, setOwn] = useState(value ?? among[0]);
  return (
    <label class="field">
      {title}
      <select name={name} value={set ? value : own} onChange={({ currentTarget }) => (set ?? setOwn)(currentTarget.value)}>
        {among.map((one) => (
          <option key={one} value={one}>
            {one || "–"}
          </option>
        ))}
      </select>
    </label>
  );
}

export const listOf = (text: string | undefined): string[] => (text ?? "").split(",").map((one) => one.trim()).filter(Boolean);
