// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Numbers, times and names as they are shown.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

// 1:02:03.5 or 2:03.5
export function clock(seconds) {
  const tenths = Math.round(Math.max(0, seconds) * 10);
  const minutes = Math.floor(tenths / 600) % 60;
  const hours = Math.floor(tenths / 36000);
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// 1:02:03 or 2:03, for lengths of films.
export function length(seconds) {
  const whole = Math.round(seconds);
  return clock(whole).slice(0, -2);
}

export const span = (moment) => `${clock(moment.start)} – ${clock(moment.end)}`;

export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

export function bytes(count) {
  let unit = 0;
  while (count >= 1000 && unit < UNITS.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${count < 10 && unit ? count.toFixed(1) : Math.round(count)} ${UNITS[unit]}`;
}

// The part of a name after its folder, and the folder.
export function split(name) {
  const at = name.lastIndexOf("/");
  return at < 0 ? [name, ""] : [name.slice(at + 1), name.slice(0, at)];
}

// "an image, a clip or audio", of kinds such as "image", "video" and "audio".
export function listed(kinds) {
  const names = { image: "an image", video: "a clip", audio: "a sound" };
  const known = ["image", "video", "audio"].filter((kind) => kinds.includes(kind)).map((kind) => names[kind]);
  return known.length > 1 ? `${known.slice(0, -1).join(", ")} or ${known.at(-1)}` : known.join("");
}

export const KIND = { image: "Image", video: "Clip", audio: "Sound" };

export function date(text) {
  const day = new Date(text);
  return Number.isNaN(day.getTime()) ? "" : day.toLocaleDateString("en-GB", { year: "numeric", month: "short", day: "numeric" });
}
