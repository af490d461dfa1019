// How labels and numbers are spread; a click on a value keeps the rows that have it.

function showDistributions() {
  const node = place("distributions");
  if (!rows.labels.length && !rows.numbers.length)
    return missing("distributions", "The rows have no labels and no measures.", "labels");
  for (const label of rows.labels) node.append(labelPanel(dimensions.get(label.name)));
  for (const number of rows.numbers) node.append(numberPanel(dimensions.get(number.name)));
  for (const key of ["labels", "numbers"])
    if (!rows[key].length && data.missing?.[key]) node.append(el("p.missing", {}, prose(data.missing[key])));
}

function labelPanel(dimension) {
  const card = el("section.card", { "data-dimension": dimension.name }, el("h3", {}, dimension.title));
  const all = exact(dimension);
  let now = all;
  const names = dimension.values;
  const update = barList(card, {
    title: dimension.title, names,
    series: () => [
      { name: "kept", values: now.kept, colour: colour("kept") },
      { name: "rejected", values: now.rejected, colour: colour("rejected") },
    ],
    among: () => scaled(dimension.name, sum(all), sum(now)),
    figures: () => sum(now).map((n) => count(n)),
    describe: () => now.kept.map((n, at) =>
      `${visible(names[at])}: ${about()}${count(n)} kept, ${count(now.rejected[at])} rejected`),
    press: (at) => toggle(dimension.name, at), pressed: (at) => chosen(dimension.name, at),
  });
  follow(() => { now = others(dimension.name) ? tallyBy(dimension, passesBut(dimension.name)) : all; update(); });
  return card;
}

/** The counts of all rows: what the data say of them, else what the sampled rows give. */
function exact(dimension) {
  if (!dimension.all) return tallyBy(dimension, () => true);
  const { kept, rejected, unlabelled } = dimension.all;
  const none = dimension.values.length > dimension.labelled;
  return none
    ? { kept: [...kept, unlabelled[0]], rejected: [...rejected, unlabelled[1]] }
    : { kept, rejected };
}

/** Kept and rejected together. */
const sum = ({ kept, rejected }) => kept.map((n, at) => n + rejected[at]);

/** How many there were, had `now` the shares of `all`: what a tick on a bar shows. Nothing, while no
 * filter but the panel's own makes a difference. */
function scaled(name, all, now) {
  if (!others(name)) return [];
  const total = (values) => values.reduce((one, other) => one + other, 0);
  const times = total(now) / (total(all) || 1);
  return times ? all.map((n) => n * times) : [];
}

const BINS = 24;

/** Edges of the bins of a number, even in the value or, for lengths that go far, in its logarithm. */
function edgesOf(dimension) {
  const there = dimension.values.filter((value) => value !== null);
  const low = there.reduce((a, b) => Math.min(a, b), Infinity);
  const high = there.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!there.length || low === high) return there.length ? [low, low] : [0, 0];
  const far = dimension.log && low >= 0 && high > 20 * Math.max(low, 1);
  const to = far ? (value) => Math.log1p(value) : (value) => value;
  const from = far ? (value) => Math.expm1(value) : (value) => value;
  const step = (to(high) - to(low)) / BINS;
  const edges = Array.from({ length: BINS + 1 }, (_, at) => from(to(low) + at * step));
  edges[0] = low;
  edges[BINS] = high;
  return edges;
}

