// What this is, the numbers that decide, and the configs with what each clause of a filter drops.

function headline(value, label, note) {
  return el("div.headline", {}, el("dt", {}, label), el("dd", {}, el("strong", {}, value)),
    note ? el("dd.note", {}, note) : null);
}

function showOverview() {
  const known = data.overview;
  const per = data.stages?.total?.per_1000_kept;
  const so = known.finished === false ? " so far" : "";
  document.title = `${data.title}: report`;
  document.getElementById("name").textContent = data.title;
  const what = data.kind === "release" ? `Release ${data.version}` : "Run";
  const day = new Intl.DateTimeFormat("en", { dateStyle: "long" }).format(new Date(data.created));
  document.getElementById("made").textContent = `${what} · reported ${day} by ${data.generator}`;

  const numbers = el("dl.headlines", {},
    headline(count(known.kept), `rows kept${so}`, `${percent(known.kept, known.sampled)} of what was sampled`),
    headline(count(known.sampled), `queries sampled${so}`, known.answered === null || known.answered === undefined
      ? null : `${count(known.answered)} answered`),
    known.new_tokens ? headline(figure(known.new_tokens), "tokens written",
      per ? `${figure(per.new_tokens)} per 1,000 rows kept` : null) : null,
    known.hours ? headline(duration(known.hours * 3600), `${DEVICE} time`,
      per ? `${duration(per.hours * 3600)} per 1,000 rows kept` : null) : null,
    known.truncated === null || known.truncated === undefined ? null
      : headline(percent(known.truncated), "answers cut off", "at the longest length allowed"));

  const same = known.model === known.responder;
  const facts = [
    [same ? "Model" : "Questions by", known.model],
    ["Answers by", same ? null : known.responder],
    ["Kind of dataset", known.builder],
    ["Licence", known.license],
    ["Run on", (known.engines || []).join(", ")],
    ["Repeatable", { bits: "bit for bit", seeds: "same seeds, same engine", plan: "same plan" }[known.determinism]],
    ["Rows on this page", rows.how],
  ].filter(([, value]) => value);
  show("overview",
    numbers,
    glance(),
    el("dl.facts", {}, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, visible(value))))),
    configs(known.configs || []),
  );
}

/** Measured facts on the kept rows that whoever publishes should have looked at; each is a filter. */
function glance() {
  const node = el("ul.glance", { "aria-label": "Worth a look before publishing" });
  const keptRows = (row) => isKept[row];
  const total = tally(keptRows).kept;
  const found = [];
  const by = (name) => {
    const dimension = dimensions.get(name);
    return dimension?.kind === "labels" && total ? { dimension, kept: exact(dimension).kept } : null;
  };
  const category = by("category");
  if (category) {
    const top = category.kept.indexOf(Math.max(...category.kept));
    found.push(["category", [top], category.kept[top], `are ${visible(category.dimension.values[top])}, the largest category`]);
  }
  const values = (name, wanted, words) => {
    const label = by(name);
    if (!label) return;
    const codes = label.dimension.keys.map((key, at) => (wanted(key) ? at : -1)).filter((at) => at >= 0);
    const rowsOf = codes.reduce((sum, at) => sum + label.kept[at], 0);
    if (rowsOf) found.push([name, codes, rowsOf, words]);
  };
  values("quality", (key) => key === "poor" || key === "very poor", "are labelled poor or very poor");
  values("language", (key) => key !== "en", "are not in English, or in no sure language");
  values("refusal", (key) => key === "yes", "open by declining");
  values("loop", (key) => key === "yes", "end in a loop");
  values("finish_reason", (key) => key === "length", "were cut off");
  values("difficulty", (key) => key === "\u0000none", "have no difficulty: the judge failed on them");
  for (const [name, codes, rowsOf, words] of found)
    node.append(el("li", {}, el("button", {
      type: "button",
      onclick: () => setFilters({ [name]: { values: new Set(codes) }, fate: { values: new Set([0]) } }),
    }, el("strong", {}, percent(rowsOf, total)), ` ${words}`)));
  return found.length ? el("div.worth", {}, el("h3", {}, "Of the rows kept"), node) : null;
}

function configs(all) {
  if (!all.length) return null;
  return el("div.configs", {}, el("h3", {}, "What is published"), all.map((config) => {
    const most = config.clauses.length ? config.clauses[0].before : config.rows;
    return el("details.config", {},
      el("summary", {}, el("code", {}, config.name), config.default ? el("span.badge", {}, "default") : null,
        el("span.description", {}, config.description || ""), el("strong", {}, plural(config.rows, "row"))),
      config.clauses.length
        ? el("table", {}, el("thead", {}, el("tr", {}, ["Clause", "Rows before", "Kept", "Dropped"].map((name) => el("th", { scope: "col" }, name)))),
            el("tbody", {}, config.clauses.map((clause) => el("tr", {},
              el("td", {}, el("code", {}, visible(clause.clause))), el("td.number", {}, count(clause.before)),
              el("td.number", {}, count(clause.kept)),
              el("td.number", {}, `${count(clause.before - clause.kept)} (${percent(clause.before - clause.kept, most)})`)))))
        : el("p.soft", {}, "Every kept row, without a filter."));
  }));
}
