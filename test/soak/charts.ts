/** Pictures of figures over time: SVG as text. */

export interface Point {
  /** Milliseconds. */
  readonly at: number;
  /** Null: nothing is known of then, and the line is broken. */
  readonly value: number | null;
}

export interface Line {
  readonly name: string;
  /** Of the page's own: `one`, `two`, `three`, `bad`. */
  readonly colour: string;
  readonly points: readonly Point[];
  readonly filled?: boolean;
}

export interface Bars {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly Point[];
}

/** What was going on. */
export interface Mark {
  readonly from: number;
  readonly to: number;
  readonly label: string;
  readonly isRestart: boolean;
}

export interface Chart {
  readonly title: string;
  /** Of the figures, as text for each. */
  readonly unit: (value: number) => string;
  readonly lasted: number;
  readonly marks: readonly Mark[];
  readonly lines?: readonly Line[];
  /** Stacked, in this order from below. */
  readonly bars?: readonly Bars[];
  /** By powers of ten. */
  readonly logarithmic?: boolean;
  /** A line that is not to be crossed. */
  readonly limit?: { readonly name: string; readonly value: number };
  readonly width?: number;
  readonly height?: number;
  /** Steps of the scale are of 1024. */
  readonly binary?: boolean;
}

const LEFT = 62;
const RIGHT = 14;
const TOP = 24;
const BOTTOM = 24;

export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

interface Scale {
  readonly ticks: readonly number[];
  /** From 0 (below) to 1 (above). */
  readonly share: (value: number) => number;
}

function linear(highest: number, binary: boolean): Scale {
  const unit = binary ? 1024 ** Math.floor(Math.log(Math.max(1, highest)) / Math.log(1024)) : 1;
  const rough = Math.max(highest / unit, 1e-9) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = unit * power * ([1, 2, 5].find((n) => n * power >= rough) ?? 10);
  const top = Math.ceil(highest / step) * step || step;
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, n) => n * step);
  return { ticks, share: (value) => value / top };
}

function powers(lowest: number, highest: number): Scale {
  const from = Math.floor(Math.log10(Math.max(lowest, 0.1)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(highest, 1))));
  const ticks = Array.from({ length: to - from + 1 }, (_, n) => 10 ** (from + n));
  return { ticks, share: (value) => (Math.log10(Math.max(value, 0.1)) - from) / (to - from) };
}

function stacked(bars: readonly Bars[]): number[] {
  const columns = bars[0]?.points.length ?? 0;
  return Array.from({ length: columns }, (_, n) =>
    bars.reduce((sum, { points }) => sum + (points[n]?.value ?? 0), 0),
  );
}

function scaleOf({ lines = [], bars = [], limit, logarithmic, binary }: Chart): Scale {
  const values = [
    ...lines.flatMap(({ points }) => points.flatMap(({ value }) => value ?? [])),
    ...stacked(bars),
    ...(limit ? [limit.value] : []),
  ];
  const highest = values.reduce((most, value) => Math.max(most, value), 0);
  const lowest = values.reduce((least, value) => Math.min(least, value), highest);
  return logarithmic ? powers(lowest, highest) : linear(highest, binary === true);
}

interface Frame {
  readonly x: (at: number) => number;
  readonly y: (value: number) => number;
  readonly right: number;
  readonly bottom: number;
}

function clock(milliseconds: number, lasted: number): string {
  return lasted < 300_000
    ? `${Math.round(milliseconds / 1_000)} s`
    : `${Math.round(milliseconds / 60_000)} min`;
}

function grid(chart: Chart, { ticks }: Scale, { x, y, right, bottom }: Frame): string {
  const across = ticks.map((tick) => {
    const at = y(tick).toFixed(1);
    return `<line class="grid" x1="${LEFT}" x2="${right}" y1="${at}" y2="${at}"/><text class="tick" x="${LEFT - 8}" y="${at}" dy="4" text-anchor="end">${escaped(chart.unit(tick))}</text>`;
  });
  const wanted = chart.width && chart.width < 600 ? 4 : 8;
  const unit = chart.lasted < 300_000 ? 1_000 : 60_000;
  const step = linear((chart.lasted / unit / wanted) * 4, false).ticks[1] ?? 1;
  const along: string[] = [];
  for (let at = 0; at <= chart.lasted; at += Math.max(1, step) * unit)
    along.push(
      `<text class="tick" x="${x(at).toFixed(1)}" y="${bottom + 17}" text-anchor="middle">${clock(at, chart.lasted)}</text>`,
    );
  return across.join('') + along.join('');
}

