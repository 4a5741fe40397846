// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Moments as cards.
import { chart, clicked } from "./curves.js";
import { action, make, told } from "./dom.js";
import { clock, counted, span, split } from "./format.js";
import { preview } from "./preview.js";

const CUES = 3; // shown at once; the rest on demand

// A card. `actions` has play(moment, time), like(moment), save(moment, button), choose(moment, on)
// and isChosen(moment).
export function card(moment, scale, actions, inFilm = false) {
  const [file, folder] = split(moment.video.name);
  const name = inFilm ? span(moment) : file;
  const which = `${moment.video.name}, ${span(moment)}`;
  const title = make(inFilm ? "h4.name" : "h3.name", { title: moment.video.name }, name);
  const times = make("p.times", {}, inFilm ? null : make("span", {}, span(moment)),
    make("span", { title: "Score" }, moment.score.toFixed(3)), ways(moment.found), folder && !inFilm ? make("span.folder", {}, folder) : null);
  return make(
    "li.moment", { "data-id": moment.id },
    frame(moment, which, actions),
    curve(moment, scale, actions.play),
    make(
      "div.words", {},
      make("div.line", {}, title, confidence(moment.confidence)),
      times,
      cues(moment, actions.play),
      alike(moment, actions.play),
      make(
        "div.actions", {},
        action("like", "More like this", () => actions.like(moment), which),
        action("save", "Clip", (event) => actions.save(moment, event.currentTarget), `of ${which}, as a file`),
      ),
    ),
  );
}

// The moments of films, film by film.
export function films(moments, scale, actions) {
  const grouped = new Map();
  for (const moment of moments) {
    if (!grouped.has(moment.video.id)) grouped.set(moment.video.id, []);
    grouped.get(moment.video.id).push(moment);
  }
  return [...grouped.values()].map((own) => make(
    "section.film", {},
    make("h3.film-name", {}, own[0].video.name, make("span.count", {}, counted(own.length, "moment"))),
    make("ol.moments", {}, ...own.map((moment) => card(moment, scale, actions, true))),
  ));
}

export function confidence(value) {
  if (!value) return null;
  const share = Math.floor(value.value * 100 + 1e-6);
  return make(`span.confidence.${value.word.replaceAll(/[^a-z]+/gi, "-").toLowerCase()}`, {
    title: `Better than ${share} of 100 unrelated queries`,
  }, `${value.word} · ${share}%`);
}

// How a moment was found, such as "seen and said".
function ways(found) {
  if (!found?.length) return null;
  const kinds = found.map(({ kind, transcribed }) => (transcribed ? `${kind} (transcribed)` : kind));
  return make("span", {}, [...new Set(kinds)].join(" and "));
}

function frame(moment, which, actions) {
  const image = make("img", { src: moment.thumbnail, alt: "", loading: "lazy", decoding: "async" });
  const play = make(
    "button.play", { type: "button", onclick: () => actions.play(moment, moment.start) },
    image, told(`Play ${which}, `), make("span.length", {}, `${(moment.end - moment.start).toFixed(1)} s`),
  );
  const box = make("input", {
    type: "checkbox", "aria-label": `Choose ${which}`, onchange: () => actions.choose(moment, box.checked),
  });
  box.checked = actions.isChosen(moment);
  preview(play, moment);
  return make("div.frame", {}, play, make("label.pick", { title: "Choose for a list" }, box));
}

function curve(moment, scale, play) {
  if (!moment.curve) return null;
  return make("div.curve", {
    title: "The score along the film; click to play from there",
    onclick: (event) => play(moment, clicked(event) * moment.video.seconds),
  }, chart(moment, scale));
}

// Captions, each with its time; a click plays from it.
export function cues(moment, play, most = CUES) {
  if (!moment.captions.length) return null;
  const items = moment.captions.map((caption) => make(
    "li", {},
    make("button.cue", { type: "button", onclick: () => play(moment, caption.start) },
      make("span.when", {}, clock(caption.start)), " ", make("span.said", {}, caption.text)),
  ));
  const shown = make("ol.cues", {}, ...items.slice(0, most));
  if (items.length <= most) return shown;
  const rest = items.slice(most);
  const more = make("button.plain.more", { type: "button", onclick: () => {
    shown.append(...rest);
    more.remove();
    rest[0].firstElementChild.focus();
  } }, `${rest.length} more`);
  return make("div", {}, shown, more);
}

// Moments that look the same, which are not results of their own.
function alike(moment, play) {
  if (!moment.also?.length) return null;
  const items = moment.also.map((place) => make(
    "li", {},
    make("button.cue", { type: "button", onclick: () => play(placed(place, moment), place.start) },
      make("span.when", {}, clock(place.start)), " ", make("span.said", {}, split(place.video.name)[0])),
  ));
  return make("details.alike", {}, make("summary", {}, `Alike: ${items.length}`), make("ol.cues", {}, ...items));
}

function placed(place, moment) {
  const same = place.video.id === moment.video.id;
  const address = `/api/v1/videos/${place.video.id}`;
  return {
    ...place, captions: [], score: moment.score, confidence: null,
    video: same ? moment.video : place.video, curve: same ? moment.curve : undefined,
    media: `${address}/media`, thumbnail: `${address}/thumbnail?t=${place.start}`, clip: `/api/v1/moments/${place.id}/clip`,
  };
}
