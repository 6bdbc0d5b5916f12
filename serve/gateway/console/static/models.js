// One colour a model everywhere, beside its name: never the colour alone.

import { el } from "./dom.js";

const COLOURS = 8;
let order = [];

/** The models in the order of the description. */
export function setModels(ids) {
  order = ids;
}

/** The class that colours a model. */
export function colour(id) {
  const at = order.indexOf(id);
  return at < 0 ? "model-none" : `model-${at % COLOURS}`;
}

/** A model's name with its colour. */
export function model(id, note = null) {
  return el(
    "span",
    { class: "model" },
    el("i", { class: `swatch ${colour(id)}`, "aria-hidden": "true" }),
    el("bdi", { text: id }),
    note,
  );
}
