// The questions that are most alike, side by side, with the words that differ marked.

function showPairs() {
  if (!data.pairs?.items.length) return missing("pairs", "No two questions were compared.");
  const byId = new Map(rows.ids.map((id, row) => [id, row]));
  let shown = 5;
  const list = el("ol.pairs");
  const counted = el("p.soft", { role: "status" });
  const more = el("button.further", { type: "button", onclick: () => { shown += 10; update(); } }, "Show more");
  show("pairs", counted, list, more, el("p.soft", {}, data.pairs.how));

  const rowOf = (side) => byId.get(side.id) ?? -1;
  /** A pair follows the filters through its rows; one whose rows are not in the sample has none. */
  const follows = ({ a, b }) => !filters.size || [a, b].some((side) => rowOf(side) >= 0 && passes(rowOf(side)));

  function update() {
    const found = data.pairs.items.filter(follows);
    list.replaceChildren(...found.slice(0, shown).map((pair) => {
      const marks = differences(words(pair.a.text), words(pair.b.text));
      return el("li.pair", {},
        el("div.how", {}, visible(pair.kind || ""), pair.distance === null || pair.distance === undefined ? "" : ` · distance ${figure(pair.distance)}`),
        el("div.two", {}, [["a", marks[0]], ["b", marks[1]]].map(([side, parts]) => el("div.side", {},
          el("div", {}, fateBadge(pair[side].fate),
            rowOf(pair[side]) >= 0 ? el("button.link", { type: "button", onclick: () => openRow(rowOf(pair[side])) }, "whole row") : null),
          el("p.text", { dir: "auto" }, parts.flatMap(marked))))));
    }));
    counted.textContent = `${plural(found.length, "pair")}${filters.size ? ` of ${count(data.pairs.items.length)}, of which a row is in the sample and passes the filters` : ""}`;
    more.hidden = found.length <= shown;
  }
  follow(update);
}

/** A part as text, marked where the other question does not have it; the space around it never is. */
function marked([part, same]) {
  const bare = part.trim();
  if (same || !bare) return [visible(part)];
  const [before, after] = part.split(bare);
  return [before, el("mark", {}, visible(bare)), after];
}

/** Words, and what stands between them, in any language. */
const segmenter = new Intl.Segmenter("en", { granularity: "word" });
const words = (text) => Array.from(segmenter.segment(text.slice(0, 2000)), (part) => part.segment);

/** Both texts as [word, whether the other has it at its place], by their longest common part. */
function differences(a, b) {
  const same = (i, j) => a[i] === b[j];
  const width = b.length + 1;
  const long = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      long[i * width + j] = same(i, j)
        ? long[(i + 1) * width + j + 1] + 1
        : Math.max(long[(i + 1) * width + j], long[i * width + j + 1]);
  const left = [], right = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && same(i, j)) {
      left.push([a[i++], true]);
      right.push([b[j++], true]);
    } else if (j >= b.length || (i < a.length && long[(i + 1) * width + j] >= long[i * width + j + 1])) {
      left.push([a[i++], false]);
    } else right.push([b[j++], false]);
  }
  return [left, right].map(joined);
}

/** Neighbours of one kind as one part. */
function joined(parts) {
  const found = [];
  for (const [word, same] of parts) {
    const last = found[found.length - 1];
    if (last && last[1] === same) last[0] += word;
    else found.push([word, same]);
  }
  return found;
}
