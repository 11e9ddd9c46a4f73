// Draws each figure of the page Quality from the JSON in its `data-chart`, by uPlot. All values
// stand in the tables of the page as well.

import uPlot from "./uPlot.js";

const HEIGHT_PX = 320;
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();

const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function series({ label, kind, tone: name }, show) {
  const stroke = tone(name);
  const plain = { label, stroke, width: 3, value: (_, value) => (value == null ? "–" : show(value)) };
  if (kind === "bars") return { ...plain, fill: stroke, paths: uPlot.paths.bars({ size: [0.7, 90] }), points: { show: false } };
  if (kind === "points") return { ...plain, paths: () => null, points: { show: true, size: 16, fill: stroke, stroke } };
  if (kind === "limit") return { ...plain, width: 2, dash: [10, 6], spanGaps: true, points: { show: false } };
  return { ...plain, spanGaps: true, points: { show: true, size: 7, fill: stroke, stroke } };
}

function draw(figure) {
  const chart = JSON.parse(figure.dataset.chart);
  const show = chart.percent ? (v) => `${(v * 100).toFixed(2)} %` : (v) => String(Math.round(v * 1000) / 1000);
  const short = chart.percent ? (v) => `${Math.round(v * 1e4) / 100} %` : show;
  const place = figure.querySelector(".plot");
  const axis = { stroke: tone("ink"), grid: { stroke: tone("line"), width: 1 }, ticks: { stroke: tone("line") }, font: "16px system-ui, sans-serif" };
  const all = chart.series.flatMap((s) => s.values).filter((v) => v != null);
  const top = Math.max(...all, 0) * 1.08 || 1;
  drawn.get(figure)?.destroy();
  drawn.set(figure, new uPlot({
    width: place.clientWidth,
    height: HEIGHT_PX,
    scales: { x: { time: false, range: [-0.6, chart.labels.length - 0.4] }, y: { range: [0, top] } },
    legend: { live: true },
    cursor: { drag: { x: false, y: false } },
    axes: [
      { ...axis, size: 44, space: 110, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], values: (_, at) => at.map((i) => chart.labels[i] ?? "") },
      { ...axis, size: 84, values: (_, at) => at.map(short) },
    ],
    series: [{ label: figure.dataset.x, value: (_, i) => chart.labels[i] ?? "–" }, ...chart.series.map((s) => series(s, show))],
  }, [chart.labels.map((_, i) => i), ...chart.series.map((s) => s.values)], place));
  figure.dataset.drawn = "true";
}

const figures = [...document.querySelectorAll("figure[data-chart]")];
const drawAll = () => figures.forEach(draw);
drawAll();
dark.addEventListener("change", drawAll);
new ResizeObserver(() => figures.forEach((figure) => {
  const width = figure.querySelector(".plot").clientWidth;
  if (drawn.get(figure).width !== width) drawn.get(figure).setSize({ width, height: HEIGHT_PX });
})).observe(document.querySelector("main"));
