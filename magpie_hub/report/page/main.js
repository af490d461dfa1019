// The bar that stays in sight: what is filtered, what is left; scheme and sections. Then all panels.

function showBar() {
  const chips = document.getElementById("chips");
  const left = document.getElementById("left");
  const clear = document.getElementById("clear");
  const all = tally(() => true);
  clear.addEventListener("click", () => { clearFilters(); left.focus(); });
  const kinds = [["all", null], ["kept", [0]], ["rejected", rows.fates.map((_, at) => at).filter((at) => at)]];
  const buttons = kinds.map(([name, fates]) => el("button", { type: "button", "data-fate": name,
    onclick: () => setFilters({ fate: fates?.length ? { values: new Set(fates) } : null }) }, capital(name)));
  document.getElementById("fates").append(...buttons);
  if (rows.fates.length < 2) document.getElementById("fates").hidden = true;
  follow(() => {
    const now = tally();
    const of = all.kept + all.rejected;
    left.replaceChildren(el("strong", {}, `${about()}${count(now.kept + now.rejected)}`), ` of ${count(of)} queries`,
      el("span.soft", {}, `${about()}${count(now.kept)} kept, ${about()}${count(now.rejected)} rejected`));
    const values = [...(filters.get("fate")?.values || [])].sort((a, b) => a - b).join();
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(values === (kinds[at][1] || []).join())));
    chips.replaceChildren(...[...filters].map(([name, filter]) => el("button.chip", {
      type: "button", "data-filter": name, "aria-label": `Remove the filter ${dimensions.get(name).title}: ${inWords(name, filter)}`,
      onclick: () => { setFilters({ [name]: null }); (chips.querySelector("button") || left).focus(); },
    }, el("span.soft", {}, `${dimensions.get(name).title} `), el("span.value", {}, inWords(name, filter)), el("span.cross", { "aria-hidden": "true" }, "×"))));
    clear.hidden = !filters.size;
  });
}

function showScheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("scheme");
  const show = (scheme) => {
    root.dataset.scheme = scheme;
    button.textContent = scheme === "dark" ? "Light" : "Dark";
    for (const listener of listeners) listener();
  };
  button.addEventListener("click", () => show(root.dataset.scheme === "dark" ? "light" : "dark"));
  dark.addEventListener("change", () => show(dark.matches ? "dark" : "light"));
  root.dataset.scheme = dark.matches ? "dark" : "light";
  button.textContent = dark.matches ? "Light" : "Dark";
}

function showSections() {
  // A heading that is jumped to stands below the bar, however many chips that has.
  const bar = document.querySelector(".stay");
  new ResizeObserver(() => {
    document.documentElement.style.scrollPaddingTop = `${bar.offsetHeight - 24}px`;
  }).observe(bar);
  const nav = document.querySelector("nav");
  for (const section of document.querySelectorAll("main > section")) {
    const heading = section.querySelector("h2");
    heading.tabIndex = -1;
    nav.append(el("button", { type: "button", onclick: () => {
      section.scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
      heading.focus({ preventScroll: true });
    } }, section.dataset.short || heading.textContent));
  }
}

showScheme();
if (!data.coverage) document.getElementById("coverage").remove();
showSections();
showBar();
showOverview();
showFlow();
showDistributions();
showMap();
showCoverage();
showTable();
showPairs();
showJudges();
showStages();
showChanges();
follow(writeAddress);
readAddress();
document.documentElement.dataset.ready = "";
