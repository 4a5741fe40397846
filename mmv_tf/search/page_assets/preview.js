// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// A moment under the pointer: muted and over and over, or some of its frames if the browser can't
// play the film.
import { make } from "./dom.js";

const WAIT = 250; // ms
const FRAMES = 5;
const FRAME = 600; // ms
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function preview(box, moment) {
  let end = null;
  box.addEventListener("pointerenter", (event) => {
    if (event.pointerType !== "mouse" || calm.matches || end) return;
    const timer = setTimeout(() => { end = play(box, moment); }, WAIT);
    end = () => clearTimeout(timer);
  });
  box.addEventListener("pointerleave", () => {
    end?.();
    end = null;
  });
}

// Starts a preview and returns the function that ends it.
function play(box, moment) {
  let stopFrames = null;
  const video = make("video.preview", { "aria-hidden": "true", tabindex: "-1", playsinline: true, preload: "auto" });
  video.muted = true;
  video.disablePictureInPicture = true;
  const again = () => {
    if (video.currentTime >= moment.end || video.currentTime < moment.start - 0.5) video.currentTime = moment.start;
  };
  const frames = () => {
    video.remove();
    stopFrames ??= cycle(box.querySelector("img"), moment);
  };
  video.addEventListener("timeupdate", again);
  video.addEventListener("ended", () => { video.currentTime = moment.start; video.play(); });
  video.addEventListener("error", frames, { once: true });
  video.addEventListener("loadeddata", () => (video.videoWidth ? video.classList.add("shown") : frames()), { once: true });
  video.src = `${moment.media}#t=${moment.start}`;
  video.play().catch(() => {}); // ended before it began, or refused: then the picture stays
  box.append(video);
  return () => {
    video.removeEventListener("error", frames);
    video.remove();
    video.removeAttribute("src");
    video.load(); // frees its connection
    stopFrames?.();
  };
}

function cycle(image, moment) {
  const still = image.src;
  let at = 0;
  const timer = setInterval(() => {
    const time = moment.start + ((at % FRAMES) + 0.5) * ((moment.end - moment.start) / FRAMES);
    image.src = `${moment.thumbnail.split("?")[0]}?t=${time.toFixed(1)}`;
    at += 1;
  }, FRAME);
  return () => {
    clearInterval(timer);
    image.src = still;
  };
}
