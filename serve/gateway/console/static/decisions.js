// Live decisions: the last some hundred requests, newest first, as they come.

import { announce, el, empty, facts, fill, heading, labelled, row, table } from "./dom.js";
import { data, poll } from "./feed.js";
import { count, language, languageName, percent, probability, seconds, usd, when, words } from "./format.js";
import { model } from "./models.js";

const EVERY_MS = 1000;
const COLUMNS = [
  { title: "Time" },
  { title: "Language" },
  { title: "Answer in" },
  { title: "Task" },
  { title: "Model" },
  { title: "Why" },
  { title: "Rejected" },
  { title: "Cost", unit: "USD, expected → exact", number: true },
  { title: "First token", number: true },
  { title: "Status", number: true },
];
const STATUSES = [
  ["", "every status"],
  ["2", "2xx answered"],
  ["4", "4xx refused"],
  ["5", "5xx failed"],
  ["499", "499 client left"],
];

/** Draws the view and keeps it true; returns what ends it. */
export function show(page) {
  let place = 0;
  let startedAt = null;
  let kept = 0;
  let entries = []; // {record, row, details}, newest first
  let held = []; // came while paused, oldest first
  let paused = false;

  const filters = {
    model: choice("Model", [["", "every model"]]),
    language: choice("Language", [["", "every language"]]),
    status: choice("Status", STATUSES),
  };
  const pause = el("button", { type: "button", "aria-pressed": "false", text: "Pause", onclick: toggle });
  const tally = el("span", { class: "muted" });
  const nothing = el("div", {});
  const log = table("Requests, newest first", COLUMNS, []);
  const body = log.querySelector("tbody");
  for (const filter of Object.values(filters)) filter.select.addEventListener("change", () => sift(true));
  fill(
    page,
    heading("Live decisions"),
    el("div", { class: "toolbar" }, Object.values(filters).map((filter) => filter.field), pause, tally),
    nothing,
    log,
  );

  function toggle() {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) {
      take(held);
      held = [];
    }
    sift(true);
  }

  function take(records) {
    const fresh = records.map(entry).reverse();
    entries = [...fresh, ...entries];
    for (const old of entries.splice(kept)) {
      old.row.remove();
      old.details.remove();
    }
    body.prepend(...fresh.flatMap((one) => [one.row, one.details]));
    offer(filters.model, entries.map(({ record }) => record.model), (id) => id);
    offer(filters.language, entries.map(({ record }) => record.language), languageName);
  }

  function sift(aloud) {
    const wanted = { model: filters.model.select.value, language: filters.language.select.value };
    const status = filters.status.select.value;
    let count_ = 0;
    for (const { record, row: line, details } of entries) {
      const fits =
        (!wanted.model || record.model === wanted.model) &&
        (!wanted.language || record.language === wanted.language) &&
        (!status || String(record.status).startsWith(status));
      line.hidden = !fits;
      details.hidden = !fits || !line.classList.contains("open");
      count_ += fits;
    }
    const waiting = paused ? `; paused, ${held.length} new` : "";
    const text = `${count_} of ${entries.length} shown${waiting}`;
    if (tally.textContent !== text) tally.textContent = text;
    if (aloud) announce(text);
    log.hidden = count_ === 0;
    if (count_ > 0) fill(nothing);
    else if (entries.length > 0) fill(nothing, empty("No request of the last ones fits these filters."));
    else {
      fill(
        nothing,
        empty("No request has been decided since the gateway started. Send one to port ", el("code", { text: "/v1" }),
          ", or from the ", el("a", { href: "#playground", text: "playground" }), "; it appears here within a second."),
      );
    }
  }

  sift(false);
  return poll(EVERY_MS, async () => {
    const got = await data("decisions", { after: place });
    if (startedAt !== null && startedAt !== got.started_at) {
      fill(body); // another gateway: its decisions are others
      [entries, held] = [[], []];
    }
    ({ next: place, started_at: startedAt, kept } = got);
    if (paused) held = [...held, ...got.decisions].slice(-kept);
    else take(got.decisions);
    sift(false);
  });
}

function choice(title, options) {
  const select = el("select", {}, options.map(([value, text]) => el("option", { value, text })));
  return { select, field: labelled(title, select) };
}

/** Adds values that came up to a filter's options, in the order of their names; the choice stays. */
function offer({ select }, values, name) {
  const known = new Set([...select.options].map((option) => option.value));
  const fresh = [...new Set(values)].filter((value) => value && !known.has(value));
  if (fresh.length === 0) return;
  const [all, ...rest] = select.options;
  const options = [...rest, ...fresh.map((value) => el("option", { value, text: name(value) }))];
  const value = select.value;
  fill(select, all, options.sort((a, b) => a.text.localeCompare(b.text)));
  select.value = value;
}

let details = 0;

