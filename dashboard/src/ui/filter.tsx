import { useEffect, useState } from "preact/hooks";

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
