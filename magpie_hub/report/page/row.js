// A row with all that is known of it: its conversation, its labels, why it was kept back.

/** The conversation as elements; every text is a text node. */
function conversation(row) {
  return el("div.conversation", {}, rows.texts[row].map(([role, text, cut]) =>
    el("div.turn", { "data-role": rows.roles[role] }, el("div.role", {}, rows.roles[role]),
      el("div.text", { dir: "auto" }, visible(text)),
      cut ? el("div.soft", {}, `… ${plural(cut, "more character")} in the data`) : null)));
}

function fateBadge(fate) {
  const { kept, title } = rows.fates[fate];
  return el(kept ? "span.badge.kept" : "span.badge.rejected", {}, visible(title));
}

/** Labels and numbers of a row, as far as it has them. */
function facts(row) {
  const found = [];
  for (const dimension of dimensions.values()) {
    if (dimension.kind === "labels" && dimension.name !== "fate") {
      const own = dimension.codes[row].filter((code) => code < dimension.labelled);
      if (own.length) found.push([dimension.title, own.map((code) => visible(dimension.values[code])).join(", ")]);
    } else if (dimension.kind === "range" && dimension.values[row] !== null) {
      found.push([dimension.title, `${figure(dimension.values[row])} ${dimension.unit || ""}`]);
    }
  }
  return el("dl.facts.small", {}, found.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function detail(row) {
  const fate = rows.fates[fateOf[row]];
  return el("div.detail", {},
    fate.kept ? null : el("p.why", {}, el("strong", {}, "Rejected"), ` at ${visible(fate.stage)}: ${visible(fate.title)}`,
      rows.detail[row] ? ` (${visible(rows.detail[row])})` : ""),
    conversation(row), facts(row), el("p.soft.id", {}, "id ", el("code", {}, visible(rows.ids[row]))));
}

/** One row by itself, over the page; Escape closes it. */
function openRow(row) {
  const dialog = document.getElementById("row");
  dialog.querySelector(".content").replaceChildren(fateBadge(fateOf[row]), detail(row));
  dialog.showModal();
  dialog.scrollTop = 0;
}

document.querySelector("#row .close").addEventListener("click", () => document.getElementById("row").close());
document.getElementById("row").addEventListener("click", (event) => {
  if (event.target.id === "row") event.target.close();
});
