// The playground: which model would answer and why, and then its answer, by the gateway's own application.

import { reply, tokens } from "./decisions.js";
import { announce, el, empty, facts, fill, heading, labelled } from "./dom.js";
import { explained } from "./explain.js";
import { data } from "./feed.js";
import { seconds, usd, words } from "./format.js";
import { model } from "./models.js";
import { WITH_SYSTEM, bodyOf, post } from "./request.js";
import { delta, events } from "./stream.js";

const ACCOUNT_TRIES = 12;
const ACCOUNT_MS = 250;

let key = ""; // while this page is open, and nowhere else
let draft = { endpoint: "chat/completions", model: "auto", text: "", system: "" };

/** Draws the view; returns what ends it. */
export function show(page, fleet) {
  const form = formOf(fleet);
  const decision = el("section", { "aria-label": "Decision" }, empty("“Explain” shows which model would answer, and why; “Send” lets it."));
  const answer = el("section", { "aria-label": "Answer" });
  let running = null;

  /** Buttons that have nothing to do stay focusable: one that is disabled under the finger drops the focus. */
  function busy(controller) {
    running = controller;
    form.stop.setAttribute("aria-disabled", String(controller === null));
    for (const button of [form.send, form.explain]) button.setAttribute("aria-disabled", String(controller !== null));
  }

  async function run(work) {
    if (running !== null || !form.element.reportValidity()) return;
    const controller = new AbortController();
    busy(controller);
    try {
      await work(form.asked(), controller.signal);
    } finally {
      busy(null);
    }
  }

  async function explain(asked, signal) {
    fill(decision, el("p", { class: "muted", text: "Asking …" }));
    try {
      const body = { ...bodyOf(asked, false), endpoint: asked.endpoint };
      const record = await (await post("route", body, key, signal)).json();
      fill(decision, el("h2", { text: "Decision" }), explained(record));
      announce(record.reason);
    } catch (error) {
      fill(decision, failure(error));
    }
  }

  async function send(asked, signal) {
    const drawn = answerOf();
    fill(answer, drawn.elements);
    await Promise.all([explain(asked, signal), stream(asked, signal, drawn)]);
  }

  form.element.addEventListener("submit", (event) => {
    event.preventDefault();
    run(send);
  });
  form.explain.addEventListener("click", () => run(explain));
  form.stop.addEventListener("click", () => running?.abort());
  fill(page, heading("Playground"), el("div", { class: "columns" }, form.element, el("div", {}, answer, decision)));
  return () => {
    running?.abort();
    draft = form.asked();
  };
}

function answerOf() {
  const text = el("div", { class: "answer", dir: "auto", "aria-busy": "true" });
  const thought = el("div", { class: "thought muted", dir: "auto" });
  const state = el("div", {});
  const thinking = el("details", { hidden: true }, el("summary", { text: "Reasoning" }), thought);
  return { text, thought, thinking, state, elements: [el("h2", { text: "Answer" }), thinking, text, state] };
}

async function stream(asked, signal, drawn) {
  const began = performance.now();
  const since = () => (performance.now() - began) / 1000;
  let first = null;
  let response = null;
  let problem = null;
  try {
    response = await post(asked.endpoint, bodyOf(asked, true), key, signal);
    const head = response.headers;
    drawn.text.lang = head.get("x-parlance-language") ?? "";
    const live = () => fill(drawn.state, progress(head, first));
    live();
    if (head.get("content-type").startsWith("text/event-stream")) {
      for await (const event of events(response.body)) {
        const { text, thought, error } = delta(event);
        if (error) throw Object.assign(new Error(error.message), error);
        if (first === null && (text || thought)) {
          first = since();
          live();
        }
        if (thought) {
          drawn.thinking.hidden = false;
          drawn.thought.append(thought);
        }
        if (text) drawn.text.append(text);
      }
    } else {
      drawn.text.append(whole(await response.json()));
    }
  } catch (error) {
    problem = error;
  }
  drawn.text.removeAttribute("aria-busy");
  const stopped = problem?.name === "AbortError";
  const ended = { whole: since(), stopped, problem: stopped ? null : problem };
  await account(response?.headers.get("x-parlance-decision-id"), drawn, first, ended);
}

/** What an answer that is not streamed says: an embedding, in numbers. */
function whole(body) {
  const vector = body.data?.[0]?.embedding;
  if (!vector) return JSON.stringify(body);
  return `${vector.length} dimensions: ${vector.slice(0, 8).map((x) => x.toFixed(4)).join(", ")} …`;
}

function progress(head, first) {
  return facts([
    ["Model", model(head.get("x-parlance-model"))],
    ["First token", first === null ? "waiting …" : seconds(first)],
  ]);
}

