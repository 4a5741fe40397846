// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// The page: one state, from the address; what changes it, and what shows it.
import { Asking } from "./asking.js";
import { Chosen } from "./chosen.js";
import { Refused, get } from "./client.js";
import { scaleOf } from "./curves.js";
import { find, icon } from "./dom.js";
import { Filters } from "./filters.js";
import { listen } from "./keys.js";
import { Player, saveClip } from "./player.js";
import { Results } from "./results.js";
import { format, parse, request } from "./state.js";
import { upload, watch } from "./uploads.js";
import { Videos } from "./videos.js";
import { noIndex, welcome } from "./welcome.js";

const TITLE = "Search your videos";
const PAGE = 12;
const STALE = 5_000; // ms after which the index may have changed

let state = parse(location.search, history.state?.uploads);
let about = null;
let learned = 0; // when, in ms

const say = (text, failed = false) => {
  find("status").textContent = text;
  find("status").classList.toggle("failed", failed);
};
const chosen = new Chosen((message) => say(message, true));
const actions = {
  play: (moment, time) => player.open(moment, time, state.view === "search" ? results.scale : scaleOf([])),
  like: (moment) => change({ view: "search", q: [], avoid: [], uploads: [], labels: [], like: [moment.id] }),
  save: (moment, button, mode) => saveClip(moment, button, mode).catch((error) => say(error.message, true)),
  choose: (moment, on) => chosen.set(moment, on),
  isChosen: (moment) => chosen.has(moment),
};
const player = new Player(actions);
const results = new Results(actions, () => {
  state = { ...state, page: state.page + 1 };
  history.replaceState({ uploads: state.uploads }, "", address());
  results.add(pageSize()).catch(failed);
});
const asking = new Asking(change);
const filters = new Filters(change);
const videos = new Videos(change, actions.play);

const address = () => `/${format(state)}`;
const pageSize = () => about?.limits?.page ?? PAGE;

// Changes the state, and so the address and what is shown.
function change(values) {
  state = { ...state, page: 1, ...values };
  history.pushState({ uploads: state.uploads }, "", address());
  show();
}

async function show() {
  if (about === null && !(await describe())) return;
  if (Date.now() - learned > STALE) learn().catch(() => {}); // what is asked for next says what is wrong
  const searching = state.view === "search";
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  asking.show(state);
  filters.show(state);
  const wanted = searching ? request({ ...state, within: asking.chosen(state) }) : null;
  document.body.dataset.view = !searching ? "videos" : wanted ? "results" : "welcome";
  document.title = searching ? [state.q.join(" + "), TITLE].filter(Boolean).join(" – ") : `Videos – ${TITLE}`;
  results.clear();
  videos.clear();
  find("notes").replaceChildren();
  try {
    if (!searching) await during("Reading the list …", () => videos.show(state));
    else if (wanted) await during("Searching …", () => results.search(wanted, state.page, pageSize()));
    else greet();
  } catch (error) {
    failed(error);
  }
}

// Says what is being done, and shows that what is there is old.
async function during(text, work) {
  say(text);
  find("content").setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    find("content").removeAttribute("aria-busy");
  }
}

function greet() {
  const gone = state.uploads.some((one) => one.gone);
  const narrowed = Object.keys(state.filters).length || state.least || state.avoid.length;
  const told = narrowed ? "Filters narrow a search: say what to look for, too." : "";
  say(gone ? "The file is no longer here; give it again." : told);
  find("content").replaceChildren(...welcome(about, change, actions.play));
}

// Reads what the index holds, and offers it if it has changed.
async function learn() {
  learned = Date.now();
  const [described, listed] = await Promise.all([get("/index"), get("/videos", { limit: 1 })]);
  if (described.generation === about?.generation) return;
  about = described;
  results.most = about.limits.moments;
  asking.describe(about);
  filters.describe(listed.folders, about.labels);
  filters.show(state);
  find("count").textContent = (about.videos + about.skipped).toLocaleString("en");
  find("count").hidden = false;
}

// The same at the start; false if there is no index, which is then shown.
async function describe() {
  try {
    await learn();
    return true;
  } catch (error) {
    say("");
    find("content").replaceChildren(...noIndex(error.message, () => show()));
    return false;
  }
}

function failed(error) {
  const lost = error.status === 404
    ? state.uploads.filter((one) => one.id && error.message.includes(one.id.slice(0, 40))) : [];
  if (lost.length) {
    state = { ...state, uploads: state.uploads.map((one) => (lost.includes(one) ? { ...one, gone: true } : one)) };
    history.replaceState({ uploads: state.uploads }, "", address());
    show();
    return;
  }
  if (error.status === 503 && error.message.includes("index")) {
    about = null;
    find("content").replaceChildren(...noIndex(error.message, () => show()));
    say("");
    return;
  }
  if (!(error instanceof Refused)) console.error(error);
  find("content").replaceChildren();
  say(error.message, true);
}

async function take(files) {
  if (about === null) return;
  say(`Sending ${files.map((file) => file.name || "a file").join(", ")} …`);
  try {
    const made = [];
    for (const file of files.slice(0, about.limits.queries)) made.push(await upload(file, about.limits.upload_bytes));
    const kept = state.uploads.filter((one) => !one.gone);
    change({ view: "search", uploads: [...kept, ...made] });
  } catch (error) {
    say(error.message, true);
  }
}

function watchTheme() {
  const button = find("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const draw = () => {
    button.replaceChildren(icon(isDark() ? "light" : "dark"));
    button.setAttribute("aria-pressed", String(isDark()));
  };
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Not stored: it holds until the page is left.
    }
    draw();
  });
  dark.addEventListener("change", draw);
  draw();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-go]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  state = parse(new URL(link.href).search);
  change({});
});
window.addEventListener("popstate", (event) => {
  state = parse(location.search, event.state?.uploads);
  show();
});
document.addEventListener("error", ({ target }) => {
  if (target instanceof HTMLImageElement) target.classList.add("missing"); // a film that has gone
}, true);
watchTheme();
watch(take);
listen(player);
show();
