// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Files to search for: chosen, dropped or pasted anywhere on the page.
import { call } from "./client.js";
import { find } from "./dom.js";
import { bytes } from "./format.js";

const pictures = new Map(); // addresses of small pictures in chips, by id

export const pictureOf = (id) => pictures.get(id);

// Calls `take` with the files of the user.
export function watch(take) {
  const field = find("files");
  field.addEventListener("change", () => {
    const files = [...field.files];
    field.value = "";
    if (files.length) take(files);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
  watchDrops(take);
}

function watchDrops(take) {
  const veil = find("drop");
  let depth = 0; // entered elements, children included
  const show = (on) => {
    depth = on ? depth : 0;
    veil.hidden = !on;
  };
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth += 1;
    show(true);
  });
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("dragleave", (event) => {
    if (!holdsFiles(event)) return;
    depth -= 1;
    if (depth <= 0) show(false);
  });
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    show(false);
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
  });
}

// Sends a file and returns {id, kind, name}.
export async function upload(file, limit) {
  if (file.size > limit) {
    throw new Error(`${file.name || "The file"} has ${bytes(file.size)}; at most ${bytes(limit)} can be searched for.`);
  }
  const headers = { "Content-Type": "application/octet-stream", "X-Filename": encodeURIComponent(file.name) };
  const made = await call("POST", "/uploads", { body: file, headers });
  if (made.kind === "image") pictures.set(made.id, URL.createObjectURL(file));
  return made;
}