/** Draws what the request took and cost, from the gateway's own record, which is written a moment after its end. */
async function account(id, drawn, first, { whole: wholeS, stopped, problem }) {
  const trouble = problem ? failure(problem) : null;
  let record = null;
  try {
    for (let turn = 0; id && record === null && turn < ACCOUNT_TRIES; turn += 1) {
      await new Promise((done) => setTimeout(done, ACCOUNT_MS));
      record = (await data("decision", { id })).decision;
    }
  } catch {
    // the record is not to be had: what this page saw itself is shown
  }
  const known = record ?? {};
  if (known.reply_language) drawn.text.lang = known.reply_language;
  fill(
    drawn.state,
    trouble,
    facts([
      ["Model", known.model ? model(known.model) : null],
      ["First token", first === null ? null : `${seconds(first)}${known.ttft_s ? ` here, ${seconds(known.ttft_s)} at the gateway` : ""}`],
      ["Whole answer", `${seconds(wholeS)}${stopped ? ", stopped by you: the engine stopped too" : ""}`],
      ["Tokens", known.usage ? tokens(known.usage) : null],
      ["Cost", known.cost_nano_usd === undefined ? null : `${usd(known.cost_nano_usd / 1e9)} USD`],
      ["Reply's language", known.reply_language ? reply(known) : record ? "not told: too short, or not checked" : null],
      ["Decision", id ? el("code", { text: id }) : null],
    ]),
  );
  announce(problem ? `The answer failed: ${problem.message}` : stopped ? "The answer was stopped." : "The answer is complete.");
}

/** An error in the gateway's words, and what to do about it. */
function failure(error) {
  if (error.name === "AbortError") return el("p", { class: "muted", text: "Stopped." });
  const help = {
    missing_api_key: "Enter an API key in the form: it is kept in this page's memory only.",
    invalid_api_key: "Check the key in the form, or make one with “parlance keys add”.",
    engine_unavailable: "Look at Fleet for what is down.",
    unreachable: "Check that the gateway runs, and try again.",
  }[error.code];
  return el("div", { class: "failure" },
    el("p", {}, el("b", { text: error.code ? words(error.code) : "error" }), ": ", error.message),
    help ? el("p", { class: "muted", text: help }) : null);
}

function formOf(fleet) {
  const input = (props) => el("input", { autocomplete: "off", spellcheck: "false", ...props });
  const option = (value, text, now) => el("option", { value, text, selected: value === now });
  const fields = {
    endpoint: el("select", {}, fleet.endpoints.map((path) => option(path, `/v1/${path}`, draft.endpoint))),
    model: el("select", {}, ["auto", ...fleet.models.map(({ id }) => id)].map((id) => option(id, id, draft.model))),
    text: el("textarea", { rows: "6", dir: "auto", required: true }),
    system: el("textarea", { rows: "2", dir: "auto" }),
    language: input({ list: "languages", placeholder: "read from the text", value: draft.language }),
    task: el("select", {}, option("", "read from the text", draft.task), fleet.tasks.map((task) => option(task, task, draft.task))),
    floor: input({ list: "floors", placeholder: "the fleet's", value: draft.floor,
      pattern: `${fleet.floors.join("|")}|[+\\-]?[0-9]{1,3}(\\.[0-9]+)?`, title: `${fleet.floors.join(", ")}, or points from -100 to 100` }),
    maxCost: input({ type: "number", min: "0", step: "any", placeholder: "no limit", value: draft.maxCost }),
    maxTokens: input({ type: "number", min: "1", step: "1", placeholder: "the model's", value: draft.maxTokens || null }),
    key: fleet.keys === null ? null : input({ type: "password", value: key, autocomplete: "off" }),
  };
  fields.text.value = draft.text;
  fields.system.value = draft.system;
  const systemOn = () => {
    fields.system.disabled = !WITH_SYSTEM.has(fields.endpoint.value);
  };
  systemOn();
  fields.endpoint.addEventListener("change", systemOn);
  fields.key?.addEventListener("input", () => {
    key = fields.key.value.trim();
  });
  const send = el("button", { type: "submit", class: "primary", text: "Send" });
  const explain = el("button", { type: "button", text: "Explain" });
  const stop = el("button", { type: "button", text: "Stop", "aria-disabled": "true" });
  const element = el("form", { autocomplete: "off" },
    labelled("Text", fields.text),
    labelled("System prompt", fields.system, "optional"),
    el("div", { class: "grid" }, labelled("Endpoint", fields.endpoint), labelled("Model", fields.model)),
    el("fieldset", {}, el("legend", { text: "Hints, all optional" }),
      el("div", { class: "grid" },
        labelled("Language", fields.language, "BCP-47"), labelled("Task", fields.task),
        labelled("Quality floor", fields.floor, "or points"), labelled("Most it may cost", fields.maxCost, "USD"),
        labelled("Longest answer", fields.maxTokens, "tokens"))),
    fields.key ? labelled("API key", fields.key, "kept in this page's memory only") : null,
    el("div", { class: "actions" }, send, explain, stop, el("small", { class: "muted", text: "Ctrl + Enter sends" })),
    el("datalist", { id: "languages" }, Object.entries(fleet.languages).map(([tag, name]) => el("option", { value: tag, text: name }))),
    el("datalist", { id: "floors" }, fleet.floors.map((floor) => el("option", { value: floor }))));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element.requestSubmit();
  });
  const number = (field) => (field.value === "" ? "" : Number(field.value));
  const asked = () => ({
    endpoint: fields.endpoint.value,
    model: fields.model.value,
    text: fields.text.value,
    system: fields.system.value,
    language: fields.language.value.trim(),
    task: fields.task.value,
    floor: fleet.floors.includes(fields.floor.value) ? fields.floor.value : number(fields.floor),
    maxCost: number(fields.maxCost),
    maxTokens: number(fields.maxTokens),
  });
  return { element, send, explain, stop, asked };
}
