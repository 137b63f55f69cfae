import { useState } from "preact/hooks";

const KEPT = "tollkeeper.theme";
const THEMES = ["auto", "light", "dark"];

function apply(theme: string): void {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

apply(localStorage.getItem(KEPT) ?? "auto");

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
            {name === "auto" ? "As the system" : name[0]?.toUpperCase() + name.slice(1)}
          </option>
        ))}
      </select>
    </label>
  );
}
