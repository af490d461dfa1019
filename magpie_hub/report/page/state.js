// The filters in the address, so that a link, a reload or a bookmark shows the same rows.

let written = null;

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const found = Object.fromEntries([...filters.keys()].map((name) => [name, null]));
  for (const name of new Set(asked.keys())) {
    const dimension = dimensions.get(name);
    const given = asked.getAll(name);
    if (dimension?.kind === "labels") {
      const values = new Set(given.map((key) => dimension.keys.indexOf(key)).filter((c) => c >= 0));
      if (values.size) found[name] = { values };
    } else if (dimension?.kind === "range") {
      const [low, high] = given[0].split("..").map(Number);
      if (low <= high) found[name] = { low, high };
    } else if (dimension?.kind === "area" && rows.x) {
      const box = given[0].split(",").map(Number);
      if (box.length === 4 && box.every(Number.isFinite)) found[name] = { box };
    } else if (dimension?.kind === "text" && given[0].trim()) {
      found[name] = { text: given[0] };
    }
  }
  setFilters(found);
}

function writeAddress() {
  const state = new URLSearchParams();
  for (const [name, filter] of filters) {
    const dimension = dimensions.get(name);
    if (dimension.kind === "labels")
      for (const code of filter.values) state.append(name, dimension.keys[code]);
    else if (dimension.kind === "range") state.append(name, `${filter.low}..${filter.high}`);
    else if (dimension.kind === "area") state.append(name, filter.box.join(","));
    else state.append(name, filter.text);
  }
  const next = state.size ? `#${state}` : "#";
  if (next === written) return;
  written = next;
  if (next !== (location.hash || "#")) location.replace(next);
}

addEventListener("hashchange", () => {
  if (location.hash !== written && (location.hash || written !== "#")) {
    written = location.hash;
    readAddress();
  }
});
