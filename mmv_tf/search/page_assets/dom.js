// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Elements from their parts. Strings become text nodes, so no name or caption is ever HTML.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  attach: "M20 11.5 12 19.4a5 5 0 0 1-7-7.1l8.4-8.3a3.3 3.3 0 0 1 4.7 4.7l-8.2 8.1a1.7 1.7 0 0 1-2.4-2.4l7.4-7.3",
  close: "M6 6l12 12M18 6 6 18",
  dark: "M20 14.2A8.3 8.3 0 0 1 9.8 4 8.3 8.3 0 1 0 20 14.2z",
  light: "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM12 2v2M12 20v2M2 12h2M20 12h2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  like: "M4 5h7v6H4zM13 13h7v6h-7zM15 5l5 5M15 10l5-5",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
  video: "M4 6h12v12H4zM16 10l5-3v10l-5-3",
  audio: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10v4",
  text: "M5 6h14M12 6v13",
  minus: "M5 12h14",
  plus: "M12 5v14M5 12h14",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20",
  label: "M4 4h8l8 8-8 8-8-8zM8 8h.01",
  filter: "M4 7h16M7 12h10M10 17h4",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
  play: "M8 5v14l11-7z",
};

// An element: "button.plain.small", its attributes (on... are listeners), and its children.
export function make(spec, attributes = {}, ...children) {
  const [name, ...classes] = spec.split(".");
  const made = document.createElement(name);
  if (classes.length) made.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null && child !== false));
  return made;
}

export function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function icon(name) {
  return svg(
    "svg", { viewBox: "0 0 24 24", class: `glyph is-${name}`, "aria-hidden": "true" },
    svg("path", { d: ICONS[name] }),
  );
}

// Text for screen readers, in full where the eye sees what is meant.
export const told = (text) => make("span.hidden", {}, text);

export const find = (id) => document.getElementById(id);

// A button that says what it does by an icon and a text, and what to, if that is not heard.
export function action(glyph, text, onclick, what = "", attributes = {}) {
  return make("button.plain", { type: "button", onclick, ...attributes }, icon(glyph), text, what && told(` ${what}`));
}
