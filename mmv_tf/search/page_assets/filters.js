// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Filters of films, for moments and for the list, and labels of a classifier.
import { find, icon, make } from "./dom.js";
import { length } from "./format.js";
import { LEAST } from "./state.js";

const MINUTE = 60;
const THRESHOLD = 0.5;

export function filterText(name, value) {
  switch (name) {
    case "folder": return `In ${value}`;
    case "file": return `Name has “${value}”`;
    case "min_seconds": return `${length(value)} or longer`;
    case "max_seconds": return `${length(value)} or shorter`;
    case "after": return `Since ${value}`;
    default: return `Until ${value}`;
  }
}

// Words of the least confidences; "" for any.
const CONFIDENCES = { "": "Any", 0.75: "Doubtful or better", 0.9: "Likely or better", 0.99: "Very likely" };
export const leastText = (value) => CONFIDENCES[value];

export class Filters {
  // `change` is called with the entries of the state that the user changed.
  constructor(change) {
    this.change = change;
    this.state = null;
    this.panel = find("filters");
    this.button = find("narrow");
    this.button.prepend(icon("filter"));
    this.button.addEventListener("click", () => this.toggle(this.panel.hidden));
  }

  toggle(open) {
    this.panel.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) this.panel.querySelector("input, select")?.focus();
  }

  // Builds the fields for an index with these folders and labels.
  describe(folders, labels) {
    this.fields = {
      folder: make("select", {}, make("option", { value: "" }, "All folders"), ...folders.map((name) => make("option", { value: name }, name))),
      file: make("input", { type: "search", autocomplete: "off", maxlength: "200" }),
      min_seconds: make("input", { type: "number", min: "0", step: "any", inputmode: "decimal" }),
      max_seconds: make("input", { type: "number", min: "0", step: "any", inputmode: "decimal" }),
      after: make("input", { type: "date" }),
      before: make("input", { type: "date" }),
    };
    for (const field of Object.values(this.fields)) field.addEventListener("change", () => this.read());
    this.least = make("select", { onchange: () => this.change({ least: this.least.value || null }) },
      ...["", ...LEAST].map((value) => make("option", { value }, CONFIDENCES[value])));
    const field = (name, text) => make("label.field", {}, make("span", {}, text), this.fields[name]);
    this.panel.replaceChildren(
      ...(folders.length ? [field("folder", "Folder")] : []),
      field("file", "File name contains"),
      make("fieldset.pair", {}, make("legend", {}, "Film length, in minutes"), field("min_seconds", "From"), field("max_seconds", "to")),
      make("fieldset.pair", {}, make("legend", {}, "File date"), field("after", "From"), field("before", "to")),
      make("label.field.confident", {}, make("span", {}, "Confidence"), this.least),
      ...(labels.length ? [this.buildLabels(labels)] : []),
    );
  }

  buildLabels(labels) {
    const name = make("select", { "aria-label": "Label" }, ...labels.map((label) => make("option", { value: label }, label)));
    const shown = make("output", {}, THRESHOLD.toFixed(2));
    const threshold = make("input", { type: "range", min: "0", max: "1", step: "0.05", value: THRESHOLD, "aria-label": "Minimum score of the label" });
    threshold.addEventListener("input", () => { shown.textContent = Number(threshold.value).toFixed(2); });
    const add = make("button.plain", { type: "button", onclick: () => this.change({
      view: "search",
      labels: [...this.state.labels.filter((label) => label.name !== name.value), { name: name.value, threshold: Number(threshold.value) }],
    }) }, "Add");
    return make("fieldset.pair.labels", {}, make("legend", {}, "Classifier label"), name, threshold, shown, add);
  }

  show(state) {
    this.state = state;
    for (const [name, field] of Object.entries(this.fields ?? {})) {
      const value = state.filters[name] ?? "";
      if (name === "folder" && value && ![...field.options].some((option) => option.value === value)) {
        field.append(make("option", { value }, value));
      }
      field.value = name.endsWith("_seconds") && value !== "" ? value / MINUTE : value;
    }
    if (this.least) this.least.value = state.least ?? "";
    const count = Object.keys(state.filters).length + (state.least ? 1 : 0);
    this.button.lastChild.textContent = count ? `Filters (${count})` : "Filters";
  }

  read() {
    const filters = {};
    for (const [name, field] of Object.entries(this.fields)) {
      const value = field.value.trim();
      if (value) filters[name] = name.endsWith("_seconds") ? Number(value) * MINUTE : value;
    }
    this.change({ filters });
  }
}
