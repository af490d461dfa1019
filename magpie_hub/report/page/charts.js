// What all charts share: colours of the scheme, size, motion, and bars beside a list of buttons.

const still = matchMedia("(prefers-reduced-motion: reduce)");
const probe = document.body.appendChild(el("span", { hidden: true }));

/** A colour of the style sheet as the scheme has it now. */
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

// Okabe and Ito's colours, told apart by people who see few; shapes go on where colours end.
const WHEEL = ["wheel-1", "wheel-2", "wheel-3", "wheel-4", "wheel-5", "wheel-6", "wheel-7"];
const SHAPES = [["circle", "●"], ["triangle", "▲"], ["diamond", "◆"], ["rect", "■"]];
// Viridis, in nine steps.
const RAMP = [
  "#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725",
];

/** The colour of step `at` of `steps` along the ramp. */
function ramp(at, steps) {
  const low = document.documentElement.dataset.scheme === "dark" ? 1 : 0;
  const high = document.documentElement.dataset.scheme === "dark" ? 8 : 7;
  return RAMP[Math.round(low + ((high - low) * at) / Math.max(steps - 1, 1))];
}

/** A chart in `node`, described to those who do not see it; `option` is asked for at each drawing,
 * `after` is called when it is done. */
function chart(node, description, option, after = null) {
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", description);
  const made = echarts.init(node, null, { renderer: "canvas" });
  let near = false, due = null;
  const draw = (how = {}) => {
    if (!near) { due = how; return; }
    const base = {
      animation: !still.matches, animationDuration: 250, animationDurationUpdate: 250,
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: colour("soft") },
    };
    made.setOption({ ...base, toolbox: { show: false }, ...option() }, how);
    after?.(made);
  };
  // What is far from the window is drawn when it comes near.
  new IntersectionObserver(([{ isIntersecting }]) => {
    near = isIntersecting;
    if (!near || !due) return;
    draw(due);
    due = null;
  }, { rootMargin: "300px" }).observe(node);
  new ResizeObserver(() => made.resize()).observe(node);
  return { made, draw };
}

/** What a tooltip shows: lines of text. */
function tip(...lines) {
  return el("div.tip", {}, lines.map((each) => el("div", {}, each)));
}

/** The look of tooltips; their content is made of text nodes alone. */
function tooltip(more) {
  return {
    backgroundColor: colour("raised"), borderColor: colour("rule"), padding: [8, 10],
    textStyle: { color: colour("ink"), fontSize: 13 }, confine: true, transitionDuration: 0,
    extraCssText: "max-width: 340px; white-space: normal;", ...more,
  };
}

/** Bars beside a list: each line is a button (or text), so the chart has a twin for the keyboard.
 *
 * `names` are the lines; `series()` gives [{name, values, colour, beside}] and `figures()` the text
 * at the end of each line; `among()` the places of ticks, while there are filters; `press(index)` and
 * `pressed(index)` make the lines buttons. */
function barList(node, { title, names, series, figures, describe, among, press, pressed, limit = 14 }) {
  const list = el("ul.lines");
  const canvas = el("div.bars");
  const more = names.length > limit ? el("button.further", { type: "button" }) : null;
  let open = !more;
  const lines = names.map((name, at) => {
    const inside = [el("span.name", { title: visible(name) }, visible(name)), el("span.figure")];
    const control = press
      ? el("button.line", { type: "button", onclick: () => press(at) }, inside)
      : el("div.line", {}, inside);
    return el("li", {}, control);
  });
  const shown = () => (open ? lines.length : limit);
  const { made, draw } = chart(canvas, `Bars: ${title}. The list beside has the same numbers.`, () => {
    const all = series();
    const ticks = among ? among() : [];
    const sums = lines.map((_, at) => all.reduce((so, one) => (one.beside ? Math.max(so, one.values[at]) : so + one.values[at]), 0));
    const most = Math.max(1e-12, ...sums, ...ticks);
    const some = Boolean(pressed) && lines.some((_, at) => pressed(at));
    return {
      grid: { left: 0, right: 2, top: 0, bottom: 0 },
      xAxis: { type: "value", show: false, min: 0, max: most },
      yAxis: { type: "category", show: false, inverse: true, data: lines.slice(0, shown()).map((_, at) => at) },
      series: [...all.map((one) => ({
        type: "bar", name: one.name, stack: one.beside ? one.name : "now", silent: true,
        barGap: "0%", barWidth: one.beside ? 8 : 14,
        data: one.values.slice(0, shown()).map((value, at) => ({
          value, itemStyle: {
            color: one.colour, borderRadius: 2,
            opacity: some && !pressed(at) ? 0.35 : 1,
          },
        })),
      })), {
        type: "scatter", name: "among all", silent: true, symbol: "rect", symbolSize: [2, 20], z: 3,
        itemStyle: { color: colour("ink") }, data: ticks.slice(0, shown()).map((value, at) => [value, at]),
      }],
    };
  });
  if (press)
    made.getZr().on("click", (event) => press(Math.min(shown() - 1, Math.floor(event.offsetY / 28))));
  function update() {
    const texts = figures();
    const said = describe ? describe() : texts;
    list.replaceChildren(...lines.slice(0, shown()));
    lines.forEach((item, at) => {
      item.querySelector(".figure").textContent = texts[at];
      item.firstChild.title = said[at];
      if (press) item.firstChild.setAttribute("aria-pressed", String(Boolean(pressed(at))));
    });
    canvas.style.height = `${28 * shown()}px`;
    made.resize();
    draw();
    if (more) more.textContent = open ? "Show fewer" : `Show all ${names.length}`;
  }
  more?.addEventListener("click", () => { open = !open; update(); });
  node.append(el("div.barlist", {}, list, canvas), ...(more ? [more] : []));
  return update;
}
