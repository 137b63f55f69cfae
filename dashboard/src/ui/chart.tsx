// Figures over time, drawn by uPlot as wide as there is room: one as bars, several as lines. They stand beside it as a table.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useColours } from "./theme";

export interface Line {
  name: string;
  values: (number | null)[];
}

interface Given {
  title: string;
  at: number[]; // epoch seconds
  offsets: number[]; // seconds that the clock of whoever counted was ahead of UTC then: its days are no others' where the browser's clock is another one
  lines: Line[];
  shown: (value: number) => string;
}

const HEIGHT = 220;
const COLOURS = ["accent", "line-2", "line-3", "line-4", "line-5", "soft"];
const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [1, 5]];
const colour = (name: string) => {
  // what light-dark() comes to, as canvas wants it
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

// of the axis, for its longest figure: the tiniest costs have the most digits
const roomFor = (_: uPlot, shown: string[] | null) => Math.max(70, 20 + 7 * Math.max(0, ...(shown ?? []).map((text) => text.length)));

// of the other axis: the day as it is said elsewhere, and its 24 hours; [least seconds between two, what each says, the first, a new day's]
const rows = (of: [number, string, string | null, string | null][]) =>
  of.map(([least, said, first, day]) => [least, said, first, null, day, null, null, null, 1]) as uPlot.Axis.Values;
const CLOCK = rows([
  [31_536_000, "{YYYY}", null, null],
  [2_419_200, "{MMM}", "\n{YYYY}", null],
  [86_400, "{D} {MMM}", "\n{YYYY}", null],
  [60, "{HH}:{mm}", "\n{D} {MMM}", "\n{D} {MMM}"],
]);

function series(lines: Line[], moments: number): uPlot.Series[] {
  const accent = colour("accent");
  if (lines.length === 1) return [{ fill: accent, stroke: accent, width: 0, paths: uPlot.paths.bars!({ size: [0.7, 60] }), points: { show: false } }];
  return lines.map((_, n) => ({ stroke: colour(COLOURS[n % COLOURS.length]!), dash: DASHES[n % DASHES.length]!, width: 2, points: { size: moments > 2 ? 4 : 9 } }));
}

export function Chart({ title, at, offsets, lines, shown }: Given) {
  const box = useRef<HTMLDivElement>(null);
  const colours = useColours();
  useEffect(() => {
    const place = box.current;
    if (!place) return;
    const [line, text] = [colour("line"), colour("soft")];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui" };
    const first = at[0] ?? 0;
    const offsetAt = (moment: number) => offsets[Math.max(0, at.filter((one) => one <= moment).length - 1)] ?? 0;
    const step = at.length > 1 ? Math.min(...at.slice(1).map((one, n) => one - (at[n] ?? 0))) : 86_400;
    const plot = new uPlot(
      {
        width: place.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false },
        tzDate: (moment) => uPlot.tzDate(new Date((moment + offsetAt(moment)) * 1000), "Etc/UTC"),
        scales: { x: { range: () => [first - step, (at.at(-1) ?? first) + step] }, y: { range: (_, __, top) => [0, 1.06 * (top || 1)] } },
        axes: [{ ...axis, values: CLOCK }, { ...axis, size: roomFor, values: (_, ticks) => ticks.map(shown) }],
        series: [{}, ...series(lines, at.length)],
      },
      [at, ...lines.map(({ values }) => values)],
      place,
    );
    const watch = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT }));
    watch.observe(place);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [JSON.stringify([at, offsets, lines]), colours]);
  const values = lines.flatMap((line) => line.values.filter((value) => value !== null));
  return (
    <>
      <div ref={box} class="chart" role="img" aria-label={`${title}, from ${shown(Math.min(...values))} to ${shown(Math.max(...values))}`} />
      {lines.length > 1 && (
        <ul class="legend small">
          {lines.map(({ name }, n) => (
            <li key={name} class="cut" title={name}>
              <svg viewBox="0 0 28 8" aria-hidden="true">
                <path d="M0 4h28" stroke={`var(--${COLOURS[n % COLOURS.length]})`} stroke-width="2" stroke-dasharray={DASHES[n % DASHES.length]!.join()} />
              </svg>
              {name}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
