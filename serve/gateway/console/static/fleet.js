// Fleet and health: every model, what it costs, whether it answers, and how many replicas there are and should be.

import { el, figures, fill, heading, table } from "./dom.js";
import { data, poll } from "./feed.js";
import { count, price, seconds, when } from "./format.js";
import { model } from "./models.js";
import { replicas } from "./plan.js";

const EVERY_MS = 2000;
const COLUMNS = [
  { title: "Model" },
  { title: "Health" },
  { title: "In flight", number: true },
  { title: "Expected wait", number: true },
  { title: "List price", unit: "USD per M tokens, in / out", number: true },
  { title: "Measured price", unit: "USD per M tokens, in / out", number: true },
  { title: "Replicas", unit: "running / wanted", number: true },
  { title: "Context", unit: "tokens", number: true },
  { title: "Languages", unit: "declared", number: true },
];

/** Draws the view and keeps it true; returns what ends it. */
export function show(page, facts) {
  const summary = el("div", {});
  const models = el("div", {});
  fill(page, heading("Fleet and health"), summary, models);
  return poll(EVERY_MS, async () => {
    const [now, plan] = await Promise.all([data("health"), data("plan")]);
    fill(summary, overview(facts, now));
    const wanted = replicas(plan.plan);
    const rows = facts.models.map((card) => cells(card, now.models[card.id], wanted[card.id], facts));
    fill(models, table("Models of the fleet", COLUMNS, rows));
  });
}

function overview(facts, now) {
  const states = Object.values(now.models);
  const up = states.filter((state) => state.healthy).length;
  const keys = facts.keys === null ? "none: loopback only" : count(facts.keys);
  return figures([
    ["Models up", `${up} of ${states.length}`, up < states.length ? "the others say why below" : null],
    ["Requests open", count(now.in_flight), `of ${count(facts.in_flight_limit)} at most`],
    ["Client connections", count(now.connections)],
    ["API keys", keys],
    ["Worker", now.draining ? "draining: takes no new requests" : "takes requests"],
    ["Started", when(now.started_at)],
  ]);
}

function cells(card, state, replica, facts) {
  const measured = state.measured;
  return [
    el(
      "div",
      {},
      model(card.id, card.id === facts.reference ? el("span", { class: "tag", text: "reference" }) : null),
      el("small", {}, card.title, card.auto ? null : " · only by name", card.external ? " · external endpoint" : null),
    ),
    health(state),
    count(state.in_flight),
    state.wait_s > 0 ? seconds(state.wait_s) : "none",
    pair(card.usd_per_mtok.input, card.usd_per_mtok.output),
    measured === null
      ? el("span", { class: "muted", text: "not yet" })
      : el(
          "div",
          {},
          pair(measured.average_input, measured.average_output),
          el("small", {}, "warm ", pair(measured.marginal_input, measured.marginal_output)),
        ),
    replica ? `${count(replica.running)} / ${count(replica.wanted)}` : "–",
    count(card.context_tokens),
    count(card.languages),
  ];
}

function health(state) {
  if (!state.healthy) return el("div", { class: "bad" }, el("b", { text: "▲ Down" }), el("small", { text: state.reason }));
  if (!state.probed) return el("div", {}, el("b", { text: "○ Not probed" }), el("small", { text: "an endpoint of others" }));
  return el("div", { class: "good" }, el("b", { text: "● Up" }));
}

function pair(input, output) {
  return `${price(input)} / ${price(output)}`;
}
