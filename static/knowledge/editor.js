// The editor of articles: formatting, a preview drawn by the server, and pictures that are pasted, dropped or chosen.
// Without it the form works as it stands, and comes back with its preview when something is missing.
"use strict";

(() => {
  const editor = document.querySelector(".editor");
  const area = editor?.querySelector("textarea");
  if (!area) return;
  const shown = editor.querySelector("[data-shown]");
  const status = editor.querySelector(".editor__status");
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const first = area.value;
  let timer = 0;
  let turn = 0;

  const post = (url, data) => fetch(url, { method: "POST", body: data, headers: { "X-CSRFToken": token }, credentials: "same-origin" });

  // The answer to an older text must not replace that to a newer one.
  const preview = async () => {
    const mine = ++turn;
    const data = new FormData();
    data.append("body", area.value);
    try {
      const answer = await post(editor.dataset.preview, data);
      if (!answer.ok) throw new Error(answer.status);
      const html = await answer.text();
      if (mine === turn) { shown.innerHTML = html; shown.dataset.ready = String(mine); }
    } catch {
      if (mine === turn) status.textContent = "The preview is not to be had just now.";
    }
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(preview, 350); };

  // execCommand keeps the browser's undo, which setting the value would lose.
  const write = (text) => {
    area.focus();
    if (!document.execCommand("insertText", false, text)) area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
    soon();
  };
  const around = (before, after, words) => {
    const { selectionStart: start, selectionEnd: end } = area;
    const inner = area.value.slice(start, end) || words;
    write(before + inner + after);
    area.setSelectionRange(start + before.length, start + before.length + inner.length);
  };
  const lines = (sign) => {
    const start = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1;
    const end = area.selectionEnd;
    area.setSelectionRange(start, end);
    write(area.value.slice(start, end).split("\n").map((line, n) => sign(n) + line).join("\n"));
  };
  const WAYS = {
    heading: () => lines(() => "## "),
    bold: () => around("**", "**", "bold"),
    italic: () => around("*", "*", "italic"),
    list: () => lines(() => "- "),
    steps: () => lines((n) => `${n + 1}. `),
    link: () => around("[", "](https://)", "words"),
    table: () => write("\n| What | How long |\n| --- | ---: |\n| Standard | 3 days |\n"),
  };

  const upload = async (file) => {
    const most = Number(editor.dataset.most);
    if (file.size > most) { status.textContent = `The picture is larger than ${Math.round(most / 1048576)} MB.`; return; }
    status.textContent = "The picture is being kept…";
    const data = new FormData();
    data.append("file", file);
    try {
      const answer = await post(editor.dataset.upload, data);
      const said = await answer.json();
      if (!answer.ok) { status.textContent = `${said.message} (${said.code})`; return; }
      const name = file.name?.replace(/\.[a-z]+$/i, "").replace(/[^\p{L}\p{N} ]+/gu, " ").trim();
      write(`![${name && name !== "image" ? name : "What the picture shows"}](${said.url})\n`);
      status.textContent = "The picture is kept. Say in the brackets what it shows.";
    } catch {
      status.textContent = "The picture could not be sent.";
    }
  };
  const pictures = (list) => [...(list ?? [])].filter((file) => file.type.startsWith("image/"));

  editor.querySelector(".editor__bar").hidden = false;
  editor.querySelector(".editor__bar").addEventListener("click", (event) => { const way = event.target.closest("[data-do]"); if (way) WAYS[way.dataset.do](); });
  area.addEventListener("input", soon);
  area.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const way = { b: "bold", i: "italic", k: "link" }[event.key];
    if (way) { event.preventDefault(); WAYS[way](); }
  });
  if (editor.dataset.upload) {
    area.addEventListener("paste", (event) => {
      const found = pictures(event.clipboardData?.files);
      if (found.length) { event.preventDefault(); found.forEach(upload); }
    });
    area.addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); area.classList.add("is-over"); } });
    area.addEventListener("dragleave", () => area.classList.remove("is-over"));
    area.addEventListener("drop", (event) => {
      area.classList.remove("is-over");
      const found = pictures(event.dataTransfer?.files);
      if (found.length) { event.preventDefault(); found.forEach(upload); }
    });
    document.getElementById("e-file")?.addEventListener("change", (event) => { pictures(event.target.files).forEach(upload); event.target.value = ""; });
  }

  // Going away loses what was typed, so the browser asks.
  let leaving = false;
  area.form.addEventListener("submit", () => { leaving = true; });
  window.addEventListener("beforeunload", (event) => { if (!leaving && area.value !== first) event.preventDefault(); });
  if (area.value.trim()) preview();
})();
