// The sampled rows: searched, sorted, a page at a time; a press opens the conversation.

const PAGE = 20;

function showTable() {
  const labels = ["category", "difficulty", "quality"].map((name) => dimensions.get(name)).filter(Boolean);
  const numbers = ["query_tokens", "response_tokens", "reward"].map((name) => dimensions.get(name)).filter(Boolean);
  let page = 0, sort = null, down = false, found = [], typing = null;
  const opened = new Set();

  const search = el("input", { type: "search", id: "search", placeholder: "Words in questions, answers, ids",
    oninput: () => { clearTimeout(typing); typing = setTimeout(searchNow, 150); } });
  function searchNow() {
    setFilters({ q: search.value.trim() ? { text: search.value.trim() } : null });
  }
  const columns = [
    { name: "fate", title: "Fate", value: (row) => fateOf[row] },
    { name: "question", title: "Question", value: (row) => question(row).toLowerCase() },
    ...labels.map((one) => ({ name: one.name, title: one.title, label: one, value: (row) => one.codes[row][0] ?? 1e9 })),
    ...numbers.map((one) => ({ name: one.name, title: one.title, number: one, value: (row) => one.values[row] ?? -Infinity })),
  ];
  const heads = columns.map((column) => {
    const button = el("button.sort", { type: "button", onclick: () => {
      [sort, down] = sort === column ? (down ? [null, false] : [column, true]) : [column, false];
      page = 0;
      update();
    } }, column.title);
    return el(column.number ? "th.number" : "th", { scope: "col", "data-column": column.name }, button);
  });
  const body = el("tbody");
  const counted = el("p.soft", { role: "status" });
  const previous = el("button.tool", { type: "button", onclick: () => turn(page - 1) }, "Previous");
  const next = el("button.tool", { type: "button", onclick: () => turn(page + 1) }, "Next");
  show("rows",
    el("div.tools", {}, el("label", { for: "search" }, "Search"), search, counted),
    el("table.rows", {}, el("caption.hidden", {}, "Sampled rows; arrow keys move between rows, Enter opens one"),
      el("thead", {}, el("tr", {}, heads)), body),
    el("div.tools.pages", {}, previous, next),
    el("p.soft", {}, rows.how, ` Texts are cut after ${count(rows.text_limit)} characters.`),
    data.missing?.rejected ? el("p.missing", {}, prose(data.missing.rejected)) : null);

  const turn = (to, focus = null) => {
    page = Math.max(0, Math.min(to, Math.ceil(found.length / PAGE) - 1));
    showPage();
    const buttons = body.querySelectorAll("button.open");
    if (focus) (focus === "last" ? buttons[buttons.length - 1] : buttons[0])?.focus();
  };
  function update() {
    found = [];
    for (let row = 0; row < rows.count; row++) if (passes(row)) found.push(row);
    if (sort) {
      const values = new Map(found.map((row) => [row, sort.value(row)]));
      found.sort((a, b) => {
        const [one, other] = [values.get(a), values.get(b)];
        return ((one > other) - (one < other)) * (down ? -1 : 1) || a - b;
      });
    }
    page = Math.min(page, Math.max(0, Math.ceil(found.length / PAGE) - 1));
    if (document.activeElement !== search) search.value = filters.get("q")?.text ?? "";
    showPage();
  }
  function showPage() {
    const first = page * PAGE;
    body.replaceChildren(...found.slice(first, first + PAGE).flatMap(lines));
    if (!found.length) body.append(el("tr", {}, el("td", { colspan: columns.length }, "No sampled row passes the filters.")));
    counted.textContent = found.length
      ? `${count(first + 1)} to ${count(Math.min(first + PAGE, found.length))} of ${plural(found.length, "sampled row")}`
      : "no rows";
    previous.disabled = page === 0;
    next.disabled = first + PAGE >= found.length;
    heads.forEach((head, at) => head.setAttribute("aria-sort", columns[at] !== sort ? "none" : down ? "descending" : "ascending"));
  }
  function lines(row) {
    const open = el("button.open", { type: "button", "aria-expanded": String(opened.has(row)), "data-row": row },
      line(question(row), 160) || "(empty)");
    const cells = [el("td.fate", {}, fateBadge(fateOf[row])), el("td.question", {}, open),
      ...columns.slice(2).map(({ label, number }) => label
        ? el("td.label", {}, label.codes[row].map((code) => (code < label.labelled ? visible(label.values[code]) : "–")).join(", "))
        : el("td.number", { "data-name": number.title }, figure(number.values[row])))];
    const main = el("tr", {}, cells);
    main.addEventListener("click", () => {
      if (getSelection().toString()) return;
      const is = !opened.delete(row);
      if (is) opened.add(row);
      open.setAttribute("aria-expanded", String(is));
      if (is) main.after(more());
      else main.nextSibling.remove();
    });
    const more = () => el("tr.more", {}, el("td", { colspan: columns.length }, detail(row)));
    return opened.has(row) ? [main, more()] : [main];
  }
  body.addEventListener("keydown", (event) => {
    const buttons = [...body.querySelectorAll("button.open")];
    const at = buttons.indexOf(document.activeElement);
    if (at < 0) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (event.key === "PageDown") turn(page + 1, "first");
    else if (event.key === "PageUp") turn(page - 1, "first");
    else if (to === undefined) return;
    else if (to >= buttons.length) { if (!next.disabled) turn(page + 1, "first"); }
    else if (to < 0) { if (page) turn(page - 1, "last"); }
    else buttons[to].focus();
    event.preventDefault();
  });
  follow(update);
}
