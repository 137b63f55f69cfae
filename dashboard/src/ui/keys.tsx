// Keys that lead somewhere: g and a letter to a screen, / to the first filter, ? to this list.
import { useEffect, useState } from "preact/hooks";
import type { Entry } from "../app";
import { hashOf } from "../router";
import { Dialog } from "./parts";

const TYPING = "input, textarea, select, [contenteditable]";

export function useKeys(entries: Entry[]): { help: boolean; close: () => void } {
  const [help, setHelp] = useState(false);
  useEffect(() => {
    let led = 0;
    const pressed = (event: KeyboardEvent) => {
      const typing = (event.target as HTMLElement).closest?.(TYPING);
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const entry = entries.find(({ key }) => key === event.key);
      if (Date.now() - led < 1500 && entry) location.hash = hashOf(entry.screen);
      led = event.key === "g" ? Date.now() : 0;
      if (event.key === "?") setHelp(true);
      if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLElement>("main input")?.focus();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [entries]);
  return { help, close: () => setHelp(false) };
}

export function Help({ entries, close }: { entries: Entry[]; close: () => void }) {
  const rows: [string[], string][] = [
    ...entries.map(({ key, title }): [string[], string] => [["g", key], title]),
    [["/"], "To the first filter"],
    [["j", "k"], "Down and up in a table, from one of its links"],
    [["Esc"], "Close what is open"],
  ];
  return (
    <Dialog title={<h2>Keys</h2>} onClose={close}>
      <table>
        <tbody>
          {rows.map(([keys, what]) => (
            <tr key={what}>
              <td>{keys.map((key) => <><span class="key">{key}</span> </>)}</td>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Dialog>
  );
}
