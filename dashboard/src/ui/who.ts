// Who has logged in in this browser, and what they may change: the roles are those of the daemon, which has the last word.
import { useEffect, useState } from "preact/hooks";
import { isPageToken, keepPageToken, pageHeaders, read, sent } from "../api";

export interface Who {
  name: string;
  role: string;
  tenant: string | null;
}

// What is changed; `adjust` is what a budget counts as spent.
export type Changed = "keys" | "adjust" | "budgets" | "limits" | "models" | "routing" | "jobs" | "settings";

const OPERATED: Changed[] = ["keys", "adjust", "budgets", "limits", "models", "routing", "jobs"];
const BY_TENANT: Changed[] = ["keys", "adjust", "jobs"];

let who: Who | null = null;
const hearers = new Set<() => void>();

export async function lookWho(): Promise<void> {
  const known = "x-tollkeeper-page" in pageHeaders();
  who = known ? await read<Who>("auth/session", { quiet: true }).catch(() => null) : null;
  for (const hear of hearers) hear();
}

addEventListener("login", () => void lookWho());
addEventListener("storage", (told) => isPageToken(told.key) && void lookWho()); // in another tab of this browser

// Null where nobody has logged in.
export function useWho(): Who | null {
  const [seen, see] = useState(who);
  useEffect(() => {
    const hear = () => see(who);
    hear();
    hearers.add(hear);
    return () => void hearers.delete(hear);
  }, []);
  return seen;
}

export async function leave(): Promise<void> {
  await sent("POST", "auth/logout", {});
  keepPageToken(null);
  location.reload();
}

// Why they may not change this; "" where they may, or nobody knows yet who asks.
export function refusalOf(of: Who | null, changed: Changed | undefined): string {
  if (!of || !changed) return "";
  const takes = OPERATED.includes(changed) ? ["operator", "owner"] : ["owner"];
  if (!takes.includes(of.role)) return `Your role, ${of.role}, cannot change this; that takes the role ${takes.join(" or ")}.`;
  if (of.tenant === null || BY_TENANT.includes(changed)) return "";
  return `You are bound to the tenant ${of.tenant}; this is changed by an admin of no tenant.`;
}
