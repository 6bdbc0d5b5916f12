// A decision drawn as `parlance route` prints it: the reason, the language, and every model with what spoke against it.

import { el, facts, table } from "./dom.js";
import { posterior } from "./decisions.js";
import { count, language, seconds, usd, words } from "./format.js";
import { model } from "./models.js";

const COLUMNS = [
  { title: "Model" },
  { title: "Rank", number: true },
  { title: "Expected cost", unit: "USD", number: true },
  { title: "Tokens", unit: "in / out", number: true },
  { title: "Quality", unit: "points", number: true },
  { title: "Wait", number: true },
  { title: "Rejected" },
];

/** The record of /v1/route as elements. */
export function explained(record) {
  const pairs = record.language.posterior.map(({ tag, probability }) => [tag, probability]);
  const rank = new Map(record.ranking.map((id, at) => [id, at + 1]));
  const order = (one) => rank.get(one.model) ?? rank.size + 1;
  const ordered = [...record.candidates].sort(
    (a, b) => order(a) - order(b) || a.cost_usd - b.cost_usd || (a.model < b.model ? -1 : 1),
  );
  return [
    el("p", { class: record.model ? "verdict" : "verdict bad" },
      record.model ? model(record.model) : el("b", { text: "No model may answer" }),
      el("span", { text: record.reason })),
    facts([
      ["Chosen by", `${record.mode}, ${words(record.reason_code)}${record.fallback ? " (a fallback)" : ""}`],
      ["Language", el("span", {}, language(record.language.tag), el("small", { text: ` read from ${words(record.language.source)}` }))],
      ["Posterior", posterior(pairs)],
      ["Answer in", language(record.language.answer)],
      ["Task", record.task.name ? `${record.task.name} (from ${words(record.task.source)})`
        : "not known: the mean of the generative tasks counts"],
      ["Floor", `${signed(record.quality_floor)} points against the reference`],
      ...record.notes.map((note) => ["Note", note]),
    ]),
    table("Every model, best first", COLUMNS, ordered.map((one) => cells(one, rank))),
  ];
}

function cells(one, rank) {
  const cached = one.cached_tokens ? el("small", { text: `${count(one.cached_tokens)} cached` }) : null;
  return [
    model(one.model),
    rank.has(one.model) ? count(rank.get(one.model)) : "–",
    usd(one.cost_usd),
    el("div", {}, `${count(one.input_tokens)} / ${count(one.output_tokens)}`, cached),
    quality(one),
    one.wait_s > 0 ? seconds(one.wait_s) : "none",
    one.rejection === null
      ? el("span", { class: "muted", text: "no" })
      : el("div", {}, el("span", { class: "warn", text: words(one.rejection) }), one.detail ? el("small", { text: one.detail }) : null),
  ];
}

function quality(one) {
  if (one.quality === null) return one.quality_status === "none" ? "no evidence" : words(one.quality_status);
  const interval = one.quality_interval && one.quality_status !== "reference" ? `${signed(one.quality_interval[0])} to ${signed(one.quality_interval[1])}, ` : "";
  return el("div", {}, signed(one.quality), el("small", { text: interval + words(one.quality_status) }));
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}