function marksOf({ marks }: Chart, { x, bottom }: Frame): string {
  return marks
    .map(({ from, to, label, isRestart }) => {
      const [left, width] = [x(from), Math.max(2, x(to) - x(from))];
      const box = `x="${left.toFixed(1)}" y="${TOP}" width="${width.toFixed(1)}" height="${bottom - TOP}"`;
      const band = `<rect class="${isRestart ? 'restart' : 'fault'}" ${box}><title>${escaped(label)}</title></rect>`;
      if (!isRestart) return band;
      return `${band}<line class="restart-line" x1="${left.toFixed(1)}" x2="${left.toFixed(1)}" y1="${TOP - 4}" y2="${bottom}"/><text class="restart-name" x="${left.toFixed(1)}" y="${TOP - 8}" text-anchor="middle">${escaped(label)}</text>`;
    })
    .join('');
}

function lineOf({ points, colour, filled, name }: Line, { x, y, bottom }: Frame): string {
  const runs: Point[][] = [[]];
  for (const point of points)
    if (point.value === null) runs.push([]);
    else runs.at(-1)?.push(point);
  return runs
    .filter((run) => run.length > 0)
    .map((run) => {
      const steps = run.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value ?? 0).toFixed(1)}`);
      // One point alone would be nothing to see.
      const path = steps.length === 1 ? `M${steps[0]}h1` : `M${steps.join('L')}`;
      const [first, last] = [run[0]?.at ?? 0, run.at(-1)?.at ?? 0];
      const area = filled
        ? `<path class="area ${colour}" d="${path}L${x(last).toFixed(1)} ${bottom}L${x(first).toFixed(1)} ${bottom}Z"/>`
        : '';
      return `${area}<path class="line ${colour}" d="${path}"><title>${escaped(name)}</title></path>`;
    })
    .join('');
}

function barsOf({ bars = [], unit, lasted }: Chart, { x, y }: Frame): string {
  const columns = bars[0]?.points ?? [];
  const width = Math.max(1.5, (x(lasted) - x(0)) / Math.max(1, columns.length) - 1);
  return columns
    .map((_, n) => {
      let below = 0;
      return bars
        .map(({ points, colour, name }) => {
          const { at = 0, value } = points[n] ?? {};
          if (!value) return '';
          const [from, to] = [y(below), y(below + value)];
          below += value;
          return `<rect class="bar ${colour}" x="${(x(at) - width / 2).toFixed(1)}" y="${to.toFixed(1)}" width="${width.toFixed(1)}" height="${Math.max(1.5, from - to).toFixed(1)}"><title>${escaped(`${name}: ${unit(value)} at ${clock(at, lasted)}`)}</title></rect>`;
        })
        .join('');
    })
    .join('');
}

function limitOf({ limit }: Chart, { y, right }: Frame): string {
  if (!limit) return '';
  const at = y(limit.value).toFixed(1);
  return `<line class="limit" x1="${LEFT}" x2="${right}" y1="${at}" y2="${at}"/><text class="limit-name" x="${right - 4}" y="${at}" dy="-5" text-anchor="end">${escaped(limit.name)}</text>`;
}

function legendOf({ lines = [], bars = [] }: Chart): string {
  const all = [...lines, ...bars];
  if (all.length < 2) return '';
  const keys = all.map(({ name, colour }) => `<span class="key ${colour}">${escaped(name)}</span>`);
  return `<span class="keys">${keys.join('')}</span>`;
}

/** A figure of HTML with its title and its legend. */
export function figureOf(chart: Chart): string {
  const { width = 1040, height = 200, lasted, title } = chart;
  const scale = scaleOf(chart);
  const [right, bottom] = [width - RIGHT, height - BOTTOM];
  const frame: Frame = {
    x: (at) => LEFT + (Math.min(at, lasted) / lasted) * (right - LEFT),
    y: (value) => bottom - scale.share(value) * (bottom - TOP),
    right,
    bottom,
  };
  const drawn = [
    grid(chart, scale, frame),
    marksOf(chart, frame),
    barsOf(chart, frame),
    (chart.lines ?? []).map((line) => lineOf(line, frame)).join(''),
    limitOf(chart, frame),
  ];
  return `<figure><figcaption>${escaped(title)}${legendOf(chart)}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">${drawn.join('')}</svg></figure>`;
}
