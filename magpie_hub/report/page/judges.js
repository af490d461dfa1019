// Where two of those who judge the same rows do not agree.

function showJudges() {
  if (!data.judges?.items.length) return missing("judges", "Nothing in these rows was judged twice.");
  for (const item of data.judges.items) {
    const canvas = el("div.canvas.judge");
    const card = el("section.card", {}, el("h3", {}, visible(item.title)),
      item.agreement === null || item.agreement === undefined ? null
        : el("p", {}, el("strong", {}, /correlation/.test(item.measure) ? figure(item.agreement) : percent(item.agreement)), ` ${item.measure}`),
      item.note ? el("p.soft", {}, item.note) : null, canvas);
    show("judges", card);
    if (item.kind === "numbers") judgeNumbers(item, canvas, card);
    else judgeLabels(item, canvas, card);
  }
}

function judgeNumbers(item, canvas, card) {
  const points = item.points.map(([a, b], at) => [a, b, item.rows[at]]);
  const { made, draw } = chart(canvas, `${item.title}: each row by both scores.`, () => {
    const inside = (row) => !filters.size || (row >= 0 && passes(row));
    const axis = (name) => ({
      type: "value", scale: true, name: line(name, 40), nameLocation: "middle", nameGap: 30,
      nameTextStyle: { color: colour("soft") }, axisLabel: { color: colour("soft") }, splitLine: { lineStyle: { color: colour("ghost") } },
      axisLine: { onZero: false, lineStyle: { color: colour("rule") } },
    });
    const dots = (test, tone, z) => ({ type: "scatter", symbolSize: 6, z, data: points.filter((point) => test(point[2])),
      itemStyle: { color: tone, opacity: 0.75 }, silent: z === 1 });
    return {
      grid: { left: 48, right: 12, top: 12, bottom: 46 }, xAxis: axis(item.a), yAxis: axis(item.b),
      tooltip: tooltip({ trigger: "item", formatter: ({ value: [a, b, row] }) =>
        tip(`${line(item.a, 40)} ${figure(a)}, ${line(item.b, 40)} ${figure(b)}`, row >= 0 ? line(question(row), 200) : "") }),
      series: [dots((row) => !inside(row), colour("ghost"), 1), dots(inside, colour("kept"), 2)],
    };
  });
  made.on("click", ({ value }) => { if (value[2] >= 0) openRow(value[2]); });
  follow(() => draw());
  const list = el("ol.apart");
  card.append(el("h4", {}, "Furthest apart"), list);
  const rank = (at) => {
    const order = points.map((_, i) => i).sort((i, j) => points[i][at] - points[j][at]);
    const places = new Float64Array(points.length);
    order.forEach((i, n) => { places[i] = n; });
    return places;
  };
  const [one, other] = [rank(0), rank(1)];
  const apart = points.map((point, i) => [Math.abs(one[i] - other[i]), point]).sort((a, b) => b[0] - a[0]);
  follow(() => list.replaceChildren(...apart.filter(([, point]) => point[2] >= 0 && passes(point[2])).slice(0, 5).map(([, [a, b, row]]) =>
    el("li", {}, el("button.link", { type: "button", onclick: () => openRow(row) }, line(question(row), 90)),
      el("span.soft", {}, ` ${figure(a)} and ${figure(b)}`)))));
}

function judgeLabels(item, canvas, card) {
  const cells = item.counts.flatMap((line, a) => line.map((n, b) => [b, a, n]));
  const most = Math.max(...cells.map((cell) => cell[2]), 1);
  canvas.style.height = `${Math.max(220, 40 * item.values_a.length + 80)}px`;
  const { draw } = chart(canvas, `${item.title}: how often each two labels met. The list below has the largest.`, () => {
    const axis = (values, name) => ({
      type: "category", data: values.map((value) => line(value, 18)), name: line(name, 40), nameLocation: "middle", nameTextStyle: { color: colour("soft") },
      axisLabel: { color: colour("soft"), interval: 0 }, axisTick: { show: false }, axisLine: { show: false },
    });
    return {
      grid: { left: 110, right: 8, top: 8, bottom: 62 },
      xAxis: { ...axis(item.values_b, item.b), nameGap: 44, axisLabel: { color: colour("soft"), interval: 0, width: 70, overflow: "truncate" } },
      yAxis: { ...axis(item.values_a, item.a), nameGap: 92, inverse: true },
      visualMap: { show: false, min: 0, max: most, inRange: { color: [colour("paper"), colour("kept")] } },
      tooltip: tooltip({ trigger: "item", formatter: ({ value: [b, a, n] }) =>
        tip(`${line(item.a, 40)}: ${visible(item.values_a[a])}`, `${line(item.b, 40)}: ${visible(item.values_b[b])}`, plural(n, "row")) }),
      series: [{ type: "heatmap", data: cells.map((value) => ({ value, label: { color: colour(value[2] > 0.5 * most ? "paper" : "ink") } })), itemStyle: { borderColor: colour("paper"), borderWidth: 2, borderRadius: 4 },
        label: { show: true, formatter: ({ value }) => (value[2] ? count(value[2]) : "") } }],
    };
  });
  follow(() => draw());
  if (!item.values_a.some((value) => item.values_b.includes(value))) return;
  const apart = cells.filter(([b, a, n]) => n && item.values_a[a] !== item.values_b[b]).sort((x, y) => y[2] - x[2]).slice(0, 5);
  card.append(el("h4", {}, "Where they differ most often"), el("ul.apart", {}, apart.map(([b, a, n]) =>
    el("li", {}, `${plural(n, "row")}: ${visible(item.values_a[a])} and ${visible(item.values_b[b])}`))));
}
