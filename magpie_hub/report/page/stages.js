// How fast each stage was and what it costs, of the whole run: filters do not change it.

const MEASURES = [
  ["hours", `${capital(DEVICE)} time per 1,000 rows kept`, (one) => one.per_1000_kept?.hours, (n) => duration(n * 3600)],
  ["cpu_hours", "CPU time per 1,000 rows kept", (one) => one.per_1000_kept?.cpu_hours, (n) => duration(n * 3600)],
  ["new_tokens", "Tokens written per 1,000 rows kept", (one) => one.per_1000_kept?.new_tokens, figure],
  ["prompt_tokens", "Tokens read per 1,000 rows kept", (one) => one.per_1000_kept?.prompt_tokens, figure],
  ["rows_per_second", "Rows per second", (one) => one.rows_per_second, figure],
  ["tokens_per_second", "Tokens written per second", (one) => one.tokens_per_second, figure],
];

function showStages() {
  const found = data.stages?.items || [];
  if (!found.length) return missing("stages", "No account of the stages is there.");
  const measures = MEASURES.filter(([, , value]) => found.some((one) => value(one)));
  let measure = measures[0];
  const choice = el("select", { id: "measure", onchange: () => { measure = measures.find(([name]) => name === choice.value); update(); } },
    measures.map(([name, title]) => el("option", { value: name }, title)));
  const bars = el("div");
  const columns = [
    ["Rows", (one) => (one.stage ? count(one.rows) : "")],
    ["Rows/s", (one) => (one.stage ? figure(one.rows_per_second) : "")],
    ["Tokens read", (one) => figure(one.prompt_tokens)],
    ["Tokens written", (one) => figure(one.new_tokens)],
    ["Tokens/s", (one) => figure(one.tokens_per_second)],
    [`${capital(DEVICE)} time`, (one) => duration((one.hours || 0) * 3600)],
    ["per 1,000 kept", (one) => (one.per_1000_kept ? duration((one.per_1000_kept.hours || 0) * 3600) : "–")],
  ];
  const lineOf = (one, name) => el("tr", {}, el("th", { scope: "row" }, name, one.model ? el("div.soft", {}, visible(one.model)) : null),
    columns.map(([, text]) => el("td.number", {}, text(one))));
  show("stages",
    measures.length ? el("div.tools", {}, el("label", { for: "measure" }, "Show"), choice) : null, bars,
    el("div.wide", { tabindex: "0", role: "group", "aria-label": "Table of the stages" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Stage"), columns.map(([name]) => el("th.number", { scope: "col" }, name)))),
      el("tbody", {}, found.map((one) => lineOf(one, one.title))),
      data.stages.total ? el("tfoot", {}, lineOf(data.stages.total, "All")) : null)));
  const draw = measures.length ? barList(bars, {
    title: "stages", names: found.map((one) => one.title), limit: 40,
    series: () => [{ name: measure[1], values: found.map((one) => measure[2](one) || 0), colour: colour("kept") }],
    figures: () => found.map((one) => (measure[2](one) ? measure[3](measure[2](one)) : "–")),
  }) : () => {};
  const update = () => draw();
  follow(update);
}
