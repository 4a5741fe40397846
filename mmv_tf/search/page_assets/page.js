// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
const status = document.getElementById("status");
const moments = document.getElementById("moments");

async function search(text) {
  const answer = await fetch(`/api/v1/search?q=${encodeURIComponent(text)}`);
  const found = await answer.json();
  status.textContent = found.error ?? `${found.moments.length} moments`;
  moments.replaceChildren(...(found.moments ?? []).map((moment) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `${moment.media}#t=${moment.start}`;
    link.textContent = `${moment.video.name} ${moment.start} – ${moment.end}`;
    item.append(link);
    return item;
  }));
}

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search(document.getElementById("text").value);
});