function entry(record) {
  const id = `details-${(details += 1)}`;
  const at = when(record.time);
  const more = el("button", {
    type: "button",
    class: "more",
    "aria-expanded": "false",
    "aria-controls": id,
    "aria-label": `Details of the request at ${at.firstChild.textContent}`,
  });
  const line = row(COLUMNS, [el("div", { class: "at" }, more, at), ...cells(record)]);
  const below = el(
    "tr",
    { role: "row", class: "details", id, hidden: true },
    el("td", { role: "cell", colspan: COLUMNS.length }),
  );
  more.addEventListener("click", () => {
    const open = line.classList.toggle("open");
    more.setAttribute("aria-expanded", String(open));
    if (open && !below.firstChild.hasChildNodes()) fill(below.firstChild, everything(record));
    below.hidden = !open;
  });
  return { record, row: line, details: below };
}

function cells(record) {
  if (record.reason === undefined) {
    return ["–", "–", "–", "–", error(record), "–", "–", "–", status(record)]; // refused before a decision
  }
  const first = record.posterior[0];
  const sure = first && first[0] === record.language ? first[1] : null;
  const rejected = Object.entries(record.rejected);
  const exact = record.cost_nano_usd === undefined ? null : record.cost_nano_usd / 1e9;
  return [
    el("div", {}, language(record.language), sure === null ? null : el("span", { class: "certainty", text: `${probability(sure)} certain` })),
    record.answer_language === record.language ? el("span", { class: "muted absent", text: "same" }) : language(record.answer_language),
    record.task ?? el("span", { class: "muted absent", text: "–" }),
    record.model ? model(record.model, record.attempts > 1 ? el("small", { text: `attempt ${record.attempts}` }) : null) : "none",
    el("div", { class: "why" }, record.why, record.error ? error(record) : null),
    rejected.length === 0
      ? el("span", { class: "muted absent", text: "none" })
      : el("ul", { class: "codes" }, byCode(rejected)),
    el("div", { class: "costs" }, el("span", { class: "muted", text: usd(record.expected_cost_usd[record.model]) }), " ", el("span", { class: "exact", text: `→ ${usd(exact)}` })),
    seconds(record.ttft_s),
    status(record),
  ];
}

/** The models that were rejected, by the code of why. */
function byCode(rejected) {
  const models = new Map();
  for (const [id, code] of rejected) models.set(code, [...(models.get(code) ?? []), id]);
  return [...models].map(([code, ids]) => el("li", {}, el("span", { class: "muted", text: `${words(code)}:` }), ` ${ids.join(", ")}`));
}

function status(record) {
  const kind = record.status < 400 ? "good" : record.status === 499 ? "muted" : record.status < 500 ? "warn" : "bad";
  return el("span", { class: kind, text: String(record.status) });
}

function error(record) {
  if (!record.error) return null;
  return el("div", { class: "bad" }, el("code", { text: record.error.code }), " ", record.error.message);
}

function everything(record) {
  const usage = record.usage;
  const expected = Object.entries(record.expected_cost_usd ?? {}).sort((a, b) => a[1] - b[1]);
  return facts([
    ["Request", el("code", { text: record.request_id })],
    ["Decision", el("code", { text: record.decision_id })],
    ["Path", el("code", { text: record.path })],
    ["Tenant", el("bdi", { text: record.key ? `${record.tenant}, key ${record.key}` : record.tenant })],
    ["Asked for", record.requested === undefined ? null : el("span", {}, el("bdi", { text: record.requested }), ` (${record.mode})`)],
    ["Language read from", record.language_source ? words(record.language_source) : null],
    ["Posterior", record.posterior ? posterior(record.posterior) : null],
    ["Reason code", record.reason ? words(record.reason) + (record.fallback ? " (a fallback)" : "") : null],
    ["Expected cost", expected.length ? expected.map(([id, cost]) => el("div", {}, model(id), ` ${usd(cost)} USD`)) : null],
    ["Tokens", usage ? tokens(usage) : null],
    ["Reply's language", record.reply_language ? reply(record) : null],
    ["Not sent", record.discarded ? `${record.discarded.model} answered in ${record.discarded.reply_language}: paid, and not sent` : null],
    ["Whole answer after", seconds(record.duration_s)],
    ["Attempts", count(record.attempts)],
  ]);
}

/** The languages that a text may be in, as bars with their probabilities. */
export function posterior(pairs) {
  return pairs
    .filter(([, p]) => p >= 0.005)
    .map(([tag, p]) => {
      const bar = el("i", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", percent(p, 1));
      return el("div", { class: "posterior" }, bar, el("span", { class: "number", text: probability(p) }), " ", language(tag));
    });
}

/** Tokens of a request in a line. */
export function tokens(usage) {
  const cached = usage.cached_tokens ? ` (${count(usage.cached_tokens)} cached)` : "";
  const counted = usage.estimated ? ", estimated: the stream was cut" : "";
  return `${count(usage.prompt_tokens)} in${cached}, ${count(usage.completion_tokens)} out${counted}`;
}

/** What language a reply turned out to be in. */
export function reply(record) {
  const wrong = record.wrong_language ? el("b", { class: "bad", text: "not the one asked for" }) : null;
  return el("span", {}, language(record.reply_language), " ", wrong);
}
