// Where we are stands behind the #, so that the page works under any path: #/screen/rest?filters.
import { useEffect, useState } from "preact/hooks";

export interface Place {
  screen: string;
  rest: string;
  params: URLSearchParams;
}

export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [screen = "", ...rest] = path.split("/");
  return { screen: screen || "now", rest: rest.map(decodeURIComponent).join("/"), params: new URLSearchParams(query) };
}

export function hashOf(screen: string, rest = "", params?: URLSearchParams | Record<string, string>): string {
  const filled = [...new URLSearchParams(params)].filter(([, value]) => value !== "");
  const query = new URLSearchParams(filled).toString();
  return `#/${screen}${rest ? `/${encodeURIComponent(rest)}` : ""}${query ? `?${query}` : ""}`;
}

export function go(hash: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = hash;
  }
}

export function usePlace(): Place {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const moved = () => setHash(location.hash);
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return placeOf(hash);
}
