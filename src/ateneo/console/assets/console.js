// What the pages do beyond forms and links: an answer while it is written, files with their progress, questions before a deletion.
"use strict";

document.addEventListener("click", (event) => {
  const asking = event.target.closest("[data-ask]");
  if (asking && !confirm(asking.dataset.ask)) event.preventDefault();
  const mark = event.target.closest("a.cite");
  const source = mark && document.getElementById(mark.getAttribute("href").slice(1));
  if (source) source.open = true;
});

const form = document.querySelector("form.ask");
if (form) {
  const box = form.querySelector("textarea");
  const stop = form.querySelector(".stop");
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (box.value.trim() && !form.dataset.busy) answer(form, box.value, stop);
  });
}

async function answer(form, question, stop) {
  const place = document.getElementById("en-curso");
  const leaving = new AbortController();
  const title = Object.assign(document.createElement("h2"), { className: "question", textContent: question, dir: "auto" });
  const text = Object.assign(document.createElement("div"), { className: "answer working", textContent: "…", dir: "auto" });
  place.replaceChildren(title, text);
  form.dataset.busy = "yes";
  stop.hidden = false;
  stop.onclick = () => leaving.abort();
  try {
    const asked = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), signal: leaving.signal, headers: { Accept: "application/x-ndjson" },
    });
    if (asked.status === 401) return location.assign("/entrar");
    if (!(asked.headers.get("content-type") || "").startsWith("application/x-ndjson")) throw new Error(await problemOf(asked));
    let go = "", said = "";
    for await (const line of lines(asked.body)) {
      if (line.text) { said += line.text; text.textContent = said; text.classList.remove("working"); text.scrollIntoView({ block: "nearest" }); }
      if (line.problem) problem(place, line.problem);
      if (line.go) go = line.go;
    }
    if (go) location.assign(go + "#fin");
    if (go && location.pathname === go) location.reload();
  } catch (error) {
    if (error.name !== "AbortError") problem(place, error.message);
  } finally {
    delete form.dataset.busy;
    stop.hidden = true;
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const whole = (rest + part.value).split("\n");
    rest = whole.pop();
    for (const line of whole) if (line) yield JSON.parse(line);
  }
}

async function problemOf(response) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("[role=alert]")?.textContent.trim() || String(response.status);
}

function problem(place, said) {
  place.append(Object.assign(document.createElement("p"), { className: "notice bad", role: "alert", textContent: said }));
}

const upload = document.querySelector("form.upload");
if (upload) {
  const drop = upload.querySelector(".drop"), files = upload.querySelector("input[type=file]");
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle("over", name === "dragover"); });
  }
  drop.addEventListener("drop", (event) => send(upload, event.dataTransfer.files));
  upload.addEventListener("submit", (event) => { event.preventDefault(); send(upload, files.files); });
}

async function send(form, files) {
  const list = form.querySelector(".progress"), told = document.getElementById("carga");
  const rows = [...files].map((file) => {
    const row = document.createElement("li");
    row.append(Object.assign(document.createElement("bdi"), { textContent: file.name }), document.createElement("progress"));
    list.append(row);
    return row;
  });
  for (const [at, file] of [...files].entries()) {
    const page = await sendOne(form.action, file, rows[at].querySelector("progress"));
    rows[at].remove();
    if (page === null) return location.assign("/entrar");
    told.append(...page.querySelectorAll("#carga > *, main > .notice"));
    const listed = page.getElementById("lista");
    if (listed) document.getElementById("lista").replaceWith(listed);
  }
  form.reset();
}

function sendOne(action, file, bar) {
  return new Promise((done) => {
    const request = new XMLHttpRequest(), body = new FormData();
    body.append("file", file);
    request.upload.onprogress = (event) => { if (event.loaded < event.total) { bar.max = event.total; bar.value = event.loaded; } else bar.removeAttribute("value"); };
    request.onloadend = () => done(request.status === 401 ? null : new DOMParser().parseFromString(request.responseText, "text/html"));
    request.open("POST", action);
    request.send(body);
  });
}
