// Cost by language since the worker started: what Prometheus scrapes, added up for one look.

import { el, empty, figures, fill, heading, table } from "./dom.js";
import { data, poll } from "./feed.js";
import { count, language, percent, usd, when } from "./format.js";
import { colour, model } from "./models.js";

const EVERY_MS = 5000;

/** Draws the view and keeps it true; returns what ends it. */
export function show(page, facts) {
  const summary = el("div", {});
  const note = el("p", { class: "muted" });
  const rows = el("div", {});
  fill(page, heading("Cost by language"), summary, rows, note);
  return poll(EVERY_MS, async () => {
    const got = await data("costs");
    if (got.rows.length === 0) {
      fill(summary);
      fill(
        rows,
        empty("No request has been counted since the gateway started. Every answered one adds to the row of the language "
          + "that its prompt is in; the ", el("a", { href: "#playground", text: "playground" }), " sends one."),
      );
      return;
    }
    fill(summary, overview(got));
    fill(rows, legend(got.rows, facts), table("Cost by language", columns(got.reference), got.rows.map(cells)));
    fill(note, "Since ", when(got.started_at), ". Words are those read and written; languages without spaces count what "
      + "an English text of the same content would have. Saved: against ", el("bdi", { text: got.reference }),
      " answering everything at the fleet's prices.");
  });
}

function columns(reference) {
  return [
    { title: "Language" },
    { title: "Requests", number: true },
    { title: "Tokens", unit: "in / out", number: true },
    { title: "Words", number: true },
    { title: "Cost", unit: "USD", number: true },
    { title: "Per 1,000 words", unit: "USD", number: true },
    { title: "Saved", unit: `USD, against ${reference}`, number: true },
    { title: "Share by model" },
  ];
}

function overview({ rows, reference }) {
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  const [spent, words, would] = [sum("usd"), sum("words"), sum("reference_usd")];
  return figures([
    ["Requests", count(sum("requests")), `in ${rows.length} ${rows.length === 1 ? "language" : "languages"}`],
    ["Cost", `${usd(spent)} USD`],
    ["Per 1,000 words", words > 0 ? `${usd((1000 * spent) / words)} USD` : "–"],
    ["Saved", would > 0 ? `${usd(would - spent)} USD` : "–", would > 0 ? `${percent(would - spent, would)} of what ${reference} would cost` : null],
  ]);
}

function legend(rows, facts) {
  const used = new Set(rows.flatMap((row) => Object.keys(row.models)));
  return el("ul", { class: "legend", "aria-label": "Models" },
    facts.models.filter((card) => used.has(card.id)).map((card) => el("li", {}, model(card.id))));
}

function cells(row) {
  const saved = row.reference_usd > 0 ? row.reference_usd - row.usd : null;
  return [
    language(row.language),
    count(row.requests),
    `${count(row.input_tokens)} / ${count(row.output_tokens)}`,
    row.words > 0 ? count(row.words) : "–",
    usd(row.usd),
    usd(row.usd_per_1000_words),
    el("div", {}, usd(saved), saved === null ? null : el("small", { text: percent(saved, row.reference_usd) })),
    shares(row.models),
  ];
}

function shares(models) {
  const total = Object.values(models).reduce((sum, requests) => sum + requests, 0);
  if (total === 0) return "no model was reached";
  const ranked = Object.entries(models).sort((a, b) => b[1] - a[1]);
  const bar = el("div", { class: "shares", "aria-hidden": "true" }, ranked.map(([id, requests]) => {
    const part = el("i", { class: colour(id), title: `${id} ${percent(requests, total)}` });
    part.style.setProperty("flex-grow", String(requests));
    return part;
  }));
  const text = ranked.map(([id, requests]) => `${id} ${percent(requests, total)}`).join(", ");
  return el("div", {}, bar, el("small", { text }));
}
