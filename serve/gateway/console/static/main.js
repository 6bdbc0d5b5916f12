// Which view is shown, and the line below all of them.

import * as cost from "./cost.js";
import * as decisions from "./decisions.js";
import { el, fill } from "./dom.js";
import { data, poll } from "./feed.js";
import * as fleet from "./fleet.js";
import { refreshAges, setLanguages } from "./format.js";
import { setModels } from "./models.js";
import * as plan from "./plan.js";
import * as playground from "./playground.js";

const VIEWS = { fleet, decisions, cost, plan, playground };
const AGES_MS = 1000;
const RETRY_MS = 2000;

const main = document.getElementById("main");
let facts = null;
let leave = null;
let shown = null;

function chosen() {
  const name = location.hash.slice(1).split("/")[0];
  return name in VIEWS ? name : "fleet";
}

function show(byHand) {
  if (location.hash === "#main") return; // the skip link
  const name = chosen();
  if (facts === null || name === shown) return;
  leave?.();
  shown = name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const page = el("div", { class: `view ${name}` });
  fill(main, page);
  leave = VIEWS[name].show(page, facts);
  const title = main.querySelector("h1");
  document.title = `${title.textContent} · Parlance`;
  if (byHand) {
    title.focus();
    window.scrollTo(0, 0);
  }
}

function introduce(got) {
  facts = got;
  setLanguages(facts.languages);
  setModels(facts.models.map((model) => model.id));
  document.getElementById("fleet-name").textContent = facts.fleet;
  const worker = `This is the gateway worker that answers clients on ${facts.worker}, version ${facts.version}.`;
  const others = "Other workers have a page of their own; Grafana adds them up.";
  document.getElementById("worker").textContent = `${worker} ${others}`;
  show(false);
}

window.addEventListener("hashchange", () => show(true));
setInterval(() => refreshAges(main), AGES_MS);

const stop = poll(RETRY_MS, async () => {
  introduce(await data("facts"));
  stop();
});
