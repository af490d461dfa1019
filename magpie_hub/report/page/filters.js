// The filters: what is chosen, which rows pass, and how many there are of each kind.
//
// A row passes if it passes every filter. A panel shows the rows that pass all filters but its own,
// so that what is not chosen in it can still be seen and chosen.

const weights = rows.fates.map((fate) => (fate.shown ? fate.of / fate.shown : 0));
const fateOf = Uint16Array.from(rows.fate);
const isKept = Uint8Array.from(rows.fate, (fate) => (rows.fates[fate].kept ? 1 : 0));
const sampled = rows.fates.some((fate) => fate.shown < fate.of);

/** Everything that rows can be filtered by, by name. */
const dimensions = new Map();
/** name → {values: Set} or {low, high} or {text} or {box}; with `mask`, 1 where a row passes. */
const filters = new Map();
const failing = new Uint8Array(rows.count);
const listeners = [];

/** Of these null means that the judge failed; of others that there is nothing to say. */
const JUDGED = new Set(["category", "difficulty", "quality", "conversation_quality"]);

for (const label of rows.labels) {
  const codes = label.codes.map((code) => (Array.isArray(code) ? code : [code]));
  const values = [...label.values];
  const keys = [...label.values];
  if (codes.some((all) => all.includes(-1))) {
    values.push(JUDGED.has(label.name) ? "not labelled" : "none");
    keys.push("\u0000none");
  }
  dimensions.set(label.name, {
    name: label.name, title: label.title, kind: "labels", ordered: Boolean(label.ordered),
    values, keys, codes: codes.map((all) => all.map((code) => (code < 0 ? label.values.length : code))),
    labelled: label.values.length, all: label.all,
  });
}
dimensions.set("fate", {
  name: "fate", title: "What became of it", kind: "labels", ordered: false,
  values: rows.fates.map((fate) => fate.title),
  keys: rows.fates.map((fate) => `${fate.stage}/${fate.reason}`),
  codes: Array.from(fateOf, (fate) => [fate]), labelled: rows.fates.length,
});
for (const number of rows.numbers) {
  dimensions.set(number.name, { ...number, kind: "range" });
}
dimensions.set("area", { name: "area", title: "Map", kind: "area" });
dimensions.set("q", { name: "q", title: "Text", kind: "text" });

let haystack = null;
function searched(row) {
  haystack ??= rows.texts.map((turns, at) =>
    [rows.ids[at], rows.detail[at], ...turns.map((turn) => turn[1])].join("\n").toLowerCase());
  return haystack[row];
}

function tester(dimension, filter) {
  if (dimension.kind === "labels")
    return (row) => dimension.codes[row].some((code) => filter.values.has(code));
  if (dimension.kind === "range")
    return (row) => {
      const value = dimension.values[row];
      return value !== null && value >= filter.low && value <= filter.high;
    };
  if (dimension.kind === "area") {
    const [left, right, bottom, top] = filter.box;
    return (row) =>
      rows.x[row] !== null && rows.x[row] >= left && rows.x[row] <= right &&
      rows.y[row] >= bottom && rows.y[row] <= top;
  }
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  return (row) => words.every((word) => searched(row).includes(word));
}

/** Sets or, with null, removes filters; everything that listens follows once. */
function setFilters(changes) {
  for (const [name, filter] of Object.entries(changes)) {
    const before = filters.get(name);
    if (before) for (let row = 0; row < rows.count; row++) failing[row] -= 1 - before.mask[row];
    filters.delete(name);
    if (!filter) continue;
    const passes = tester(dimensions.get(name), filter);
    const mask = new Uint8Array(rows.count);
    for (let row = 0; row < rows.count; row++) mask[row] = passes(row) ? 1 : 0;
    for (let row = 0; row < rows.count; row++) failing[row] += 1 - mask[row];
    filters.set(name, { ...filter, mask });
  }
  for (const listener of listeners) listener();
}

const clearFilters = () =>
  setFilters(Object.fromEntries([...filters.keys()].map((name) => [name, null])));

/** Calls now and after every change. */
function follow(listener) {
  listeners.push(listener);
}

/** Adds a value to a filter of labels, or takes it away. */
function toggle(name, code) {
  const values = new Set(filters.get(name)?.values);
  if (!values.delete(code)) values.add(code);
  setFilters({ [name]: values.size ? { values } : null });
}

const chosen = (name, code) => Boolean(filters.get(name)?.values.has(code));
const passes = (row) => failing[row] === 0;

/** What stands before a count that is scaled up from a sample; without filters counts are exact. */
const about = () => (sampled && filters.size ? "≈ " : "");

/** Whether any filter but that one is set. */
const others = (name) => filters.size > Number(filters.has(name));

/** Whether a row passes all filters but that one. */
function passesBut(name) {
  const own = filters.get(name);
  return own ? (row) => failing[row] - (1 - own.mask[row]) === 0 : passes;
}

/** How many queries of the run the rows that pass stand for. */
function tally(test = passes) {
  const found = { kept: 0, rejected: 0, shown: 0 };
  for (let row = 0; row < rows.count; row++) {
    if (!test(row)) continue;
    found[isKept[row] ? "kept" : "rejected"] += weights[fateOf[row]];
    found.shown += 1;
  }
  return found;
}

/** The same by value of a dimension of labels. */
function tallyBy(dimension, test) {
  const kept = new Array(dimension.values.length).fill(0);
  const rejected = new Array(dimension.values.length).fill(0);
  for (let row = 0; row < rows.count; row++) {
    if (!test(row)) continue;
    const into = isKept[row] ? kept : rejected;
    for (const code of dimension.codes[row]) into[code] += weights[fateOf[row]];
  }
  return { kept, rejected };
}

/** A filter in words, for its chip. */
function inWords(name, filter) {
  const dimension = dimensions.get(name);
  if (dimension.kind === "labels")
    return [...filter.values].map((code) => visible(dimension.values[code])).join(" or ");
  if (dimension.kind === "range") return `${figure(filter.low)} to ${figure(filter.high)}`;
  return dimension.kind === "area" ? "a chosen area" : `“${filter.text}”`;
}
