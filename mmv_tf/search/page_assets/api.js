// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Shows the OpenAPI document; all of it is text, never HTML.

function element(name, content, ...children) {
  const made = document.createElement(name);
  if (content) made.textContent = content;
  made.append(...children);
  return made;
}

function table(head, rows) {
  const body = rows.map((cells) => element("tr", "", ...cells.map((cell) => element("td", cell))));
  const top = element("tr", "", ...head.map((name) => {
    const cell = element("th", name);
    cell.scope = "col";
    return cell;
  }));
  return element("table", "", element("thead", "", top), element("tbody", "", ...body));
}

function kind(schema) {
  if (schema.enum) return schema.enum.join(" or ");
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  return schema.type ?? "any";
}

function shape(title, schema) {
  const shown = element("details", "", element("summary", title));
  shown.append(element("pre", JSON.stringify(schema, null, 1)));
  return shown;
}

function endpoint(path, method, operation) {
  const section = element("section");
  section.append(element("h2", "", element("code", `${method.toUpperCase()} ${path}`)));
  section.append(element("p", operation.description));
  if (operation.parameters.length) {
    section.append(table(["parameter", "in", "value", "meaning"], operation.parameters.map((one) => [
      one.required ? `${one.name} (required)` : one.name, one.in, kind(one.schema), one.description ?? "",
    ])));
  }
  for (const [type, body] of Object.entries(operation.requestBody?.content ?? {})) {
    section.append(shape(`Body, ${type}`, body.schema));
  }
  for (const [status, answer] of Object.entries(operation.responses)) {
    for (const [type, content] of Object.entries(answer.content ?? {})) {
      if (status < 400) section.append(shape(`Answer ${status}, ${type}`, content.schema ?? {}));
    }
  }
  const errors = Object.entries(operation.responses).filter(([status]) => status >= 400);
  const list = element("details", "", element("summary", "Errors"));
  list.append(table(["status", "meaning"], errors.map(([status, one]) => [status, one.description])));
  section.append(list);
  return section;
}

async function show() {
  document.getElementById("example").textContent =
    `curl '${location.origin}/api/v1/search?q=a+dog&limit=3'`;
  const answer = await fetch("/api/v1/openapi.json");
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const described = await answer.json();
  const sections = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => endpoint(path, method, operation)));
  document.getElementById("endpoints").replaceChildren(...sections);
}

show().catch((error) => {
  const message = element("p", error.message);
  message.setAttribute("role", "alert");
  document.getElementById("endpoints").replaceChildren(message);
});
