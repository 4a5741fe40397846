// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Curves of scores along films, all drawn on one scale, so that they can be compared.
import { svg } from "./dom.js";

const WIDTH = 400;
const HEIGHT = 48;
const FLAT = 1e-6;

// The lowest and highest score of all curves.
export function scaleOf(moments) {
  const scores = moments.flatMap((moment) => moment.curve?.scores ?? []);
  if (!scores.length) return { low: 0, high: 1 };
  const low = scores.reduce((a, b) => Math.min(a, b));
  const high = scores.reduce((a, b) => Math.max(a, b));
  return high - low > FLAT ? { low, high } : { low: low - 0.5, high: high + 0.5 };
}

// Points of a curve in a box of 400 by 48, as "x,y x,y".
export function points({ times, scores }, seconds, { low, high }) {
  return times.map((time, at) => {
    const x = (time / seconds) * WIDTH;
    const y = HEIGHT - 2 - ((scores[at] - low) / (high - low)) * (HEIGHT - 5);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  }).join(" ");
}

// The picture of a moment's film: the moment marked, the curve, and a line for the player's place.
export function chart(moment, scale) {
  const { curve, video: { seconds } } = moment;
  const made = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  if (!moment.whole) {
    const from = (moment.start / seconds) * WIDTH;
    const width = Math.max(3, ((moment.end - moment.start) / seconds) * WIDTH);
    made.append(svg("rect", { class: "mark", x: from.toFixed(1), y: 0, width: width.toFixed(1), height: HEIGHT }));
  }
  if (curve?.times.length) {
    const line = points(curve, seconds, scale);
    const first = line.slice(0, line.indexOf(","));
    const last = line.slice(line.lastIndexOf(" ") + 1).split(",")[0];
    made.append(
      svg("polygon", { class: "under", points: `${first},${HEIGHT} ${line} ${last},${HEIGHT}` }),
      svg("polyline", { class: "line", points: line }),
    );
  }
  return made;
}

// A line that shows a time, moved by `moveTo`.
export function head() {
  return svg("line", { class: "head", x1: 0, x2: 0, y1: 0, y2: HEIGHT });
}

export function moveTo(line, share) {
  const x = (Math.min(1, Math.max(0, share)) * WIDTH).toFixed(1);
  line.setAttribute("x1", x);
  line.setAttribute("x2", x);
}

// The part of an element's width, 0 to 1, at which it was clicked.
export function clicked(event) {
  const box = event.currentTarget.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
}
