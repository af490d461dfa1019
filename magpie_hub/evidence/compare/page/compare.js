// The map: the questions of all sources over each other. All else on the page is plain HTML.
(() => {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const place = document.getElementById("plot");
if (!place || !data.sources.length) return;
const probe = document.body.appendChild(document.createElement("span"));
probe.hidden = true;
const SHAPES = ["circle", "triangle", "diamond", "rect"];

/** A colour of the style sheet as the scheme has it now. */
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** Cut into lines, as the canvas does not wrap text. */
function wrapped(text, width = 60) {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    if (lines.at(-1).length + word.length > width) lines.push("");
    lines[lines.length - 1] += `${lines.at(-1) ? " " : ""}${word.slice(0, width)}`;
  }
  return lines.slice(0, 6).join("\n");
}

const made = echarts.init(place, null, { renderer: "canvas" });
function draw() {
  const dot = Math.max(3, Math.min(9, 400 / Math.sqrt(data.sources[0].x.length + 1)));
  made.setOption({
    animation: false,
    textStyle: { color: colour("soft") },
    legend: { top: 0, textStyle: { color: colour("ink") } },
    grid: { left: 10, right: 10, top: 40, bottom: 10 },
    xAxis: { type: "value", min: -1.05, max: 1.05, show: false },
    yAxis: { type: "value", min: -1.05, max: 1.05, show: false },
    dataZoom: [
      { type: "inside", xAxisIndex: 0, filterMode: "none" },
      { type: "inside", yAxisIndex: 0, filterMode: "none" },
    ],
    tooltip: {
      renderMode: "richText", backgroundColor: colour("raised"), borderColor: colour("rule"),
      textStyle: { color: colour("ink") },
      formatter: (at) => `${at.seriesName}\n${wrapped(data.sources[at.seriesIndex].texts[at.dataIndex]).replace(/[{}|]/g, " ")}`,
    },
    series: data.sources.map((source, at) => ({
      name: source.name, type: "scatter", symbolSize: dot, symbol: SHAPES[Math.floor(at / 7) % 4],
      data: source.x.map((x, row) => [x, source.y[row]]),
      itemStyle: { color: colour(`wheel-${(at % 7) + 1}`), opacity: 0.6 },
    })),
  });
}
draw();
new ResizeObserver(() => made.resize()).observe(place);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
document.body.dataset.drawn = "map";
})();
