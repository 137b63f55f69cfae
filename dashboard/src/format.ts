// Figures as people read them. The exact amount is always within reach: as a title, and in what is copied.
const DAY_MS = 86_400_000;

export function usd(text: string | null | undefined): string {
  if (text === null || text === undefined || text === "") return "–";
  const amount = Number(text);
  const size = Math.abs(amount);
  if (size === 0) return "$0";
  const digits = size >= 1 ? 2 : size >= 0.01 ? 4 : Math.min(12, 1 - Math.floor(Math.log10(size)));
  const isInCents = Math.round(size * 1e6) % 1e4 === 0;
  const shown = size.toLocaleString("en-US", { minimumFractionDigits: digits === 2 || isInCents ? 2 : 4, maximumFractionDigits: digits });
  return `${amount < 0 ? "−" : ""}$${shown}`;
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toLocaleString("en-US");
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return `${Math.floor(ms / 60_000)} m ${String(Math.floor((ms % 60_000) / 1000)).padStart(2, "0")} s`;
}

export const seconds = (value: number | null | undefined): string =>
  milliseconds(value === null || value === undefined ? value : value * 1000);

export function clock(iso: string, now = Date.now()): string {
  const at = new Date(iso);
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const isToday = new Date(now).toDateString() === at.toDateString();
  return isToday ? time : `${at.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}

export function until(iso: string | null, now = Date.now()): string {
  if (iso === null) return "never resets";
  const left = new Date(iso).getTime() - now;
  if (left <= 0) return "resets now";
  if (left < 3_600_000) return `resets in ${Math.ceil(left / 60_000)} min`;
  if (left < 2 * DAY_MS) return `resets in ${Math.round(left / 3_600_000)} h`;
  return `resets in ${Math.round(left / DAY_MS)} days`;
}

export const share = (part: number, whole: number): string =>
  whole ? `${((100 * part) / whole).toFixed(part && part / whole < 0.1 ? 1 : 0)} %` : "–";
