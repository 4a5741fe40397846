// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// The box, the toggle and the chips: what is searched for.
import { find, icon, make } from "./dom.js";
import { filterText, leastText } from "./filters.js";
import { KIND, clock } from "./format.js";
import { parts } from "./state.js";
import { pictureOf } from "./uploads.js";

const WITHIN = { all: "All", video: "Seen", audio: "Heard", speech: "Said" };

export class Asking {
  // `change` is called with the entries of the state that the user changed.
  constructor(change) {
    this.change = change;
    this.state = null;
    this.fixed = 0; // sentences before the one in the box
    this.field = find("sentence");
    this.field.addEventListener("input", () => this.offerAnother());
    if (matchMedia("(hover: hover)").matches) this.field.placeholder += " Press / to write here";
    find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    find("another").addEventListener("click", () => this.addAnother());
    find("another").append(icon("plus"), make("span", {}, "Add another"));
    find("go").append(icon("search"), make("span", {}, "Search"));
    find("attach").prepend(icon("attach"));
    find("group").addEventListener("change", (event) => change({ group: event.target.checked }));
  }

  // What the index takes decides which inputs there are.
  describe(about) {
    const said = about.within.includes("speech");
    this.words = about.accepts.includes("text") || said;
    const files = about.accepts.filter((kind) => kind in KIND);
    for (const id of ["sentence", "go"]) find(id).hidden = !this.words;
    find("attach").hidden = !files.length;
    find("files").accept = files.map((kind) => `${kind}/*`).join(",");
    this.choices = choices(about.within);
    find("within").hidden = this.choices.length < 2;
    find("within").replaceChildren(make("legend.hidden", {}, "Search in what is"), ...this.choices.map((value) => make(
      "label", {},
      make("input", { type: "radio", name: "within", value, onchange: () => this.change({ within: value }) }),
      make("span", {}, WITHIN[value] ?? value))));
    find("asking").hidden = false;
    if (this.state) this.mark();
  }

  // Shows a state.
  show(state) {
    this.state = state;
    this.fixed = Math.max(0, state.q.length - 1);
    this.field.value = state.q.at(-1) ?? "";
    find("group").checked = state.group;
    this.mark();
    this.offerAnother();
    this.showChips();
  }

  // Marks what is searched in.
  mark() {
    const within = this.chosen(this.state);
    for (const radio of find("within").querySelectorAll("input")) {
      radio.checked = radio.value === within;
      radio.disabled = radio.value === "speech" && wordless(this.state);
    }
  }

  // The kind to search in: the state's, or the first that there is.
  chosen(state) {
    const there = this.choices.includes(state.within) && !(state.within === "speech" && wordless(state));
    return there ? state.within : this.choices[0] ?? null;
  }

  submit() {
    const text = this.field.value.trim();
    const q = [...this.state.q.slice(0, this.fixed), ...(text ? [text] : [])];
    this.change({ q, view: "search" });
  }

  addAnother() {
    const text = this.field.value.trim();
    if (!text) return;
    this.submit();
    this.fixed = this.state.q.length;
    this.field.value = "";
    this.field.focus();
    this.offerAnother();
    this.showChips();
  }

  offerAnother() {
    find("another").hidden = !this.words || !this.field.value.trim();
  }

  showChips() {
    const { state } = this;
    const written = this.fixed < state.q.length;
    const only = written && parts(state) === 1;
    const chips = only ? [] : [
      ...state.q.map((text, at) => this.sentence("q", "avoid", text, at)),
      ...state.avoid.map((text, at) => this.sentence("avoid", "q", text, at)),
      ...state.uploads.map((upload, at) => this.uploadChip(upload, at)),
      ...state.like.map((id, at) => likeChip(id, () => this.without("like", at))),
      ...state.labels.map((label, at) => chip("label", `${label.name} ≥ ${label.threshold}`, `the label ${label.name}`, () => this.without("labels", at))),
      ...Object.keys(state.filters).map((name) => chip("filter", filterText(name, state.filters[name]), `the filter ${name}`, () => {
        const filters = { ...state.filters };
        delete filters[name];
        this.change({ filters });
      })),
    ];
    if (state.least && !only) {
      chips.push(chip("filter", leastText(state.least), "the minimum confidence", () => this.change({ least: null })));
    }
    if (chips.length > 1) {
      chips.push(make("li", {}, make("button.plain", { type: "button", onclick: () => this.change({
        q: [], avoid: [], uploads: [], like: [], labels: [], filters: {}, least: null }) }, "Clear all")));
    }
    find("chips").replaceChildren(...chips);
    find("chips").hidden = !chips.length;
  }

  without(name, at) {
    this.change({ [name]: this.state[name].filter((_, other) => other !== at) });
  }

  // A sentence that is looked for (in "q") or avoided, and may become the other.
  sentence(name, other, text, at) {
    const avoided = name === "avoid";
    const made = chip("text", `${avoided ? "without " : ""}“${text}”`, `the sentence ${text}`, () => this.without(name, at));
    const told = `${avoided ? "Look for" : "Avoid"} ${text}`;
    made.querySelector(".text").after(make("button.flip", { type: "button", "aria-label": told, title: avoided ? "Look for it" : "Avoid it", onclick: () => this.change({
      [name]: this.state[name].filter((_, place) => place !== at), [other]: [...this.state[other], text] }) }, icon(avoided ? "plus" : "minus")));
    return made;
  }

  uploadChip(upload, at) {
    const remove = () => this.without("uploads", at);
    const kind = KIND[upload.kind] ?? "File";
    if (upload.gone) {
      const made = chip(upload.kind, `${kind}${upload.name ? ` ${upload.name}` : ""}: gone, an address can't hold it. Give it again`, `the ${kind.toLowerCase()}`, remove);
      made.classList.add("gone");
      return made;
    }
    return chip(upload.kind, `${kind}: ${upload.name}`, `the ${kind.toLowerCase()} ${upload.name}`, remove, pictureOf(upload.id));
  }
}

// Whether a file or a moment is searched for, which nobody says.
const wordless = (state) => state.uploads.length + state.like.length > 0;

// "all" stands for video, audio and speech together, which an index with speech has.
export function choices(within) {
  const known = ["video", "audio", "speech"].filter((kind) => within.includes(kind));
  return within.includes("all") || known.includes("speech") ? ["all", ...known] : known;
}

function chip(glyph, text, told, remove, picture = null) {
  const shown = picture ? make("img", { src: picture, alt: "" }) : icon(["image", "video", "audio", "text", "label", "filter", "like"].includes(glyph) ? glyph : "attach");
  return make("li.chip", {}, shown, make("span.text", {}, text),
    make("button.remove", { type: "button", "aria-label": `Remove ${told}`, onclick: remove }, icon("close")));
}

function likeChip(id, remove) {
  const [video, start] = id.split("-");
  const seconds = Number(start) / 1000 || 0;
  const picture = `/api/v1/videos/${encodeURIComponent(video)}/thumbnail?t=${seconds}`;
  return chip("like", `Like the moment at ${clock(seconds)}`, "the moment that results should resemble", remove, picture);
}
