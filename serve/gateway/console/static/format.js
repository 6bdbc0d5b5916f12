// Numbers, money, times and names of languages as people read them.

import { el } from "./dom.js";

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** 12,345; a dash for nothing. */
export function count(value) {
  return value === null || value === undefined ? NONE : whole.format(value);
}

/** Something a second: one decimal where it is little. */
export function rate(value) {
  if (value === null || value === undefined) return NONE;
  return value < 10 ? value.toFixed(1) : whole.format(value);
}

/** USD without exponents: two digits that count below a cent (0.000029), more above. */
export function usd(value) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "0";
  const digits = size >= 100 ? 2 : size >= 0.01 ? 4 : Math.min(1 - Math.floor(Math.log10(size)), 14);
  return minus(value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
}

/** The sign of a negative number as wide as a digit. */
function minus(text) {
  return text.replace("-", "−");
}

/** A price of a million tokens. */
export function price(value) {
  if (value === null || value === undefined) return NONE;
  return value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
}

/** 0.1234 s as 123 ms, 12.3 s as it is. */
export function seconds(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 0.001) return value === 0 ? "0 s" : `${(value * 1000).toFixed(2)} ms`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  return `${value.toFixed(value < 10 ? 2 : 1).replace(/\.0+$/, "")} s`;
}

/** A share as a whole percentage. */
export function percent(part, of) {
  return of > 0 ? minus(`${((100 * part) / of).toFixed(0)}%`) : NONE;
}

/** A probability. */
export function probability(value) {
  return value.toFixed(2);
}

/** How long ago, in its largest unit. */
export function age(secondsAgo) {
  const s = Math.max(0, Math.round(secondsAgo));
  if (s < 2) return "now";
  if (s < 120) return `${s} s ago`;
  if (s < 7200) return `${Math.floor(s / 60)} min ago`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} days ago`;
}

/** A moment: clock and age; the whole date on hover. `refreshAges` keeps the age true. */
export function when(epochSeconds) {
  const date = new Date(epochSeconds * 1000);
  return el(
    "time",
    { datetime: date.toISOString(), title: day.format(date), "data-at": epochSeconds },
    el("span", { text: clock.format(date) }),
    " ",
    el("small", { text: age(Date.now() / 1000 - epochSeconds) }),
  );
}

/** Brings the ages of all moments below a node up to date. */
export function refreshAges(node) {
  const now = Date.now() / 1000;
  for (const time of node.querySelectorAll("time[data-at]")) {
    const text = age(now - Number(time.dataset.at));
    const small = time.querySelector("small");
    if (small.textContent !== text) small.textContent = text;
  }
}

let known = {};

/** The names of the fleet's languages, as the gateway gives them. */
export function setLanguages(names) {
  known = names;
}

/** The English name of a language. */
export function languageName(tag) {
  if (tag in known) return known[tag];
  return tag === "other" ? "Other or not known" : (displayName("en", tag) ?? tag);
}

function displayName(locale, tag) {
  try {
    const name = new Intl.DisplayNames([locale], { type: "language", fallback: "none" }).of(tag);
    return name ?? null;
  } catch {
    return null; // no tag at all: whoever sent it could write anything
  }
}

/** A language for people: its English name, its tag, and the name that it has for itself. */
export function language(tag) {
  const own = tag === "other" ? null : displayName(tag, tag);
  const name = languageName(tag);
  const differs = own !== null && own.toLowerCase() !== name.toLowerCase();
  return el(
    "span",
    { class: "language" },
    el("span", { text: name }),
    " ",
    el("code", { text: tag }),
    differs ? el("small", { lang: tag, dir: "auto", text: own }) : null,
  );
}

/** A code as words: language_not_covered -> language not covered. */
export function words(code) {
  return code.replaceAll("_", " ");
}
