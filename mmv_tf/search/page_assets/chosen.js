// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Moments that were chosen, kept until the tab is closed, and their download as a list.
import { save, send } from "./client.js";
import { find, make } from "./dom.js";
import { counted } from "./format.js";

const STORED = "chosen";
const FORMATS = { edl: "EDL", fcpxml: "FCPXML", csv: "CSV", json: "JSON" };

export class Chosen {
  // `failed` is told the message of a download that was refused.
  constructor(failed) {
    this.failed = failed;
    this.ids = new Set(stored());
    this.panel = find("chosen");
    this.show();
  }

  has(moment) {
    return this.ids.has(moment.id);
  }

  set(moment, on) {
    if (on) this.ids.add(moment.id);
    else this.ids.delete(moment.id);
    this.changed();
  }

  clear() {
    this.ids.clear();
    for (const box of document.querySelectorAll(".pick input")) box.checked = false;
    this.changed();
  }

  changed() {
    try {
      sessionStorage.setItem(STORED, JSON.stringify([...this.ids]));
    } catch {
      // Nothing can be stored: they are kept while the page is open.
    }
    this.show();
  }

  show() {
    this.panel.hidden = !this.ids.size;
    document.body.classList.toggle("choosing", this.ids.size > 0);
    if (!this.ids.size) return;
    this.panel.replaceChildren(
      make("p", { role: "status" }, `${counted(this.ids.size, "moment")} chosen`),
      make("div.formats", { role: "group", "aria-label": "Download the list as" },
        ...Object.entries(FORMATS).map(([format, name]) => make(
          "button.plain", { type: "button", onclick: () => this.download(format) }, name))),
      make("button.plain", { type: "button", onclick: () => this.clear() }, "Clear"),
    );
  }

  async download(format) {
    try {
      const json = { moments: [...this.ids], format };
      await save(await send("POST", "/lists", { json }), `moments.${format}`);
    } catch (error) {
      this.failed(error.message);
    }
  }
}

function stored() {
  try {
    const ids = JSON.parse(sessionStorage.getItem(STORED) ?? "[]");
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
  } catch {
    return [];
  }
}
