// Sets of questions over each other on one map, the first on top; each can be taken away.

/** The map of `sets`, each {name, x, y, texts}, in `node`; gives what draws it. */
function layered(node, sets, description, after = null) {
  const gone = new Set();
  const looks = sets.map((_, at) => {
    const [shape, glyph] = SHAPES[at % SHAPES.length];
    return { shape, glyph, tone: WHEEL[at % WHEEL.length] };
  });
  const map = movable(description, {
    x: extent(sets.flatMap((set) => set.x)), y: extent(sets.flatMap((set) => set.y)),
    option: () => {
      const dot = map.canvas.clientWidth < 560 || sets[0].x.length > 1500 ? 5 : 7;
      return {
        tooltip: tooltip({ trigger: "item", formatter: ({ seriesIndex: at, dataIndex: row }) =>
          tip(line(sets[at].texts[row], 260), el("span.soft", {}, line(sets[at].name, 60))) }),
        series: sets.map((set, at) => ({
          name: set.name, type: "scatter", progressive: 0, symbol: looks[at].shape, symbolSize: dot, z: 2 + sets.length - at,
          data: gone.has(at) ? [] : set.x.map((x, row) => [x, set.y[row]]),
          itemStyle: pointStyle(colour(looks[at].tone), 0.7), emphasis: { scale: 1.8 },
        })),
      };
    },
    after,
  });
  const marks = sets.map((_, at) => el("span.mark", {}, looks[at].glyph));
  const legend = el("ul.legend.switches", { "aria-label": "Sets; a press shows or hides one" }, sets.map((set, at) => {
    const button = el("button", { type: "button", "aria-pressed": "true", onclick: () => {
      if (!gone.delete(at)) gone.add(at);
      button.setAttribute("aria-pressed", String(!gone.has(at)));
      draw();
    } }, marks[at], el("span.name", {}, ` ${visible(set.name)} `), el("span.soft", {}, count(set.x.length)));
    return el("li", {}, button);
  }));
  node.append(
    el("div.tools", {}, map.zooms, el("button.tool", { type: "button", onclick: map.whole }, "Whole map")),
    map.box, legend);

  function draw() {
    marks.forEach((mark, at) => { mark.style.color = colour(looks[at].tone); });
    map.draw();
  }
  return draw;
}
