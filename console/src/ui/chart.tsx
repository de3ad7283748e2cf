// Lines over time or over steps, drawn by uPlot in the theme's colours. A chart says in words what
// it shows, and its last values stand in the legend as text.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useSession } from "../session";

/** One line. */
export interface Series {
  label: string;
  values: (number | null)[];
  /** A class of the style sheet that gives the colour: `s1` to `s5`, `sbad`. */
  tone: string;
  /** Whether the area below is filled. */
  filled?: boolean;
  dashed?: boolean;
}

interface Props {
  title: string;
  /** Seconds since 1970, or plain numbers where `plain`. */
  x: number[];
  series: Series[];
  format: (value: number | null | undefined) => string;
  height?: number;
  plain?: boolean;
  /** Moments that are marked by a line and a word, on the scale of `x`. */
  marks?: { at: number; label: string }[];
  /** Upper end of the scale at least. */
  least?: number;
  logarithmic?: boolean;
  /** Bars instead of lines, each with this name below it. */
  bars?: string[];
}

function colour(box: HTMLElement, value: string): string {
  const probe = document.createElement("i");
  if (value.startsWith("--")) probe.style.color = `var(${value})`;
  else probe.className = value;
  box.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Powers of ten within a scale. */
function tens(_: uPlot, __: number, low: number, high: number): number[] {
  const from = Math.ceil(Math.log10(Math.max(low, 1e-6)));
  return Array.from({ length: Math.max(0, Math.floor(Math.log10(high)) - from + 1) }, (_, at) => 10 ** (from + at));
}

/** At most so many names stand below bars. */
const NAMES = 12;

/** The names of bars where there is room for them. */
function named(bars: string[]): Partial<uPlot.Axis> {
  const every = Math.ceil(bars.length / NAMES);
  return {
    splits: () => bars.map((_, at) => at).filter((at) => at % every === 0),
    values: (_, ticks) => ticks.map((at) => { const name = bars[at] ?? ""; return name.length > 14 ? `${name.slice(0, 13)}…` : name; }),
  };
}

function faded(colour: string): string {
  return `color-mix(in srgb, ${colour} 14%, transparent)`;
}

/** Draws the marks behind the lines. */
function draw(plot: uPlot, marks: { at: number; label: string }[], stroke: string) {
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  const size = 11 * devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = stroke;
  ctx.fillStyle = stroke;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.font = `${size}px system-ui, sans-serif`;
  marks.forEach((mark, at) => {
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    if (x < left || x > left + width) return;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    ctx.textAlign = x > left + width * 0.8 ? "right" : "left";
    // Words that are close together stand below one another.
    ctx.fillText(mark.label, x + (ctx.textAlign === "right" ? -4 : 4), top + size * (1 + (at % 4) * 1.2));
  });
  ctx.restore();
}

function options(box: HTMLElement, props: Props, zone: string | undefined): uPlot.Options {
  const text = colour(box, "--muted");
  const line = colour(box, "--line");
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const height = props.height ?? 176;
  return {
    width: box.clientWidth || 300,
    height,
    ...(zone ? { tzDate: (at: number) => uPlot.tzDate(new Date(at * 1000), zone) } : {}),
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    legend: { show: false },
    ...(props.marks?.length ? { hooks: { drawClear: [(plot: uPlot) => draw(plot, props.marks ?? [], text)] } } : {}),
    padding: [8, 30, 0, 0],
    scales: {
      // A single point stands in the middle of its surroundings.
      x: { time: !props.plain && !props.bars, range: (_: uPlot, low: number, high: number) => (props.bars ? [-0.6, props.bars.length - 0.4] : low === high ? [low - 15, high + 15] : [low, high]) },
      y: props.logarithmic
        ? { distr: 3, range: (_: uPlot, low: number, high: number) => [Math.min(low, 0.1), Math.max(high * 2, props.least ?? 1)] }
        : { range: (_: uPlot, __: number, high: number) => [0, Math.max(high * 1.12, props.least ?? 0) || 1] },
    },
    axes: [
      { ...axis, space: 64, size: 30, ...(props.bars ? named(props.bars) : props.plain ? {} : { values: "{HH}:{mm}:{ss}" as unknown as uPlot.Axis.Values }) },
      { ...axis, size: 62, ...(props.logarithmic ? { splits: tens } : {}), values: (_: uPlot, ticks: number[]) => ticks.map((tick) => (tick == null ? "" : props.format(tick))) },
    ],
    series: [
      {},
      ...props.series.map((series) => {
        const stroke = colour(box, series.tone);
        return {
          label: series.label, stroke, width: 1.8, points: { show: props.x.length < 2 }, spanGaps: true,
          ...(props.bars ? { paths: uPlot.paths.bars?.({ size: [0.6, 60] }), fill: faded(stroke), points: { show: false } } : {}),
          ...(series.filled ? { fill: faded(stroke) } : {}), ...(series.dashed ? { dash: [5, 4] } : {}),
        };
      }),
    ],
  };
}

/** A chart with its legend. */
export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const { shade, zone } = useSession();
  const shape = props.series.map((series) => `${series.label}${series.tone}`).join() + (props.marks ?? []).map((mark) => `${mark.at}${mark.label}`).join() + (props.bars?.join() ?? "");
  const data = [props.x, ...props.series.map((series) => series.values)] as uPlot.AlignedData;
  const latest = useRef({ props, data });
  latest.current = { props, data };
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const { props, data } = latest.current;
    const made = new uPlot(options(element, props, zone), data, element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: props.height ?? 176 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, shade, zone, props.logarithmic]);
  useEffect(() => plot.current?.setData(data), [props.x, props.series]);
  const last = (series: Series) => series.values.findLast((value) => value != null);
  const words = props.series.map((series) => `${series.label} ${props.format(last(series))}`).join(", ");
  return (
    <figure class="chart stack">
      <div class="plot" ref={box} role="img" aria-label={`${props.title}. Latest: ${words}`} />
      <figcaption>
        <ul class="legend">
          {props.series.map((series) => (
            <li key={series.label}><i class={series.tone} />{series.label} <b>{props.format(last(series))}</b></li>
          ))}
        </ul>
      </figcaption>
    </figure>
  );
}
