// The parts of the panel: words, cards, choices, files, small forms, and where the visitor writes. `view` is the View they
// stand in.

import { h, icon, linked } from "./dom.js";
import { uuid } from "./keep.js";
import { backoff, pause } from "./wires.js";

const ASKED = ["email", "phone", "code"]; // what the bot may ask for and keeps out of the conversation

/** Who an event is from, as the visitor calls them. */
export function nameOf(event, words) {
  if (event.author === "customer") return words.say("you");
  return event.name || words.say(event.author);
}

/** A message of the visitor, the bot or a person; `asked`: it gives what the bot asked for. */
export function message(event, view, { first, asked }) {
  const { words } = view;
  const own = event.author === "customer";
  const who = nameOf(event, words);
  const data = event.data || {};
  return h(
    "li",
    { class: `said ${own ? "own" : "theirs"} by-${event.author}${first ? " first" : ""}` },
    !own && h("span", { class: "face", "aria-hidden": "true" }, event.author === "bot" ? icon("bot") : initials(who)),
    h(
      "div",
      { class: "saying" },
      h("span", { class: "unseen" }, words.say("said", { who })),
      first && !own && h("p", { class: "who", "aria-hidden": "true" }, who),
      event.text && event.text !== (data.file || {}).name && h("div", { class: "bubble", dir: "auto" }, linked(event.text)),
      data.file && file(data.file, view),
      (data.articles || []).map((article) => card(article, words, plain(event.text))),
      own && (data.masked || []).length > 0 && masked(data.masked, words, asked),
      h("p", { class: "state" }),
    ),
  );
}

/** One or two letters for a person. */
export function initials(name) {
  const letters = name.split(/\s+/).map((word) => [...word][0] || "");
  return letters.slice(0, 2).join("").toLocaleUpperCase();
}

function masked(kinds, words, asked) {
  const used = asked && kinds.every(({ kind }) => ASKED.includes(kind)); // a password was never asked for
  const names = kinds.map(({ kind }) => words.say(`masked.${kind}`));
  const what = new Intl.ListFormat(words.language).format(names);
  return h("p", { class: "masked" }, icon("shield"), h("span", {}, words.say(used ? "masked_asked" : "masked", { what })));
}

const plain = (text) => (text || "").replace(/\s+/g, " ").trim();

/** An article; its beginning is left out where the words above it, `said`, are the same. */
function card(article, words, said) {
  const excerpt = plain(article.excerpt);
  const again = excerpt && said.includes(excerpt.replace(/\u2026$/, ""));
  const web = /^https?:\/\//.test(article.url || "");
  const body = [
    h("span", { class: "card-kind" }, icon("article"), words.say("article")),
    h("span", { class: "card-title", dir: "auto" }, article.title),
    excerpt && !again && h("span", { class: "card-text", dir: "auto" }, excerpt),
    article.updated && h("span", { class: "card-date" }, words.say("updated", { date: words.dateOf(article.updated) })),
  ];
  if (!web) return h("div", { class: "card" }, body);
  const link = { class: "card", href: article.url, target: "_blank", rel: "noopener noreferrer" };
  return h("a", link, body, h("span", { class: "unseen" }, `(${words.say("new_tab")})`));
}

/** Choices under the bot's last words. */
export function choices(list, view) {
  return h(
    "li",
    { class: "choices" },
    h("span", { class: "unseen" }, view.words.say("choices")),
    list.map((choice) => h("button", { type: "button", class: "chip", dir: "auto", onclick: () => view.pick(choice) }, choice.label)),
  );
}

/** A change that is worth a line. Null where it is not. */
export function note(event, words) {
  const { what, team, score } = event.data || {};
  const key = event.kind === "rating" ? "rated" : `what_${what}`;
  const facts = { name: event.name || words.say("agent"), team, rating: score && words.say(`rate_${score}`) };
  const text = words.has(key) ? words.say(key, facts) : event.text;
  return text ? h("li", { class: "note" }, h("span", { dir: "auto" }, text)) : null;
}

export function day(moment, words) {
  return h("li", { class: "day" }, h("span", {}, words.dayOf(moment)));
}

function file(facts, view) {
  const { words } = view;
  const size = words.size(facts.size || 0);
  const save = () => view.blob(facts.id).then((blob) => hand(blob, facts.name), () => view.tell("error"));
  const button = h(
    "button",
    { type: "button", class: "file", "aria-label": words.say("download", { name: facts.name, size }), onclick: save },
    icon("file"),
    h("span", { class: "file-name", dir: "auto" }, facts.name),
    h("span", { class: "file-size" }, size),
  );
  if (!/^image\/(png|jpeg|gif|webp)$/.test(facts.content_type || "")) return button;
  const picture = h("canvas", { class: "picture", role: "img", "aria-label": facts.name, width: 1, height: 1 });
  view.blob(facts.id).then((blob) => paint(picture, blob)).catch(() => picture.remove());
  return h("div", { class: "pictured" }, picture, button);
}

