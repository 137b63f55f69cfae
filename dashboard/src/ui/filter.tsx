import { useEffect, useState } from "preact/hooks";
import { go, hashOf, placeOf } from "../router";

// A filter that takes effect when it is left or Enter is pressed; what is being typed stays while the page is drawn anew.
export function Filter({ title, value, hint, set }: { title: string; value: string; hint?: string; set: (value: string) => void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return (
    <label class="field">
      {title}
      <input
        value={text}
        placeholder={hint}
        onInput={(event) => setText(event.currentTarget.value)}
        onChange={() => text !== value && set(text.trim())}
      />
    </label>
  );
}

// One of several, by their words.
export function Select({ title, value, among, set }: { title: string; value: string; among: Record<string, string>; set: (value: string) => void }) {
  return (
    <label class="field">
      {title}
      <select value={value} onChange={(event) => set(event.currentTarget.value)}>
        {Object.entries(among).map(([name, word]) => (
          <option key={name} value={name}>
            {word}
          </option>
        ))}
      </select>
    </label>
  );
}

export const words = (names: string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, name]));

// Put a filter into the address, without a step of the history; what others have put there meanwhile stays.
export const setter = (screen: string) => (name: string, value: string): void => {
  const changed = placeOf(location.hash).params;
  changed.set(name, value.trim());
  go(hashOf(screen, "", changed), true);
};
