// What differs from the version before.

function showChanges() {
  const found = data.changes;
  if (!found) return missing("changes", "There is no version before this one to compare with.");
  show("changes",
    el("p", {}, `${found.old} → ${found.new}`),
    found.lines.length ? el("ul.plain", {}, found.lines.map((each) => el("li", {}, prose(each)))) : null,
    found.configs.length ? el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Config"), [found.old, found.new, "Change"].map((name) => el("th.number", { scope: "col" }, name)))),
      el("tbody", {}, found.configs.map((one) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, one.name)),
        [one.old, one.new].map((n) => el("td.number", {}, n === null ? "–" : count(n))),
        el("td.number", {}, one.old === null ? "new" : one.new === null ? "gone" : one.new === one.old ? "same" : `${one.new >= one.old ? "+" : "−"}${count(Math.abs(one.new - one.old))}`))))) : null);
  const cards = el("div.cards");
  show("changes", cards);
  for (const share of found.shares) {
    const card = el("section.card", {}, el("h3", {}, share.title, el("span.soft", {}, `${found.old} grey, ${found.new} blue`)));
    cards.append(card);
    const moved = share.new.map((now, at) => 100 * (now - share.old[at]));
    follow(barList(card, {
      title: `${share.title}, both versions`, names: share.values,
      series: () => [
        { name: found.old, values: share.old, colour: colour("old"), beside: true },
        { name: found.new, values: share.new, colour: colour("kept"), beside: true },
      ],
      figures: () => share.new.map((now, at) =>
        Math.abs(moved[at]) < 0.05 ? percent(now) : `${percent(now)} (${moved[at] < 0 ? "−" : "+"}${Math.abs(moved[at]).toFixed(1)})`),
      describe: () => share.new.map((now, at) => `${visible(share.values[at])}: ${percent(share.old[at])} then, ${percent(now)} now`),
    }));
  }
}