/** A picture drawn, not linked: the page's policy for images has nothing to say about a canvas. */
async function paint(canvas, blob) {
  const image = await createImageBitmap(blob);
  const scale = Math.min(1, 560 / image.width, 560 / image.height);
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
}

function hand(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Bring a list in line with what it should hold; what stays the same stays in place, for focus and screen readers. */
export function settle(list, wanted) {
  const known = new Map([...list.children].map((node) => [node.dataset.key, node]));
  let at = list.firstElementChild;
  for (const { key, mark, make, state } of wanted) {
    let node = known.get(key);
    if (node && node.dataset.mark !== mark) {
      const fresh = make();
      if (at === node) at = fresh;
      node.replaceWith(fresh);
      node = fresh;
    }
    node ||= make();
    node.dataset.key = key;
    node.dataset.mark = mark;
    known.delete(key);
    const line = state !== undefined && node.querySelector(".state");
    if (line && line.dataset.state !== state) {
      line.dataset.state = state;
      line.textContent = state;
    }
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
  }
  for (const node of known.values()) node.remove();
}

// ---- forms ----

/** How it was, from 1 to 5, with a comment. */
export function rating(view) {
  const { words } = view;
  const more = h("div", { class: "more", hidden: true });
  const chosen = () => {
    more.hidden = false;
    view.toEnd();
  };
  const marks = [1, 2, 3, 4, 5].map((score) =>
    h(
      "label",
      { class: "mark" },
      h("input", { type: "radio", name: "score", value: String(score), required: true, class: "unseen", onchange: chosen }),
      icon(`face${score}`),
      h("span", {}, words.say(`rate_${score}`)),
    ),
  );
  more.append(
    h("label", {}, h("span", {}, words.say("rate_comment")), h("textarea", { name: "comment", rows: "2", maxlength: "1000", dir: "auto" })),
    h("div", { class: "row" }, h("button", { class: "solid" }, words.say("rate_send"))),
  );
  const send = (form) => view.client.ask("rating", { score: Number(form.get("score")), comment: form.get("comment") });
  const body = [h("fieldset", { class: "marks" }, h("legend", {}, words.say("rate")), marks), more];
  return posting(view, { class: "sheet rating" }, body, send, () => view.rated());
}

/** Where the transcript shall go. */
export function transcript(view) {
  const { words } = view;
  const known = view.email || "";
  const body = [
    h("label", {}, h("span", {}, words.say("transcript_to")), h("input", { type: "email", name: "email", required: true, autocomplete: "email", value: known })),
    h("div", { class: "row" }, h("button", { class: "solid" }, words.say("transcript_send")), back(view)),
  ];
  const send = (form) => view.client.ask("transcript", { email: form.get("email") });
  return posting(view, { class: "sheet", "aria-label": words.say("transcript") }, body, send, () => {
    view.sheet(null);
    view.tell("transcript_done");
  });
}

/** Whether it shall really end. */
export function ending(view) {
  const { words } = view;
  const answer = (helped, key) => h("button", { class: helped ? "solid" : "plain", name: "helped", value: helped ? "yes" : "" }, words.say(key));
  const body = [
    h("p", {}, words.say("end_ask")),
    h("div", { class: "row" }, answer(true, "end_helped"), answer(false, "end_not"), back(view)),
  ];
  const send = (form) => view.client.ask("end", { helped: Boolean(form.get("helped")) });
  return posting(view, { class: "sheet", "aria-label": words.say("end") }, body, send, () => view.sheet(null));
}

function back(view) {
  return h("button", { type: "button", class: "plain", onclick: () => view.sheet(null) }, view.words.say("cancel"));
}

/** A form that posts once, says what went wrong, and stays as it was filled. */
function posting(view, given, body, send, done) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  let busy = false;
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target, event.submitter);
    wrong.textContent = "";
    if (busy) return;
    busy = true;
    try {
      await send(form);
      done();
    } catch (error) {
      wrong.textContent = view.wrong(error);
    }
    busy = false;
  };
  return h("form", { ...given, onsubmit: submit }, body, wrong);
}

/** The menu behind the three dots. */
export function menu(view) {
  const { words } = view;
  const item = (name, key, action) =>
    h("button", { type: "button", role: "menuitem", tabindex: "-1", onclick: action }, icon(name), h("span", {}, words.say(key)));
  return h(
    "div",
    { class: "menu", role: "menu", "aria-label": words.say("menu") },
    item("mail", "transcript", () => view.sheet(transcript(view))),
    view.status.state !== "resolved" && item("end", "end", () => view.sheet(ending(view))),
  );
}

