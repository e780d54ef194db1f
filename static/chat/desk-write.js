// Writing: replies and private notes, drafts, what is on its way, and what could not be sent yet.
"use strict";

(() => {
  const form = document.getElementById("desk-write");
  if (!form) return;
  const { state, el, icon, ask, here } = Desk;
  const [text, attachedBox, sendButton, hint] = ["desk-text", "desk-attached", "desk-send", "desk-hint"].map((id) => document.getElementById(id));
  const modes = [...form.querySelectorAll("[data-mode]")];
  const waiting = new Map();  // by conversation: what is on its way
  const drafts = new Map();  // by conversation and mode
  let mode = "reply", attached = [], typingSince = 0, typingTimer = 0, shownFor = "", coming = null;

  const busy = () => document.activeElement === text && text.value.trim() !== "" && Date.now() - typingSince < 5000;
  const draftKey = () => `${state.open} ${mode}`;

  const grow = () => { text.rows = Math.min(10, Math.max(2, text.value.split("\n").length + (text.value.length > 400 ? 3 : 0))); };

  const choose = (wanted) => {
    drafts.set(draftKey(), text.value);
    mode = wanted;
    text.value = drafts.get(draftKey()) || "";
    grow();
    show();
  };

  const show = () => {
    const head = state.head;
    if (!head) return;
    const may = new Set(head.may);
    const canReply = may.has("reply") || coming !== null;
    form.hidden = !head.may.length;
    form.classList.toggle("desk-write--note", mode === "note");
    form.classList.toggle("desk-write--blocked", mode === "reply" && !canReply);
    modes.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.mode === mode)));
    const blocked = mode === "reply" && !canReply;
    text.disabled = blocked;
    if (blocked) text.rows = 1; else grow();
    sendButton.disabled = blocked;
    sendButton.textContent = mode === "note" ? "Save note" : "Send";
    text.placeholder = mode === "note" ? "A note for your colleagues; the customer never sees it" : canReply ? `Write to ${head.who}` : may.has("reopen") ? "Resolved. Reopen it (o) to write" : head.state === "person" ? `${head.assignee.first} has this conversation. Take it over (t) to write` : "Take it (t) to write";
    text.setAttribute("aria-label", mode === "note" ? "Private note" : "Reply");
    hint.textContent = blocked ? "" : mode === "note" ? "Enter saves, Shift + Enter makes a new line" : "Enter sends, Shift + Enter makes a new line";
    form.querySelectorAll("[data-do=canned], [data-do=articles], [data-do=file]").forEach((one) => { one.hidden = mode === "note" || !canReply; });
    attachedBox.hidden = mode === "note" || !attached.length;
  };

  // Called whenever the open conversation or its state may have changed.
  const refresh = () => {
    if (shownFor !== state.open) {
      if (shownFor) drafts.set(`${shownFor} ${mode}`, text.value);
      shownFor = state.open;
      mode = "reply";
      attached = [];
      drawAttached();
      text.value = drafts.get(draftKey()) || "";
      grow();
    }
    show();
  };

  const focus = (wanted) => {
    if (wanted && wanted !== mode) choose(wanted);
    show();
    if (!text.disabled) { text.focus(); text.setSelectionRange(text.value.length, text.value.length); } else if (wanted === "reply") Desk.toast(text.placeholder);
  };

  // The conversation is about to be this person's: what is typed meanwhile is text already, and waits for the answer.
  const expect = async (work) => {
    coming = work;
    focus("reply");
    const trouble = await work;
    if (coming === work) coming = null;
    show();
    if (trouble) text.blur();
    return trouble;
  };

  const insert = (words) => {
    const start = text.selectionStart ?? text.value.length;
    text.setRangeText(words, start, text.selectionEnd ?? start, "end");
    grow();
    text.focus();
  };

  const drawAttached = () => {
    attachedBox.replaceChildren(...attached.map((article) => el("li.chip", {}, icon("book"), article.title,
      el("button", { type: "button", "aria-label": `Leave out ${article.title}`, onclick: () => { attached = attached.filter((one) => one !== article); drawAttached(); text.focus(); } }, icon("x")))));
    attachedBox.hidden = !attached.length;
  };
  const attach = (article) => {
    if (!attached.some((one) => one.version === article.version)) attached = [...attached, article].slice(-3);
    drawAttached();
    if (!text.value.trim()) insert("This should help: ");
    text.focus();
  };

  // crypto.randomUUID exists on secure pages only.
  const newId = () => { const b = crypto.getRandomValues(new Uint8Array(16)); b[6] = (b[6] & 15) | 64; b[8] = (b[8] & 63) | 128; const h = [...b].map((one) => one.toString(16).padStart(2, "0")).join(""); return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`; };

  const submit = () => {
    const words = text.value.trim();
    if (!words || text.disabled || !state.open) return;
    const one = { id: newId(), at: state.open, what: mode, words, articles: mode === "reply" ? attached : [], failed: "", tries: 0 };
    waiting.set(one.at, [...(waiting.get(one.at) || []), one]);
    text.value = "";
    drafts.delete(draftKey());
    attached = [];
    drawAttached();
    grow();
    stopTyping();
    Desk.talk.drawLog();
    Desk.talk.follow();
    next(one.at);
  };

  // One after the other, so that they arrive in the order in which they were written.
  const sending = new Set();
  const next = async (id) => {
    const one = (waiting.get(id) || [])[0];
    if (!one || one.failed || sending.has(id)) return;
    sending.add(id);
    let wait = 0;
    try {
      if (coming) await coming;
      const body = { client_id: one.id, text: one.words, articles: one.articles.map((article) => article.version), after: id === state.open ? state.seq : 0 };
      const found = await ask(here(id, `do/${one.what}/`), body);
      drop(one);
      if (id === state.open) Desk.talk.take(found);
    } catch (error) {
      const again = !(error instanceof Desk.Refused) || error.status === 429 || error.status >= 500;
      one.tries += 1;
      if (again) wait = Math.max((error.wait || 0) * 1000, Math.min(15000, 1000 * 2 ** Math.min(one.tries, 4)));
      else one.failed = error.message;
      one.late = again;
    } finally { sending.delete(id); }
    if (id === state.open) Desk.talk.drawLog();
    setTimeout(() => next(id), wait);
  };
  const drop = (one) => waiting.set(one.at, (waiting.get(one.at) || []).filter((other) => other !== one));
  const stored = (id) => { const found = id && (waiting.get(state.open) || []).find((one) => one.id === id); if (found) drop(found); };

  const pending = () => (waiting.get(state.open) || []).map((one) => el(`div.desk-said.desk-said--ours.desk-said--${one.what === "note" ? "note" : "agent"}.desk-said--pending${one.failed ? ".desk-said--failed" : ""}`, {},
    el("div.desk-said__body", {}, el("p.desk-said__text", {}, one.words)),
    el("p.desk-said__foot", {}, one.failed ? [one.failed, " ", el("button.btn.btn--small", { type: "button", onclick: () => { one.failed = ""; next(one.at); Desk.talk.drawLog(); } }, "Try again"), el("button.btn.btn--small.btn--ghost", { type: "button", onclick: () => { drop(one); text.value = text.value || one.words; grow(); Desk.talk.drawLog(); } }, "Take back")] : one.late ? "Not sent yet, trying again…" : "Sending…")));

  // Files go at once, under an id of their own, so that one sent twice is stored once.
  const sendFile = async (file) => {
    const id = state.open, form = new FormData();
    form.append("client_id", newId());
    form.append("after", String(state.seq));
    form.append("file", file, file.name);
    Desk.toast(`Sending ${file.name}…`);
    try {
      const found = await ask(here(id, "files/"), form);
      if (id === state.open) Desk.talk.take(found);
    } catch (error) { Desk.toast(error instanceof Desk.Refused ? `${file.name}: ${error.message}` : `${file.name} could not be sent. Try again.`, "bad"); }
  };
  const picker = document.getElementById("desk-file");
  picker.addEventListener("change", () => { [...picker.files].slice(0, 5).forEach(sendFile); picker.value = ""; });
  text.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length || mode === "note") return;
    event.preventDefault();
    files.slice(0, 5).forEach(sendFile);
  });

  const stopTyping = () => {
    clearTimeout(typingTimer);
    if (typingSince && state.open) Desk.live.typing(state.open, false, mode === "note");
    typingSince = 0;
  };

  modes.forEach((one) => one.addEventListener("click", () => focus(one.dataset.mode)));
  form.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  text.addEventListener("input", () => {
    grow();
    if (text.value === "/" && mode === "reply") { text.value = ""; Desk.pick.canned(); return; }
    if (Date.now() - typingSince > 3000 && state.open) { typingSince = Date.now(); Desk.live.typing(state.open, true, mode === "note"); }
    clearTimeout(typingTimer);
    typingTimer = setTimeout(stopTyping, 4000);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); } else if (event.key === "Escape") { event.preventDefault(); stopTyping(); text.blur(); document.getElementById("desk-log").focus({ preventScroll: true }); } else if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); Desk.pick.articles(); }
  });
  window.addEventListener("beforeunload", (event) => { if ([...waiting.values()].some((list) => list.length)) event.preventDefault(); });

  Desk.write = { mode: refresh, focus, expect, insert, attach, stored, pending, busy, canReply: () => Boolean(state.head?.may.includes("reply")) };
})();
