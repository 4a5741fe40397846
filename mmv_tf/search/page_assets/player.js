// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// The player, beside the results.
import { confidence, cues } from "./cards.js";
import { Refused, save, send } from "./client.js";
import { chart, clicked, head, moveTo } from "./curves.js";
import { action, find, icon, make } from "./dom.js";
import { clock, length, span, split } from "./format.js";

const STEP = 5; // seconds, by an arrow key

// The player of one page. `actions` as for cards.
export class Player {
  constructor(actions) {
    this.actions = actions;
    this.panel = find("player");
    this.moment = null;
    this.from = null; // what had the focus
  }

  // Plays a moment's film from a time in seconds; `scale` is that of the curves shown.
  open(moment, time, scale) {
    if (this.moment?.id === moment.id && this.video && !this.offset) {
      this.seek(time);
      this.video.play().catch(() => {});
      return;
    }
    this.stop();
    this.from ??= document.activeElement;
    this.moment = moment;
    this.offset = 0; // where the played file starts in the film
    this.build(moment, scale);
    this.load(moment.media, time);
    this.mark(true);
    this.panel.hidden = false;
  }

  // Marks the card that plays, and makes room for the player.
  mark(on) {
    document.body.classList.toggle("playing", on);
    for (const card of document.querySelectorAll(".moment")) {
      card.classList.toggle("now", on && card.dataset.id === this.moment.id);
    }
  }

  // Pauses; true if something played.
  pause() {
    if (!this.video || this.video.paused) return false;
    this.video.pause();
    return true;
  }

  close() {
    if (!this.moment) return;
    this.stop();
    this.mark(false);
    this.moment = null;
    this.panel.hidden = true;
    this.panel.replaceChildren();
    if (this.from?.isConnected) this.from.focus({ preventScroll: true });
    this.from = null;
  }

  stop() {
    if (!this.video) return;
    this.video.removeAttribute("src");
    this.video.load(); // frees its connection
    this.video = null;
  }

  build(moment, scale) {
    const [file, folder] = split(moment.video.name);
    this.stage = make("div.stage");
    this.notice = make("div.notice", { role: "status" });
    const parts = [
      make("div.heading", {},
        make("div", {}, make("h2.name", { title: moment.video.name }, file),
          make("p.times", {}, make("span", {}, moment.whole ? length(moment.end) : span(moment)),
            folder ? make("span.folder", {}, folder) : null)),
        confidence(moment.confidence),
        make("button.icon", { type: "button", "aria-label": "Close the player", onclick: () => this.close() }, icon("close"))),
      this.stage,
      this.notice,
      moment.video.seconds ? this.buildCurve(moment, scale) : null,
      this.buildActions(moment),
      cues(moment, (_, time) => this.seekAndPlay(time), 100),
    ];
    this.panel.replaceChildren(...parts.filter(Boolean));
  }

  buildCurve(moment, scale) {
    const { seconds } = moment.video;
    this.head = head();
    const drawn = chart(moment, scale);
    drawn.append(this.head);
    this.slider = make("div.curve.large", {
      role: "slider", tabindex: "0", "aria-label": "Time in the film", "aria-valuemin": "0",
      "aria-valuemax": seconds.toFixed(1), "aria-valuenow": "0", title: "Click to play from there",
      onclick: (event) => this.seekAndPlay(clicked(event) * seconds),
      onkeydown: (event) => this.key(event),
    }, drawn);
    return this.slider;
  }

  buildActions(moment) {
    if (moment.whole) return null;
    return make("div.actions", {},
      action("play", "Play the moment", () => this.seekAndPlay(moment.start)),
      action("like", "More like this", () => this.actions.like(moment)),
      action("save", "Clip", (event) => this.actions.save(moment, event.currentTarget), "as a file", {
        title: "From its first to its last frame, re-encoded" }),
      action("save", "Original quality", (event) => this.actions.save(moment, event.currentTarget, "copy"), "as a file", {
        title: "Not re-encoded, so it starts at the key frame before" }));
  }

  load(address, time) {
    const { moment } = this;
    const video = make("video", { controls: true, autoplay: true, playsinline: true, "aria-label": moment.video.name });
    this.video = video;
    video.addEventListener("timeupdate", () => this.show());
    video.addEventListener("seeked", () => this.show());
    video.addEventListener("error", () => this.video === video && this.failed(), { once: true });
    video.addEventListener("loadedmetadata", () => {
      if (this.video === video && !video.videoWidth) this.failed(); // only its sound can be played
    }, { once: true });
    video.src = `${address}#t=${Math.max(0, time - this.offset).toFixed(2)}`;
    this.stage.replaceChildren(video);
    video.play().catch(() => {}); // some browsers want a click first; the controls are there
  }

  show() {
    if (!this.video || !this.slider || !this.moment.video.seconds) return;
    const time = this.video.currentTime + this.offset;
    moveTo(this.head, time / this.moment.video.seconds);
    this.slider.setAttribute("aria-valuenow", time.toFixed(1));
    this.slider.setAttribute("aria-valuetext", clock(time));
  }

  seek(time) {
    const wanted = Math.max(0, time - this.offset);
    this.video.currentTime = wanted;
  }

  seekAndPlay(time) {
    if (!this.video) return;
    this.seek(time);
    this.video.play().catch(() => {});
  }

  key(event) {
    const step = { ArrowRight: STEP, ArrowUp: STEP, ArrowLeft: -STEP, ArrowDown: -STEP }[event.key];
    if (!step || !this.video) return;
    event.preventDefault();
    event.stopPropagation();
    this.seek(this.video.currentTime + this.offset + step);
  }

  // Says that the browser can't play the film, and offers the moment converted.
  failed() {
    const { moment } = this;
    this.stop();
    const text = this.offset ? "The converted moment can't be played either." : "This browser can't play the format of this film.";
    const image = make("img", { src: moment.thumbnail, alt: "" });
    this.stage.replaceChildren(image);
    const convert = action("play", "Play the moment converted", () => this.convert(convert));
    const offered = !moment.whole && !this.offset;
    this.notice.replaceChildren(make("p", {}, `${text} In a media player: ${moment.video.name} at ${clock(moment.start)}.`),
      ...(offered ? [convert] : []));
  }

  async convert(button) {
    const { moment } = this;
    button.disabled = true;
    this.notice.firstChild.textContent = "Converting the moment …";
    const address = `${moment.clip}?mode=exact`;
    try {
      const answer = await send("GET", address, { headers: { Range: "bytes=0-0" } });
      if (this.moment !== moment) return;
      this.offset = Number(answer.headers.get("x-clip-start") ?? moment.start);
      this.load(address, moment.start);
      this.notice.replaceChildren(make("p", {}, "The moment, converted for this browser."));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (this.moment !== moment) return;
      this.notice.firstChild.textContent = error.message;
      button.disabled = false;
    }
  }
}

// Downloads a moment as a file; the button shows that it is being cut.
export async function saveClip(moment, button, mode = "exact") {
  button.disabled = true;
  button.classList.add("busy");
  try {
    await save(await send("GET", `${moment.clip}?mode=${mode}`), "clip.mp4");
  } finally {
    button.disabled = false;
    button.classList.remove("busy");
  }
}
