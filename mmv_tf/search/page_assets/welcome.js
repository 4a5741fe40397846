// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// The page before a search: what the index holds, and examples of what to ask.
import { get } from "./client.js";
import { icon, make, told } from "./dom.js";
import { counted, length, listed, split } from "./format.js";

const FILMS = 6;

export function welcome(about, change, play) {
  const files = listed(about.accepts);
  const examples = (about.examples ?? []).map((text) => make(
    "li", {}, make("button.example", { type: "button", onclick: () => change({ q: [text] }) }, icon("text"), make("span", {}, text))));
  const words = about.accepts.includes("text") || about.within.includes("speech");
  const box = make("div.welcome", {},
    make("p.lead", {}, `${counted(about.videos, "video")}, ${counted(about.windows, "window")} to search.`),
    make("p", {}, [
      words ? "Write what happens" : "",
      files ? `${words ? ", or drop or paste" : "Drop or paste"} ${files} anywhere on this page to find what is like it` : "",
      ".",
    ].join("")),
    examples.length ? make("h2", {}, "For example") : null,
    examples.length ? make("ul.examples", {}, ...examples) : null,
  );
  const list = make("ul.shelf");
  const shelf = make("section.films", { "aria-label": "Some of your videos", hidden: true }, make("h2", {}, "Your videos"), list);
  fill(shelf, list, play);
  return [box, shelf];
}

export function noIndex(message, again) {
  return [make("div.welcome", {},
    make("p.lead", {}, message),
    make("pre", {}, "mmv search index --videos=DIR --model=PATH --index=INDEX"),
    make("button.primary", { type: "button", onclick: again }, "Look again"))];
}

async function fill(shelf, list, play) {
  try {
    const { videos } = await get("/videos", { state: "indexed", limit: FILMS });
    list.replaceChildren(...videos.map((video) => make("li", {}, make(
      "button.film-card", { type: "button", onclick: () => play(whole(video), 0) }, told("Play "),
      make("img", { src: `${video.thumbnail}?t=${(video.seconds / 3).toFixed(1)}`, alt: "", loading: "lazy" }),
      make("span.name", {}, split(video.name)[0]), make("span.times", {}, length(video.seconds))))));
    shelf.hidden = !videos.length;
  } catch {
    shelf.hidden = true; // the rest of the page says what is wrong
  }
}

// A whole video, as the player takes moments.
export function whole(video) {
  return {
    id: video.id, whole: true, start: 0, end: video.seconds, captions: [], confidence: null, curve: null,
    video: { id: video.id, name: video.name, seconds: video.seconds }, media: video.media, thumbnail: video.thumbnail,
  };
}
