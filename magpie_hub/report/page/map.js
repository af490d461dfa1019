// The questions as a map: what is alike lies near. Coloured by any label; move, zoom, choose an area.

function showMap() {
  const placed = rows.x ? rows.x.map((x, row) => (x === null ? -1 : row)).filter((row) => row >= 0) : [];
  if (!placed.length) return missing("map", "The questions have no places on a map.");
  const inks = [...dimensions.values()].filter((one) => one.kind === "labels" || one.kind === "range");
  let ink = dimensions.get("category") || inks[0];
  const choice = el("select", { id: "map-colour", onchange: () => { ink = dimensions.get(choice.value); update(); } },
    inks.map((one) => el("option", { value: one.name }, one.title)));
  choice.value = ink.name;
  const legend = el("ul.legend", { "aria-label": "Colours; a press keeps the rows" });
  const counted = el("p.soft");
  const map = movable("Map of the questions.", {
    x: extent(placed.map((row) => rows.x[row])), y: extent(placed.map((row) => rows.y[row])),
    onescape: () => select(false),
    option: () => {
      const groups = colouring(ink, placed.filter(passes));
      const dot = map.canvas.clientWidth < 560 || placed.length > 3000 ? 5 : 7;
      const faint = placed.filter((row) => !passes(row)).map((row) => [rows.x[row], rows.y[row], row]);
      return {
        tooltip: tooltip({ trigger: "item", formatter: ({ value }) => hover(value[2]) }),
        brush: { xAxisIndex: 0, yAxisIndex: 0, toolbox: [], brushStyle: { color: colour("ghost"), borderColor: colour("soft") } },
        series: [
          { name: "not chosen", type: "scatter", silent: true, symbolSize: dot - 2, z: 1, data: faint,
            itemStyle: { color: colour("ghost"), opacity: 0.8 } },
          ...groups.map((group) => ({
            name: group.name, type: "scatter", symbol: group.shape, symbolSize: dot, z: 2,
            data: group.rows.map((row) => [rows.x[row], rows.y[row], row]),
            itemStyle: pointStyle(group.colour), emphasis: { scale: 1.8 },
          })),
        ],
      };
    },
  });
  const { made, draw } = map;
  let selecting = false;
  const area = el("button.tool", { type: "button", "aria-pressed": "false", onclick: () => select(!selecting) }, "Choose an area");
  const whole = el("button.tool", { type: "button", onclick: () => { map.whole(); setFilters({ area: null }); } }, "Whole map");
  show("map",
    el("div.tools", {}, el("label", { for: "map-colour" }, "Colour by"), choice, map.zooms, whole, area),
    map.box, legend, counted, rows.map_how ? el("p.soft", {}, rows.map_how) : null);

  function hover(row) {
    const label = ink.kind === "labels"
      ? ink.codes[row].map((code) => visible(ink.values[code])).join(", ")
      : figure(ink.values[row]);
    const fate = rows.fates[fateOf[row]];
    return tip(line(question(row), 260), el("span.soft", {}, `${ink.title}: ${label}${fate.kept ? "" : ` · rejected: ${visible(fate.title)}`}`));
  }
  function select(on) {
    selecting = on;
    area.setAttribute("aria-pressed", String(on));
    map.hold(on);
    made.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: on ? "rect" : false, brushMode: "single" } });
  }
  made.on("click", ({ value }) => { if (value) openRow(value[2]); });
  made.on("brushEnd", ({ areas }) => {
    if (!areas.length) return;
    const [[left, right], [bottom, top]] = areas[0].coordRange;
    made.dispatchAction({ type: "brush", areas: [] });
    select(false);
    setFilters({ area: { box: [left, right, bottom, top].map((value) => Number(value.toFixed(3))) } });
  });

  function update() {
    const groups = colouring(ink, placed.filter(passes));
    legend.replaceChildren(...groups.filter((group) => group.name !== null).map((group) => {
      const mark = el("span.mark", {}, group.glyph);
      mark.style.color = group.colour;
      return el("li", {}, ink.kind === "labels"
        ? el("button", { type: "button", "aria-pressed": String(chosen(ink.name, group.code)), onclick: () => toggle(ink.name, group.code) },
            mark, ` ${visible(group.name)} `, el("span.soft", {}, count(group.rows.length)))
        : el("span", {}, mark, ` ${group.name}`));
    }));
    const there = placed.filter(passes).length;
    counted.textContent = `${plural(there, "question")} of ${count(placed.length)} on the map.`;
    draw({ replaceMerge: "series" });
  }
  follow(update);
}

/** The rows in groups of one colour: a value each, or nine steps of a number. */
function colouring(dimension, shown) {
  if (dimension.kind === "labels") {
    const groups = dimension.values.map((value, code) => {
      const none = code >= dimension.labelled;
      const [shape, glyph] = SHAPES[dimension.ordered || none ? 0 : Math.floor(code / WHEEL.length) % SHAPES.length];
      const tone = none ? colour("none")
        : dimension.ordered ? ramp(code, dimension.labelled)
        : dimension.name === "fate" && code === 0 ? colour("kept")
        : dimension.name === "fate" ? colour(WHEEL[(code % (WHEEL.length - 1)) + 1]) : colour(WHEEL[code % WHEEL.length]);
      return { name: value, code, colour: tone, shape, glyph, rows: [] };
    });
    for (const row of shown) groups[dimension.codes[row][0] ?? 0]?.rows.push(row);
    return groups.filter((group) => group.rows.length || chosen(dimension.name, group.code));
  }
  const there = dimension.values.filter((value) => value !== null).sort((a, b) => a - b);
  const steps = 6;
  const edges = Array.from({ length: steps + 1 }, (_, at) => there[Math.min(there.length - 1, Math.floor((at * there.length) / steps))]);
  const groups = Array.from({ length: steps }, (_, at) => ({
    name: `${figure(edges[at])} to ${figure(edges[at + 1])}`, colour: ramp(at, steps), shape: "circle", glyph: "●", rows: [],
  }));
  const none = { name: "none", colour: colour("none"), shape: "circle", glyph: "●", rows: [] };
  for (const row of shown) {
    const value = dimension.values[row];
    if (value === null) { none.rows.push(row); continue; }
    let at = steps - 1;
    while (at && value < edges[at]) at -= 1;
    groups[at].rows.push(row);
  }
  return [...groups, none].filter((group) => group.rows.length);
}
