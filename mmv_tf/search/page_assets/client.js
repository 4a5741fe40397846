// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Requests to the API. A server with a token is asked once for a session's cookie, which scripts
// can't read.
import { find } from "./dom.js";

const PREFIX = "/api/v1";
let session = null;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// An answer whose status is good.
export async function send(method, path, { json, body, headers = {}, signal } = {}) {
  const options = { method, headers: { ...headers }, signal, body };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["Content-Type"] = "application/json";
  }
  const address = path.startsWith(`${PREFIX}/`) ? path : `${PREFIX}${path}`;
  for (;;) {
    const answer = await reach(address, options);
    if (answer.ok) return answer;
    if (answer.status !== 401) throw new Refused(answer.status, await reason(answer));
    session ??= askForToken().finally(() => { session = null; });
    await session;
  }
}

export async function call(method, path, options) {
  const answer = await send(method, path, options);
  return answer.json();
}

export const get = (path, values = {}, signal = undefined) => {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value != null && value !== ""));
  return call("GET", query.size ? `${path}?${query}` : path, { signal });
};

// Gives an answer's bytes to the user as a file.
export async function save(answer, name) {
  const said = answer.headers.get("content-disposition") ?? "";
  const encoded = /filename\*=utf-8''([^;]+)/i.exec(said)?.[1];
  const plain = /filename="([^"]+)"/.exec(said)?.[1];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = encoded ? decodeURIComponent(encoded) : plain ?? name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server can't be reached; is it still running?");
  }
}

async function reason(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

// Shows the dialog until the server takes a token.
function askForToken() {
  const dialog = find("token");
  const field = find("secret");
  const message = find("token-error");
  return new Promise((resolve) => {
    dialog.onclose = () => dialog.showModal(); // by Esc
    dialog.querySelector("form").onsubmit = async (event) => {
      event.preventDefault();
      message.textContent = "";
      const headers = { Authorization: `Bearer ${field.value.trim()}` };
      let answer;
      try {
        answer = await reach(`${PREFIX}/session`, { method: "POST", headers });
      } catch (error) {
        message.textContent = error.message;
        return;
      }
      if (!answer.ok) {
        message.textContent = await reason(answer);
        field.select();
        return;
      }
      field.value = "";
      dialog.onclose = null;
      dialog.close();
      resolve();
    };
    dialog.showModal();
  });
}
