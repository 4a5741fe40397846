// Copyright 2026 The mmv_tf Authors. SPDX-License-Identifier: Apache-2.0
// The page by keyboard: / writes, arrows go from moment to moment, Enter plays, Esc pauses.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const writing = event.target.closest("input, textarea");
  const moments = [...document.querySelectorAll(".moment")];
  const here = moments.indexOf(event.target.closest(".moment"));
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (event.key === "/" && !writing) {
    document.querySelector(".sentence input").focus();
  } else if (event.key === "Escape") {
    document.querySelector("video")?.pause();
    event.target.blur();
    return;
  } else if (event.key === "ArrowDown" && writing && moments.length) {
    moments[0].focus();
  } else if (step && !writing && moments.length && (here >= 0 || event.target === document.body)) {
    moments[Math.min(moments.length - 1, Math.max(0, here + step))].focus();
  } else if ((event.key === "Enter" || event.key === " ") && here >= 0) {
    moments[here].click();
  } else {
    return;
  }
  event.preventDefault();
});
