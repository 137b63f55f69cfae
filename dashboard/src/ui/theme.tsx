import { useEffect, useState } from "preact/hooks";

const KEPT = "tollkeeper.theme";
const THEMES = ["auto", "light", "dark"];

function apply(theme: string): void {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("theme"));
}

apply(localStorage.getItem(KEPT) ?? "auto");

// How often the colours have changed: for what is drawn with those of the moment.
export function useColours(): number {
  const [times, setTimes] = useState(0);
  useEffect(() => {
    const changed = () => setTimes((n) => n + 1);
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", changed);
    addEventListener("theme", changed);
    return () => (system.removeEventListener("change", changed), removeEventListener("theme", changed));
  }, []);
  return times;
}

export function Theme() {
  const [theme, setTheme] = useState(localStorage.getItem(KEPT) ?? "auto");
  const choose = (chosen: string) => {
    localStorage.setItem(KEPT, chosen);
    apply(chosen);
    setTheme(chosen);
  };
  return (
    <label class="field">
      Appearance
      <select value={theme} onChange={(event) => choose(event.currentTarget.value)}>
        {THEMES.map((name) => (
          <option key={name} value={name}>
            {name === "auto" ? "System" : name[0]?.toUpperCase() + name.slice(1)}
          </option>
        ))}
      </select>
    </label>
  );
}
