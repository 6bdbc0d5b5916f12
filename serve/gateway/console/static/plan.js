// The plan: how many replicas the autoscaler wants of each model, how many there are, and why.

import { el, empty, figures, fill, heading, table } from "./dom.js";
import { data, poll } from "./feed.js";
import { count, rate, seconds, when, words } from "./format.js";
import { model } from "./models.js";

const EVERY_MS = 2000;
const LATE_ROUNDS = 3; // so many intervals without a new plan mean that the autoscaler is stuck
const COLUMNS = [
  { title: "Model" },
  { title: "Running", number: true },
  { title: "Wanted", number: true },
  { title: "Needed", unit: "before bounds and pace", number: true },
  { title: "Bounds", unit: "least – most", number: true },
  { title: "Arriving", unit: "output tokens/s", number: true },
  { title: "Expected", unit: "output tokens/s", number: true },
  { title: "A replica does", unit: "output tokens/s", number: true },
  { title: "Why" },
];

/** Replicas of each model by its id: {running, wanted}; null where the plan does not know. */
export function replicas(plan) {
  return plan?.models ?? {};
}

/** Draws the view and keeps it true; returns what ends it. */
export function show(page) {
  const state = el("div", {});
  const body = el("div", {});
  const raw = el("pre", { tabindex: "0", role: "region", "aria-label": "The plan as JSON" });
  const whole = el("details", { hidden: true }, el("summary", { text: "The whole plan" }), raw);
  fill(page, heading("The plan"), state, body, whole);
  return poll(EVERY_MS, async () => {
    const { url, plan, read_at: readAt, problem } = await data("plan");
    if (url === null) {
      fill(body, empty("No autoscaler is configured. Start one with ", el("code", { text: "parlance autoscaler" }),
        ", and name its plan: ", el("code", { text: "parlance gateway --plan-url http://127.0.0.1:8082/plan" }),
        ", or gateway.plan_url of the fleet description."));
      return;
    }
    fill(state, trouble(url, problem, readAt));
    whole.hidden = plan === null;
    if (plan === null) return;
    const text = JSON.stringify(plan, null, 2);
    if (raw.textContent !== text) raw.textContent = text;
    const rows = Object.entries(plan.models).map(cells);
    fill(body, overview(plan, readAt), rows.length > 0 ? table("The plan by model", COLUMNS, rows) : empty(why(plan)));
  });
}

function trouble(url, problem, readAt) {
  if (problem === null) return null;
  return el("div", { class: "failure" },
    el("p", {}, el("b", { text: "The autoscaler cannot be read" }), `: ${problem} (`, el("code", { text: url }), ")."),
    el("p", { class: "muted" }, readAt === null ? "No plan has been read yet. " : "The plan below is the last that was read. ",
      "Replicas stay as they are meanwhile. Check that ", el("code", { text: "parlance autoscaler" }), " runs and that the address is right."));
}

function why(plan) {
  return plan.leader
    ? "No round has ended since the autoscaler started: the first plan comes within seconds."
    : "Another autoscaler is the leader: this one makes no plans until that one is gone. Name the leader's address to see its plan.";
}

function overview(plan, readAt) {
  const late = plan.at !== null && Date.now() / 1000 - plan.at > LATE_ROUNDS * plan.interval_s;
  return [
    plan.problems.map((problem) => el("div", { class: "failure" }, el("p", { text: problem }))),
    figures([
      ["Made", plan.at === null ? "–" : when(plan.at), late
        ? el("span", { class: "bad", text: `late: one every ${seconds(plan.interval_s)} is due` }) : `every ${seconds(plan.interval_s)}`],
      ["Read", when(readAt)],
      ["Policy", plan.policy ?? "–", plan.dry_run ? "dry run: nothing is applied" : null],
      ["Replicas wanted", count(total(plan, "wanted"))],
      ["Replicas running", count(total(plan, "running"))],
    ]),
  ];
}

function total(plan, what) {
  const known = Object.values(plan.models).map((part) => part[what]).filter((value) => value !== null);
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) : null;
}

function cells([id, part]) {
  const changing = ["starting", "draining"].filter((what) => part[what]).map((what) => el("small", { text: `${count(part[what])} ${what}` }));
  const differs = part.running !== null && part.wanted !== null && part.running !== part.wanted;
  return [
    model(id),
    el("div", {}, count(part.running), changing),
    el("div", { class: differs ? "warn" : null }, el(differs ? "b" : "span", { text: count(part.wanted) })),
    count(part.needed),
    `${count(part.bounds.min)} – ${count(part.bounds.max)}`,
    rate(part.arriving_tokens_per_s),
    rate(part.expected_tokens_per_s),
    rate(part.replica_tokens_per_s),
    el("div", { class: "why" },
      part.blind ? el("b", { class: "bad", text: `Blind: data ${words(part.blind)}. ` }) : null,
      part.reason.words,
      el("small", { text: `${words(part.reason.code)}; ${words(part.outcome)}` }),
      part.problem ? el("div", { class: "bad", text: part.problem }) : null),
  ];
}
