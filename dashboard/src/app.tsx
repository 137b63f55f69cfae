// The frame: where one can go, who one is, and the screen itself, loaded when it is first wanted.
import type { ComponentType } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { takePageToken, wantLogin } from "./api";
import { hashOf, usePlace, type Place } from "./router";
import { Now } from "./screens/now";
import { Help, useKeys } from "./ui/keys";
import { Login } from "./ui/login";
import { Problem, Waiting } from "./ui/parts";
import { Theme } from "./ui/theme";
import { leave, lookWho, useWho } from "./ui/who";

type Screen = ComponentType<{ place: Place }>;

export interface Entry {
  screen: string;
  title: string;
  key: string; // behind g
  load: () => Promise<Screen>;
}

const GROUPS: Entry[][] = [
  [
    { screen: "now", title: "Now", key: "n", load: async () => Now },
    { screen: "calls", title: "Calls", key: "c", load: async () => (await import("./screens/calls")).Calls },
    { screen: "costs", title: "Costs", key: "o", load: async () => (await import("./screens/costs")).Costs },
    { screen: "explore", title: "Explore", key: "e", load: async () => (await import("./screens/explore")).Explore },
  ],
  [
    { screen: "keys", title: "Keys", key: "k", load: async () => (await import("./screens/keys")).Keys },
    { screen: "tenants", title: "Tenants", key: "t", load: async () => (await import("./screens/tenants")).Tenants },
    { screen: "budgets", title: "Budgets", key: "b", load: async () => (await import("./screens/budgets")).Budgets },
    { screen: "providers", title: "Providers", key: "p", load: async () => (await import("./screens/providers")).Providers },
    { screen: "models", title: "Models", key: "m", load: async () => (await import("./screens/models")).Models },
    { screen: "routing", title: "Routing", key: "r", load: async () => (await import("./screens/routing")).Routing },
    { screen: "playground", title: "Playground", key: "y", load: async () => (await import("./screens/playground")).Playground },
    { screen: "jobs", title: "Jobs", key: "j", load: async () => (await import("./screens/jobs")).Jobs },
  ],
  [
    { screen: "alerts", title: "Alerts", key: "l", load: async () => (await import("./screens/alerts")).Alerts },
    { screen: "audit", title: "Audit", key: "a", load: async () => (await import("./screens/audit")).Audit },
    { screen: "settings", title: "Settings", key: "s", load: async () => (await import("./screens/settings")).Settings },
  ],
];
const ENTRIES = GROUPS.flat();

takePageToken();
void lookWho();

export function App() {
  const place = usePlace();
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const entry = ENTRIES.find(({ screen }) => screen === place.screen);
  const { help, close } = useKeys(ENTRIES);
  const first = useRef(true);
  useEffect(() => {
    setOpen(false);
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [place.screen]);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        To the content
      </a>
      <header class={`side${open ? " open" : ""}`}>
        <a class="brand" href="#/now">
          <i />
          Tollkeeper
        </a>
        <button class="menu" aria-expanded={open} onClick={() => setOpen(!open)}>
          Menu
        </button>
        <nav class="nav" aria-label="Screens">
          {GROUPS.map((group) => (
            <ul key={group[0]?.screen}>
              {group.map(({ screen, title }) => (
                <li key={screen}>
                  <a href={hashOf(screen)} aria-current={screen === place.screen ? "page" : undefined}>
                    {title}
                  </a>
                </li>
              ))}
            </ul>
          ))}
        </nav>
        <Foot />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {entry ? <Shown key={entry.screen} entry={entry} place={place} /> : <p>There is no such screen.</p>}
      </main>
      <Login />
      {help && <Help entries={ENTRIES} close={close} />}
    </div>
  );
}

function Shown({ entry, place }: { entry: Entry; place: Place }) {
  const [Screen, setScreen] = useState<Screen | null>(entry.screen === "now" ? () => Now : null);
  const [error, setError] = useState<Error | null>(null);
  // asked for before the frame around it is painted
  useLayoutEffect(() => {
    entry.load().then((found) => setScreen(() => found), setError);
  }, []);
  if (error) return <Problem error={new Error("This screen could not be loaded.")} again={() => location.reload()} />;
  return Screen ? <Screen place={place} /> : <Waiting />;
}

function Foot() {
  const who = useWho();
  return (
    <div class="foot small">
      {who ? (
        <div>
          <div class="cut" title={who.name}>
            {who.name}
          </div>
          <div class="soft">
            {who.role} · <button class="plain" onClick={() => void leave()}>Log out</button>
          </div>
        </div>
      ) : (
        <button onClick={() => void wantLogin()}>Log in</button>
      )}
      <Theme />
    </div>
  );
}
