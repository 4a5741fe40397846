// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// The list of videos: what is indexed, and what failed and why; a page at a time.
import { get } from "./client.js";
import { find, make, told } from "./dom.js";
import { bytes, counted, date, length, split } from "./format.js";
import { whole } from "./welcome.js";

const ROWS = 100;
const STATES = { "": "All", indexed: "Searchable", skipped: "Failed" };

export class Videos {
  // `play` takes a moment and a time.
  constructor(change, play) {
    this.change = change;
    this.play = play;
    this.running = null;
  }

  clear() {
    this.running?.abort();
    this.running = null;
  }

  async show(state) {
    this.clear();
    const running = new AbortController();
    this.running = running;
    const offset = (state.page - 1) * ROWS;
    let answer;
    try {
      answer = await get("/videos", { ...state.filters, state: state.listed, offset, limit: ROWS }, running.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      throw error;
    }
    if (this.running !== running) return;
    const { total, videos } = answer;
    find("status").textContent = total
      ? `${counted(total, "video")}${total > ROWS ? `, ${(offset + 1).toLocaleString("en")} to ${(offset + videos.length).toLocaleString("en")} shown` : ""}`
      : "No video fits these filters.";
    find("notes").replaceChildren();
    find("content").replaceChildren(
      make("h2.hidden", {}, "Videos"),
      this.states(state),
      make("ul.rows", {}, ...videos.map((video) => this.row(video))),
      ...this.pages(state, total),
    );
  }

  states(state) {
    const radios = Object.entries(STATES).map(([value, text]) => {
      const radio = make("input", { type: "radio", name: "state", value, onchange: () => this.change({ listed: value }) });
      radio.checked = state.listed === value;
      return make("label", {}, radio, make("span", {}, text));
    });
    return make("fieldset.segments.states", {}, make("legend.hidden", {}, "Videos to list"), ...radios);
  }

  row(video) {
    const [file, folder] = split(video.name);
    const failed = video.state === "skipped";
    const about = failed
      ? [date(video.date), bytes(video.bytes)]
      : [length(video.seconds), date(video.date), bytes(video.bytes), counted(video.windows, "window"), video.captions ? "captions" : ""];
    const words = make("div.words", {},
      make("span.name", { title: video.name }, file),
      folder ? make("span.folder", {}, folder) : null,
      make("span.times", {}, about.filter(Boolean).join(" · ")),
      failed ? make("span.reason", {}, video.reason) : null);
    if (failed) return make("li.row.failed", {}, make("span.blank", { "aria-hidden": "true" }, "!"), words);
    const image = make("img", { src: `${video.thumbnail}?t=${(video.seconds / 3).toFixed(1)}`, alt: "", loading: "lazy", decoding: "async" });
    return make("li.row", {},
      make("button.play", { type: "button", onclick: () => this.play(whole(video), 0) }, image, told(`Play ${video.name}`)),
      words,
      make("button.plain", { type: "button", onclick: () => this.change({
        view: "search", listed: "", filters: { file: video.name } }) }, "Search in it", told(`: ${video.name}`)));
  }

  pages(state, total) {
    const last = Math.ceil(total / ROWS);
    if (last < 2) return [];
    const to = (page, text) => make("button.plain", {
      type: "button", disabled: page < 1 || page > last, onclick: () => {
        this.change({ page });
        find("main").focus();
        scrollTo(0, 0);
      } }, text);
    return [make("nav.pages", { "aria-label": "Pages" }, to(state.page - 1, "Previous"),
      make("span", {}, `Page ${state.page} of ${last}`), to(state.page + 1, "Next"))];
  }
}
