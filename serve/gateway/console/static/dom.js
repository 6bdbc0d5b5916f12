// Elements from data. Everything that comes from outside becomes text, never markup.

/** A new element. `props`: attributes; `on*`: listeners; `class`, `text`; true and false set and leave out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Replaces what a node holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Says something to screen readers, once, politely. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

let fields = 0;

/** A form's field below its label; `note` is a word more. */
export function labelled(title, field, note = null) {
  field.id = `field-${(fields += 1)}`;
  const small = note === null ? [] : [" ", el("small", { text: note })];
  return el("div", { class: "field" }, el("label", { for: field.id }, title, small), field);
}

/** A heading that takes the focus when its view is shown. */
export function heading(text) {
  return el("h1", { tabindex: "-1", text });
}

/** What stands where there is nothing yet: what is missing, and what to do. */
export function empty(text, ...more) {
  return el("p", { class: "empty" }, text, ...more);
}

/** A row of figures: [term, value, note]. */
export function figures(items) {
  return el(
    "dl",
    { class: "figures" },
    items.map(([term, value, note]) =>
      el("div", {}, el("dt", { text: term }), el("dd", {}, value, note ? el("small", {}, note) : null)),
    ),
  );
}

/** Terms and values below each other: [term, value]; rows without a value are left out. */
export function facts(items) {
  return el(
    "dl",
    { class: "facts" },
    items
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([term, value]) => el("div", {}, el("dt", { text: term }), el("dd", {}, value))),
  );
}

/**
 * A table. `columns`: {title, unit, number}; rows are arrays of cells (text or nodes).
 * On narrow screens rows become cards by CSS alone, which takes the meaning of table elements away: hence the roles.
 */
export function table(caption, columns, rows) {
  return el(
    "table",
    { role: "table" },
    el("caption", { class: "unseen", text: caption }),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.map(columnHead))),
    el("tbody", { role: "rowgroup" }, rows.map((cells) => row(columns, cells))),
  );
}

function columnHead({ title, unit, number }) {
  const small = unit ? el("small", { text: unit }) : null;
  return el("th", { scope: "col", role: "columnheader", class: number ? "number" : null }, title, small);
}

/** One row of such a table: its first cell is its header. */
export function row(columns, cells, props = {}) {
  return el(
    "tr",
    { role: "row", ...props },
    cells.map((cell, at) => {
      const column = columns[at];
      const label = column.unit ? `${column.title}, ${column.unit}` : column.title;
      const shared = { "data-label": label, class: column.number ? "number" : null };
      return at === 0
        ? el("th", { scope: "row", role: "rowheader", ...shared }, cell)
        : el("td", { role: "cell", ...shared }, cell);
    }),
  );
}
