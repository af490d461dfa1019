// This release over other datasets: one map of all, and in numbers how much of each the other has.

function showCoverage() {
  const found = data.coverage;
  if (!found) return;
  const map = el("div", {});
  show("coverage",
    el("div.beside", {}, map, el("div.shares", {}, found.others.map((other) => sharesOf(other, found)))),
    el("ul.method.soft", {}, found.how.map((each) => el("li", {}, prose(each)))));
  if (!found.map.length) return map.append(el("p.missing", {}, prose(found.map_how)));
  const draw = layered(map, found.map, `Map of the questions of ${found.map.map((set) => visible(set.name)).join(" and ")}.`);
  map.append(el("p.soft", {}, found.map_how));
  follow(draw);
}

/** A share, and what it was measured on with its interval. */
function measuredShare({ value, low, high, n }) {
  // Of what never, or always, happened in n rows, so many others may be likely.
  const likely = Math.min(3 / n, 1);
  if (!value) return ["None", `of ${count(n)} sampled; up to ${figure(100 * likely)} % is likely`];
  if (value === 1) return ["All", `of ${count(n)} sampled; at least ${figure(100 - 100 * likely)} % is likely`];
  return [percent(value), `${percent(low)} to ${percent(high)}, of ${count(n)} sampled`];
}

function sharesOf(other, { ours }) {
  const measured = [
    [other.covers, `of its questions are covered by ${ours}`],
    [other.covered, `of the questions of ${ours} are covered by it`],
    [other.near_there, `of its questions stand in ${ours} in nearly the same words`],
    [other.near_here, `of the questions of ${ours} stand in it in nearly the same words`],
  ].filter(([share]) => share);
  const counted = [
    [other.same_there, `of its questions stand in ${ours} word for word`],
    [other.same_here, `of the questions of ${ours} stand in it word for word`],
  ];
  const lines = [
    ...measured.map(([share, words]) => [...measuredShare(share), words, share === other.covers || share === other.covered]),
    ...counted.map(([{ rows: n, of }, words]) => [n ? count(n) : "None", `counted among all ${count(of)}`, words, false]),
  ];
  return el("section", {},
    el("h3", {}, visible(other.name)), el("p.soft", {}, visible(other.what)),
    el("dl", {}, lines.flatMap(([figure, beside, words, large]) =>
      [el(large ? "dt.large" : "dt", {}, figure), el("dd", {}, words, el("span.soft", {}, beside))])));
}
