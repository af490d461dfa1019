// What makes a chart of points a map: it is moved and zoomed, by the pointer and by the keyboard.

/** A map in a box. `option()` gives its series and what else it has; `x` and `y` are {min, max}.
 * `hold(true)` leaves the pointer to something else, which Escape ends: `onescape`. */
function movable(description, { x, y, option, onescape = null, after = null }) {
  let active = false, held = false;
  const canvas = el("div.canvas.map", { tabindex: "0" });
  const hint = el("p.hint", {}, "Click the map to move and zoom it");
  const { made, draw } = chart(canvas, `${description} Arrow keys move it, plus and minus zoom.`, () => ({
    grid: { left: 0, right: 0, top: 0, bottom: 0 },
    xAxis: { type: "value", show: false, ...x },
    yAxis: { type: "value", show: false, ...y },
    dataZoom: ["x", "y"].map((axis) => ({
      id: axis, type: "inside", [`${axis}AxisIndex`]: 0, filterMode: "none", disabled: !active || held,
      zoomOnMouseWheel: true, moveOnMouseMove: true, minSpan: 2,
    })),
    ...option(),
  }), after);

  const view = (axis) => made.getOption().dataZoom.find((one) => one.id === axis);
  function turn(axis, start, end) {
    const shift = Math.max(0, -start) - Math.max(0, end - 100);
    made.dispatchAction({ type: "dataZoom", dataZoomId: axis, start: Math.max(0, start + shift), end: Math.min(100, end + shift) });
  }
  function zoom(times) {
    for (const axis of ["x", "y"]) {
      const { start, end } = view(axis);
      const half = Math.min(50, ((end - start) * times) / 2), middle = (start + end) / 2;
      turn(axis, middle - half, middle + half);
    }
  }
  function whole() {
    for (const axis of ["x", "y"]) turn(axis, 0, 100);
  }
  const follows = () => made.setOption({ dataZoom: ["x", "y"].map((id) => ({ id, disabled: !active || held })) });
  function activate(on) {
    if (active === on) return;
    active = on;
    hint.hidden = on;
    follows();
  }
  function hold(on) {
    held = on;
    follows();
  }
  canvas.addEventListener("pointerdown", () => activate(true));
  canvas.addEventListener("blur", () => activate(false));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", 1], ArrowDown: ["y", -1] }[event.key];
    if (step) {
      const { start, end } = view(step[0]);
      turn(step[0], start + (step[1] * (end - start)) / 8, end + (step[1] * (end - start)) / 8);
    } else if (event.key === "+" || event.key === "=") zoom(0.6);
    else if (event.key === "-") zoom(1 / 0.6);
    else if (event.key === "Escape") { onescape?.(); activate(false); }
    else return;
    event.preventDefault();
  });
  const tool = (text, name, act) => el("button.tool", { type: "button", title: name, "aria-label": name, onclick: act }, text);
  const zooms = [tool("+", "Zoom in", () => zoom(0.6)), tool("−", "Zoom out", () => zoom(1 / 0.6))];
  return { made, draw, canvas, box: el("div.mapbox", {}, canvas, hint), zooms, whole, hold };
}

/** Where an axis begins and ends so that all `values` have some air. */
function extent(values) {
  const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
  const air = (high - low || 1) * 0.04;
  return { min: low - air, max: high + air };
}

/** A point, as charts show it over the paper. */
const pointStyle = (tone, opacity = 0.85) => ({ color: tone, opacity, borderColor: colour("paper"), borderWidth: 0.5 });