function numberPanel(dimension) {
  const edges = edgesOf(dimension);
  const bins = Math.max(edges.length - 1, 1);
  const binOf = dimension.values.map((value) => {
    if (value === null) return -1;
    let low = 0, high = bins - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (edges[middle] <= value) low = middle; else high = middle - 1;
    }
    return low;
  });
  const spread = (test) => {
    const kept = new Array(bins).fill(0), rejected = new Array(bins).fill(0);
    const values = [];
    for (let row = 0; row < rows.count; row++) {
      if (binOf[row] < 0 || !test(row)) continue;
      (isKept[row] ? kept : rejected)[binOf[row]] += weights[fateOf[row]];
      values.push([dimension.values[row], weights[fateOf[row]]]);
    }
    return { kept, rejected, median: median(values) };
  };
  const all = spread(() => true);
  let now = all;

  const middle = el("span.soft");
  const canvas = el("div.canvas.histogram");
  const bound = (name, at) => el("input", {
    type: "number", step: "any", "aria-label": `${dimension.title}, ${name}`, placeholder: figure(at).replace(/,/g, ""),
    onchange: choose,
  });
  const low = bound("at least", edges[0]);
  const high = bound("at most", edges[bins]);
  const card = el("section.card", { "data-dimension": dimension.name },
    el("h3", {}, dimension.title, middle), canvas,
    el("div.range", {}, low, el("span", {}, "to"), high, el("span.soft", {}, dimension.unit || "")));

  function choose() {
    const from = low.value === "" ? edges[0] : Number(low.value);
    const to = high.value === "" ? edges[bins] : Number(high.value);
    const none = low.value === "" && high.value === "";
    setFilters({ [dimension.name]: none || !(from <= to) ? null : { low: from, high: to } });
  }
  const between = (first, last) =>
    setFilters({ [dimension.name]: { low: round(edges[first], -1), high: round(edges[last + 1], 1) } });

  const { made, draw } = chart(canvas, `Histogram of ${dimension.title}; the fields below choose a range.`, () => {
    const own = filters.get(dimension.name);
    const inside = (at) => !own || (edges[at + 1] >= own.low && edges[at] <= own.high);
    const bars = (values, tone) => values.map((value, at) => ({ value, itemStyle: { color: tone, opacity: inside(at) ? 1 : 0.3 } }));
    return {
      grid: { left: 2, right: 2, top: 6, bottom: 22 },
      xAxis: {
        type: "category", data: Array.from({ length: bins }, (_, at) => at), axisTick: { show: false },
        axisLine: { lineStyle: { color: colour("rule") } },
        axisLabel: {
          color: colour("soft"), fontSize: 12, showMinLabel: true, showMaxLabel: true, alignMinLabel: "left", alignMaxLabel: "right",
          interval: (at) => at % Math.ceil(bins / 4) === 0 || at === bins - 1,
          formatter: (at) => figure(Number(at) === bins - 1 ? edges[bins] : edges[at]),
        },
      },
      yAxis: { type: "value", show: false, min: 0 },
      tooltip: tooltip({
        trigger: "axis", axisPointer: { type: "shadow", shadowStyle: { color: colour("ghost"), opacity: 0.5 } },
        formatter: ([{ dataIndex: at }]) => tip(
          `${figure(edges[at])} to ${figure(edges[at + 1])} ${dimension.unit || ""}`,
          `${about()}${count(now.kept[at])} kept, ${about()}${count(now.rejected[at])} rejected`),
      }),
      brush: { xAxisIndex: 0, toolbox: [], brushStyle: { color: colour("ghost"), borderColor: colour("soft"), borderWidth: 1 } },
      series: [
        { name: "among all", type: "line", step: "middle", symbol: "none", silent: true, z: 3,
          lineStyle: { color: colour("ink"), width: 1 }, data: scaled(dimension.name, sum(all), sum(now)) },
        { name: "kept", type: "bar", barCategoryGap: "8%", z: 2, stack: "now", data: bars(now.kept, colour("kept")) },
        { name: "rejected", type: "bar", z: 2, stack: "now", data: bars(now.rejected, colour("rejected")) },
      ],
    };
  }, dragging);

  const binAt = (x) => Math.max(0, Math.min(bins - 1, made.convertFromPixel({ xAxisIndex: 0 }, x)));
  let pressedAt = null;
  made.getZr().on("mousedown", (event) => { pressedAt = event.offsetX; });
  made.getZr().on("click", (event) => {
    if (pressedAt !== null && Math.abs(event.offsetX - pressedAt) > 3) return;
    const own = filters.get(dimension.name);
    const at = binAt(event.offsetX);
    const value = (edges[at] + edges[at + 1]) / 2;
    if (own && own.low <= value && value <= own.high) setFilters({ [dimension.name]: null });
    else between(at, at);
  });
  made.on("brushEnd", ({ areas }) => {
    if (!areas.length) return;
    const [first, last] = areas[0].coordRange;
    made.dispatchAction({ type: "brush", areas: [] });
    between(Math.max(0, first), Math.min(bins - 1, last));
  });
  follow(() => {
    now = spread(passesBut(dimension.name));
    const own = filters.get(dimension.name);
    low.value = own ? own.low : "";
    high.value = own ? own.high : "";
    middle.textContent = now.median === null ? "" : `median ${figure(now.median)} ${dimension.unit || ""}`;
    draw();
  });
  return card;
}

/** A drag over a histogram chooses a range, where there is a pointer that does not scroll as well. */
function dragging(made) {
  if (!matchMedia("(pointer: fine)").matches) return;
  made.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: "lineX", brushMode: "single" } });
}

/** To four digits, down or up, so that no value of the bin falls out. */
function round(value, way) {
  if (!value) return 0;
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 3);
  const times = value / unit;
  return Number(((way < 0 ? Math.floor(times + 1e-9) : Math.ceil(times - 1e-9)) * unit).toPrecision(6));
}

/** The weighted median of [value, weight]; null of nothing. */
function median(values) {
  values.sort((a, b) => a[0] - b[0]);
  const half = values.reduce((so, [, weight]) => so + weight, 0) / 2;
  let so = 0;
  for (const [value, weight] of values) if ((so += weight) >= half) return value;
  return null;
}
