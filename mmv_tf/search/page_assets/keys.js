// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// The page by keyboard: / writes, arrows go from moment to moment, Enter plays, Esc pauses, then
// closes the player.
import { find } from "./dom.js";

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
const FIELDS = "input:not([type=checkbox], [type=radio]), textarea, select";

export function listen(player) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (pressed(event, player)) event.preventDefault();
  });
}

// Acts on a key; false if it is not one of the page's.
function pressed(event, player) {
  const target = event.target instanceof Element ? event.target : document.body;
  const writing = target.closest(FIELDS);
  if (event.key === "/" && !writing) {
    find("sentence").focus();
    find("sentence").select();
    return true;
  }
  if (event.key === "Escape") {
    if (writing && !writing.value) writing.blur();
    if (!player.pause() && !writing) player.close();
    return false;
  }
  const step = STEPS[event.key];
  if (!step || target.closest("video, [role=slider], [type=radio], #filters")) return false;
  const moments = [...document.querySelectorAll(".moment .play, .row .play")];
  if (!moments.length) return false;
  const card = target.closest(".moment, .row");
  const here = moments.findIndex((play) => play.closest(".moment, .row") === card && card);
  if (writing) {
    if (event.key !== "ArrowDown" || target.id !== "sentence") return false;
    moments[0].focus();
    return true;
  }
  if (here < 0 && target !== document.body && target.id !== "main") return false;
  const to = Math.min(moments.length - 1, Math.max(0, here + step));
  moments[to].focus();
  return true;
}
