// The small parts every screen is made of.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused } from "../api";
import { clock, usd } from "../format";

export type Tone = "good" | "warn" | "bad" | "idle";

// Why what changes something cannot be pressed.
export const Why = ({ of }: { of: string }) => (of ? <p class="soft small wraps">{of}</p> : null);

export function Head({ title, why = "", children }: { title: string; why?: string; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Tollkeeper`;
  }, [title]);
  return (
    <div class="head">
      <h1>{title}</h1>
      <div class="row">
        <Why of={why} />
        {children}
      </div>
    </div>
  );
}

export function Card({ title, aside, children }: { title: string; aside?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="card" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside && <span class="soft small">{aside}</span>}
      </header>
      {children}
    </section>
  );
}

export const State = ({ tone, children }: { tone: Tone; children: ComponentChildren }) => (
  <span class={`state ${tone}`}>{children}</span>
);

export const Usd = ({ of }: { of: string | null | undefined }) => (
  <span class="num" title={of ? `${of} USD` : undefined}>
    {usd(of)}
  </span>
);

export const When = ({ at }: { at: string }) => (
  <time class="num" dateTime={at} title={at}>
    {clock(at)}
  </time>
);

// What one's role may not see is no failure, and trying again does not help.
export const isForbidden = (error: Error | null): boolean => error instanceof Refused && error.status === 403;

export function Problem({ error, again }: { error: Error; again?: () => void }) {
  if (isForbidden(error)) return <div class="note-box soft" role="status">{error.message}</div>;
  return (
    <div class="note-box bad row" role="alert">
      <span>{error.message}</span>
      {again && <button onClick={again}>Try again</button>}
    </div>
  );
}

export function Waiting() {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 4000);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="wait" role="status">
      {late ? "The daemon takes its time; still waiting …" : "Loading …"}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children && <div>{children}</div>}
    </div>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button class="plain" type="button" onClick={() => void copy()}>
      {done ? "Copied" : label}
    </button>
  );
}

export const Code = ({ children }: { children: string }) => (
  <div class="copied">
    <pre class="code" tabIndex={0}>
      {children}
    </pre>
    <Copy text={children} />
  </div>
);

interface Framed {
  title: ComponentChildren;
  onClose: () => void;
  children: ComponentChildren;
  sheet?: boolean;
}

export function Dialog({ title, onClose, children, sheet }: Framed) {
  const box = useRef<HTMLDialogElement>(null);
  const closing = useRef(onClose);
  closing.current = onClose;
  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement as HTMLElement | null;
    dialog?.showModal();
    // a form is there to be filled in; a sheet is there to be read from its top
    if (!sheet) dialog?.querySelector<HTMLElement>(".body input, .body select, .body textarea")?.focus();
    return () => {
      dialog?.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={sheet ? "sheet" : ""}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        closing.current();
      }}
      onMouseDown={(event) => event.target === box.current && closing.current()}
    >
      <header>
        <div id="dialog-title">{title}</div>
        <button class="plain" type="button" autofocus onClick={() => closing.current()} aria-label="Close">
          ✕
        </button>
      </header>
      <div class="body">{children}</div>
    </dialog>
  );
}

export function Spark({ values, bad }: { values: number[]; bad?: boolean }) {
  const top = Math.max(...values, 0) || 1;
  const height = (value: number) => (value ? Math.max(1.5, (24 * value) / top) : 0);
  return (
    <svg class={`spark${bad ? " bad" : ""}`} viewBox="0 0 240 26" preserveAspectRatio="none" aria-hidden="true">
      {values.map((value, at) => (
        <rect key={at} x={at * 4} y={26 - height(value)} width="3" height={height(value)} />
      ))}
    </svg>
  );
}