// ---- where the visitor writes: the text, the button, files ----

const TELL = 3_000; // ms between two notes that somebody types
const ACCEPT = ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"];
const MOST_BYTES = 10 * 1_048_576;

export class Composer {
  constructor(view) {
    this.view = view;
    const { words } = view;
    const say = (key) => words.say(key);
    this.text = h("textarea", {
      rows: "1",
      dir: "auto",
      maxlength: "4000",
      placeholder: say("write"),
      "aria-label": say("write"),
      autocomplete: "off",
      enterkeyhint: "send",
      oninput: () => this.typed(),
      onkeydown: (event) => this.key(event),
      onblur: () => this.writes(false),
      onpaste: (event) => this.files(event.clipboardData.files, event),
    });
    this.picker = h("input", { type: "file", class: "unseen", tabindex: "-1", "aria-hidden": "true", multiple: true, onchange: () => this.files(this.picker.files) });
    this.attach = h("button", { type: "button", class: "round", "aria-label": say("attach"), onclick: () => this.picker.click() }, icon("attach"));
    this.button = h("button", { class: "round solid", "aria-label": say("send") }, icon("send"));
    this.node = h(
      "form",
      { class: "composer", onsubmit: (event) => this.send(event) },
      h("div", { class: "box" }, this.attach, this.picker, this.text, this.button),
      h("p", { class: "privacy" }, say("privacy")),
    );
    this.text.value = view.client.keep.draft;
    this.node.addEventListener("dragover", (event) => event.preventDefault());
    this.node.addEventListener("drop", (event) => this.files(event.dataTransfer.files, event));
    this.grow();
  }

  /** What the bot asks for, if it is one detail: the field says so, and the telephone shows the fitting keys. */
  asks(form) {
    const field = (form && form.field) || "";
    if (this.asked === field) return;
    this.asked = field;
    const label = field ? form.label : this.view.words.say("write");
    const code = field === "code";
    const facts = { placeholder: label, "aria-label": label, inputmode: code ? "numeric" : field === "contact" ? "email" : "text", autocomplete: code ? "one-time-code" : field === "contact" ? "email" : "off" };
    for (const [name, value] of Object.entries(facts)) this.text.setAttribute(name, value);
  }

  focus() {
    this.text.focus();
  }

  enable(on) {
    this.text.disabled = this.attach.disabled = this.button.disabled = !on;
  }

  key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    this.send(event);
  }

  send(event) {
    event.preventDefault();
    const text = this.text.value.trim();
    if (!text) return;
    this.text.value = "";
    this.view.client.keep.draft = "";
    this.writes(false);
    this.grow();
    this.view.client.say(text);
    this.view.toEnd();
  }

  typed() {
    this.grow();
    this.view.client.keep.draft = this.text.value;
    this.writes(Boolean(this.text.value.trim()));
  }

  /** Tell the other side, and not more often than they need. */
  writes(on) {
    const now = Date.now();
    if (on && now - (this.toldAt || 0) < TELL) return;
    if (!on && !this.toldAt) return;
    this.toldAt = on ? now : 0;
    this.view.client.writes(on);
  }

  grow() {
    this.text.rows = 1;
    const line = parseFloat(getComputedStyle(this.text).lineHeight) || 21;
    this.text.rows = Math.min(6, Math.max(1, Math.round((this.text.scrollHeight - 16) / line) || 1));
  }

  files(list, event) {
    const files = [...list];
    if (!files.length) return;
    if (event) event.preventDefault();
    this.picker.value = "";
    for (const file of files.slice(0, 5)) this.upload(file);
  }

  /** Sent again under the same id if the way was bad, which stores it once. */
  async deliver(form, tries = 0) {
    try {
      return await this.view.client.ask("files", form, { patience: 120_000 });
    } catch (error) {
      if (!error.passing || error.status === 429 || tries > 3) throw error;
      await pause(backoff(tries + 1));
      return this.deliver(form, tries + 1);
    }
  }

  async upload(file) {
    const { view } = this;
    const { config } = view.client;
    const most = config.max_bytes || MOST_BYTES;
    if (file.size > most) return view.tell("too_large", { name: file.name, size: view.words.size(most) });
    const accept = config.accept || ACCEPT;
    if (file.type && !file.type.startsWith("text/") && !accept.includes(file.type)) return view.tell("wrong_type", { name: file.name });
    view.tell("uploading", { name: file.name });
    const form = new FormData();
    form.append("client_msg_id", uuid());
    form.append("file", file, file.name);
    try {
      const stored = await this.deliver(form);
      view.client.landed(stored.client_msg_id, stored.event);
      view.toast.textContent = "";
    } catch (error) {
      view.tell(error.status === 415 || error.code === "wrong_type" ? "wrong_type" : "upload_failed", { name: file.name });
    }
    return undefined;
  }
}
