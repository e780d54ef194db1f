// Where the visitor writes: the text, the button, files.

import { h, icon } from "./dom.js";
import { uuid } from "./keep.js";
import { backoff, pause } from "./wires.js";

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
