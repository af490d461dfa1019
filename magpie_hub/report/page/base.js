// The data of the page, and what every panel makes elements and numbers with.

const data = JSON.parse(document.getElementById("data").textContent);
const rows = data.rows;

/** An element: "tag.class", attributes (on… are listeners), children. Text is always text. */
function el(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Where a panel puts what it shows. */
const place = (panel) => document.querySelector(`#${panel} .body`);

/** Puts elements there; nulls are left out. */
const show = (panel, ...children) => place(panel).append(...children.filter((child) => child !== null));

/** A sentence of ours, with what stands between backticks as code. */
const prose = (text) => text.split("`").map((part, at) => (at % 2 ? el("code", {}, visible(part)) : visible(part)));

/** The one sentence of a panel that has nothing to show; the data say why. */
function missing(panel, fallback, key = panel) {
  place(panel).replaceChildren(el("p.missing", {}, prose((data.missing || {})[key] || fallback)));
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A count. */
const count = (n) => whole.format(Math.round(n));

/** A number of any size in at most about five characters. */
const figure = (n) =>
  n === null || n === undefined ? "–" : Math.abs(n) >= 10000 ? short.format(n) : three.format(n);

/** A share as percent; what is not nothing never reads as nothing. */
function percent(part, of = 1) {
  if (!of) return "–";
  const value = (100 * part) / of;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value.toFixed(value < 10 && value % 1 ? 1 : 0)} %`;
}

/** Seconds for people. */
function duration(seconds) {
  if (seconds < 90) return `${three.format(seconds)} s`;
  if (seconds < 5400) return `${three.format(seconds / 60)} min`;
  return `${three.format(seconds / 3600)} h`;
}

/** Whose time is counted: a GPU's, or that of a machine without one. */
const DEVICE = data.stages?.device === "GPU" ? "GPU" : "machine";

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const plural = (n, one, many = `${one}s`) => `${count(n)} ${Math.round(n) === 1 ? one : many}`;

/** Characters that cannot be seen or that turn the direction of text, as their escapes. */
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const visible = (text) =>
  text.replace(HIDDEN, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);

/** Text of a row, cut for a line. */
function line(text, length) {
  const flat = visible(text.replace(/\s+/g, " ").trim());
  return flat.length > length ? `${flat.slice(0, length - 1)}…` : flat;
}

/** What a row asks: its first text. */
const question = (row) => (rows.texts[row].length ? rows.texts[row][0][1] : "");
