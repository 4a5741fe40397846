// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// What is asked, and the address that says it. Uploads are in the history's entry only: an address
// can't hold a file, so it says that there was one.

export const FILTERS = ["folder", "file", "min_seconds", "max_seconds", "after", "before"];
// Ours: what is avoided counts half, or the opposite of it is found.
const AVOIDED = -0.5;
const NUMBERS = new Set(["min_seconds", "max_seconds"]);
const DEFAULT_THRESHOLD = 0.5;
// Confidences that a word stands for.
export const LEAST = ["0.75", "0.9", "0.99"];

// A state without a query. `uploads` are {id, kind, name, gone}.
export function empty() {
  return {
    view: "search", q: [], avoid: [], like: [], labels: [], uploads: [],
    within: null, least: null, filters: {}, group: false, page: 1, listed: "",
  };
}

export function parse(search, uploads = []) {
  const found = new URLSearchParams(search);
  const state = empty();
  if (found.get("view") === "videos") state.view = "videos";
  const sentences = (name) => found.getAll(name).map((text) => text.trim().slice(0, 1000)).filter(Boolean);
  state.q = sentences("q");
  state.avoid = sentences("avoid");
  if (LEAST.includes(found.get("min_score"))) state.least = found.get("min_score");
  state.like = found.getAll("like").filter(Boolean);
  state.labels = found.getAll("label").filter(Boolean).map(parseLabel);
  state.within = found.get("within");
  state.group = found.get("group") === "film";
  state.page = wholeNumber(found.get("page"));
  if (["indexed", "skipped"].includes(found.get("state"))) state.listed = found.get("state");
  for (const name of FILTERS) {
    const value = found.get(name);
    if (value && !(NUMBERS.has(name) && !Number.isFinite(Number(value)))) {
      state.filters[name] = NUMBERS.has(name) ? Number(value) : value;
    }
  }
  const kinds = found.getAll("upload");
  state.uploads = uploads.length === kinds.length
    ? uploads
    : kinds.map((kind) => ({ id: null, kind, name: "", gone: true }));
  return state;
}

export function format(state) {
  const made = new URLSearchParams();
  if (state.view === "videos") made.set("view", "videos");
  for (const text of state.q) made.append("q", text);
  for (const text of state.avoid) made.append("avoid", text);
  for (const id of state.like) made.append("like", id);
  for (const label of state.labels) made.append("label", labelText(label));
  for (const upload of state.uploads) made.append("upload", upload.kind);
  if (state.within) made.set("within", state.within);
  if (state.least) made.set("min_score", state.least);
  for (const name of FILTERS) {
    const value = state.filters[name];
    if (value != null && value !== "") made.set(name, value);
  }
  if (state.group) made.set("group", "film");
  if (state.listed) made.set("state", state.listed);
  if (state.page > 1) made.set("page", state.page);
  const text = made.toString();
  return text ? `?${text}` : "";
}

// The body of POST /search for a state; null if there is nothing to search for.
export function request(state) {
  const queries = [
    ...state.q.map((text) => ({ text })),
    ...state.uploads.filter((upload) => upload.id && !upload.gone).map(({ id }) => ({ upload: id })),
    ...state.like.map((moment) => ({ moment })),
  ];
  if (!queries.length && !state.labels.length) return null;
  queries.push(...state.avoid.map((text) => ({ text, weight: AVOIDED })));
  const body = { queries, curves: true };
  if (state.within) body.within = state.within;
  if (state.labels.length) body.labels = state.labels.map(labelText);
  if (Object.keys(state.filters).length) body.filters = { ...state.filters };
  if (state.group) body.group = "film";
  if (state.least) body.min_score = Number(state.least);
  return body;
}

// How many things are combined, filters included.
export function parts(state) {
  const { q, avoid, like, labels, uploads, filters, least } = state;
  return q.length + avoid.length + (least ? 1 : 0) + like.length + labels.length + uploads.length + Object.keys(filters).length;
}

export const labelText = ({ name, threshold }) => `${name}:${threshold}`;

function parseLabel(text) {
  const at = text.lastIndexOf(":");
  const threshold = at > 0 ? Number(text.slice(at + 1) || NaN) : NaN;
  if (!(threshold >= 0 && threshold <= 1)) return { name: text, threshold: DEFAULT_THRESHOLD };
  return { name: text.slice(0, at), threshold };
}

function wholeNumber(text) {
  const value = Number(text);
  return Number.isInteger(value) && value >= 1 && value <= 1_000_000 ? value : 1;
}
