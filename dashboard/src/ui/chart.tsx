// A chart of one figure over time: bars, drawn by uPlot, as wide as there is room. Its figures stand beside it as a table.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

interface Given {
  title: string;
  at: number[]; // epoch seconds
  values: number[];
  shown: (value: number) => string;
}

const HEIGHT = 220;
const colour = (name: string) => {
  // what light-dark() comes to, as canvas wants it
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

export function Chart({ title, at, values, shown }: Given) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const place = box.current;
    if (!place) return;
    const [line, text, accent] = [colour("line"), colour("soft"), colour("accent")];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui" };
    const first = at[0] ?? 0;
    const step = at.length > 1 ? Math.min(...at.slice(1).map((one, n) => one - (at[n] ?? 0))) : 86_400;
    const plot = new uPlot(
      {
        width: place.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false },
        scales: { x: { range: () => [first - step, (at.at(-1) ?? first) + step] }, y: { range: (_, __, top) => [0, top || 1] } },
        axes: [axis, { ...axis, size: 70, values: (_, ticks) => ticks.map(shown) }],
        series: [{}, { fill: accent, stroke: accent, width: 0, paths: uPlot.paths.bars!({ size: [0.7, 60] }), points: { show: false } }],
      },
      [at, values],
      place,
    );
    const watch = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT }));
    watch.observe(place);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [at.join(), values.join()]);
  return <div ref={box} class="chart" role="img" aria-label={`${title}, from ${shown(Math.min(...values))} to ${shown(Math.max(...values))}`} />;
}
