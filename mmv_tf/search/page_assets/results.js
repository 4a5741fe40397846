// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// The answer to a search, page by page.
import { card, films } from "./cards.js";
import { call } from "./client.js";
import { scaleOf } from "./curves.js";
import { find, make } from "./dom.js";
import { counted } from "./format.js";

const MOST = 100; // that one request may ask for

// The answer to one search at a time. `most` is how many places may be asked for in all.
export class Results {
  // `actions` as for cards; `more` is called when the user wants another page.
  constructor(actions, more) {
    this.actions = actions;
    this.more = more;
    this.most = MOST;
    this.clear();
  }

  clear() {
    this.running?.abort();
    this.running = null;
    this.body = null;
    this.moments = [];
    this.places = 0; // asked for: films, if they are grouped
    this.answer = null;
  }

  get scale() {
    return scaleOf(this.moments);
  }

  // Searches for the first pages of a body; a newer search ends an older one.
  // Returns false if it was ended.
  async search(body, pages, size) {
    this.clear();
    this.body = body;
    return this.fetch(pages * size);
  }

  // Adds a page.
  async add(size) {
    const before = this.moments.length;
    if (!(await this.fetch(size))) return;
    document.querySelectorAll(".moment .play")[before]?.focus();
  }

  async fetch(count) {
    const running = new AbortController();
    this.running = running;
    const { body } = this;
    const until = Math.min(this.places + count, this.most);
    try {
      while (this.places < until) {
        const limit = Math.min(MOST, until - this.places);
        const answer = await call("POST", "/search", {
          json: { ...body, limit, offset: this.places }, signal: running.signal });
        if (this.running !== running) return false;
        this.answer = { ...answer, nothing: this.answer?.nothing ?? answer.nothing };
        this.moments.push(...answer.moments);
        this.places += limit;
        if (!answer.more) break;
      }
    } catch (error) {
      if (error.name === "AbortError") return false;
      throw error;
    }
    this.show();
    return true;
  }

  show() {
    const { answer, moments, scale } = this;
    find("status").textContent = moments.length
      ? `${counted(moments.length, "moment")}${answer.more ? "" : " in all"}, best first`
      : "Nothing was found.";
    find("notes").replaceChildren(...notes(answer, moments));
    const shown = this.body.group === "film"
      ? films(moments, scale, this.actions)
      : [make("ol.moments", {}, ...moments.map((moment) => card(moment, scale, this.actions)))];
    const further = answer.more && this.places < this.most;
    const next = further
      ? make("button.plain.next", { type: "button", onclick: () => this.more() }, "Show more") : null;
    find("content").replaceChildren(make("h2.hidden", {}, "Results"), ...shown, ...(next ? [next] : []));
  }
}

function notes(answer, moments) {
  const made = [];
  if (answer.nothing && moments.length) {
    made.push(make("p.note.nothing", {}, make("strong", {}, "Nothing here matches well."), " The nearest:"));
  } else if (!moments.length) {
    made.push(make("p.note.nothing", {}, "Try other words, fewer filters, or search in what is seen."));
  }
  if (answer.unknown_words?.length) {
    made.push(make("p.note", {}, "Words that the model does not know, and left out: ",
      ...answer.unknown_words.flatMap((word, at) => [at ? ", " : "", make("q", {}, word)]), "."));
  }
  if (moments.length) made.push(explanation(answer, moments));
  return made;
}

function explanation(answer, moments) {
  const told = [
    "The number after the times is the score, which sorts the moments; it can be compared only within one search.",
    "The line is the score along the film, with the moment marked. All lines share one scale, so films can be compared by them. Click one to play from there.",
  ];
  if (moments.some((moment) => moment.confidence)) {
    told.unshift("The word and its percentage are the confidence: how many of 100 unrelated queries this index answers less well. What is not at least likely may be missing from the index.");
  }
  if (answer.approximate) told.push("The index is large, so its windows were preselected; a moment may be missing.");
  return make("details.explained", {}, make("summary", {}, "How to read this"), ...told.map((text) => make("p", {}, text)));
}
