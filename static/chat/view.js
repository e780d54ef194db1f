// <riskdesk-chat>: the button and the panel, in a shadow root of its own.

import { h, icon, inkOn } from "./dom.js";
import { Composer, choices, day, initials, menu, message, nameOf, note, rating, settle } from "./pieces.js";

const NAME = "riskdesk-chat";
const TOGETHER = 5 * 60_000; // messages of one author within this stand together

/** The element that carries a view. */
export function element() {
  if (!customElements.get(NAME)) customElements.define(NAME, class extends HTMLElement {});
  return document.createElement(NAME);
}

export class View {
  constructor(host, { client, words, sheet, options }) {
    Object.assign(this, { client, words, options, page: options.mode === "page", blobs: new Map() });
    this.paint = new CSSStyleSheet();
    this.root = host.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = [sheet, this.paint];
    this.build();
    this.colours();
    if (options.theme) this.frame.dataset.theme = options.theme;
    const fromRight = getComputedStyle(document.body).direction === "rtl";
    this.frame.dataset.side = fromRight === (options.position === "start") ? "right" : "left";
    if (this.page || client.keep.open) this.open({ quietly: !this.page });
    else if (client.known) client.begin();
    this.draw();
    document.addEventListener("visibilitychange", () => this.seen());
    window.addEventListener("focus", () => this.seen());
    const { visualViewport: sight } = window;
    const fit = () => {
      this.frame.style.setProperty("--tall", `${sight.height}px`); // what the keyboard of a telephone leaves
      this.frame.style.setProperty("--top", `${sight.offsetTop}px`);
    };
    for (const name of sight ? ["resize", "scroll"] : []) sight.addEventListener(name, fit);
  }

  // ---- what it is made of ----

  build() {
    const { words } = this;
    const say = (key) => words.say(key);
    this.badge = h("span", { class: "badge", "aria-hidden": "true", hidden: true });
    this.button = h("button", { type: "button", class: "launcher", "aria-expanded": "false", "aria-controls": "panel", onclick: () => this.toggle() }, icon("chat"), icon("down"), this.options.label && h("span", { class: "launcher-label" }, this.options.label), this.badge);
    this.who = h("p", { class: "head-who" });
    this.avatar = h("span", { class: "head-face", "aria-hidden": "true" });
    this.more = h("button", { type: "button", class: "head-button", "aria-label": say("menu"), "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => this.toggleMenu() }, icon("menu"));
    this.closer = !this.page && h("button", { type: "button", class: "head-button", "aria-label": say("close"), onclick: () => this.close() }, icon("close"));
    this.title = h(this.page ? "h1" : "h2", { class: "head-title", id: "title" });
    this.head = h("header", { class: "head" }, this.avatar, h("div", { class: "head-text" }, this.title, this.who), this.more, this.closer);
    this.banner = h("p", { class: "banner", role: "status", hidden: true });
    this.line = h("div", { class: "line", role: "status", hidden: true });
    this.list = h("ol", { class: "list" });
    this.typing = h("p", { class: "typing", hidden: true }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", { class: "typing-name" }));
    this.foot = h("div", { class: "after" });
    this.scroll = h("div", { class: "scroll", role: "log", tabindex: "0", "aria-label": say("log"), "aria-live": "off", onscroll: () => this.scrolled() }, this.list, this.typing, this.foot);
    this.jump = h("button", { type: "button", class: "jump", hidden: true, onclick: () => this.toEnd() }, icon("down"), say("new_messages"));
    this.over = h("div", { class: "over", hidden: true });
    this.toast = h("p", { class: "toast", role: "status" });
    this.composer = new Composer(this);
    this.panel = h("section", { class: "panel", id: "panel", role: this.page ? "region" : "dialog", "aria-labelledby": "title", hidden: true }, this.head, this.banner, this.line, h("div", { class: "middle" }, this.scroll, this.jump), this.toast, this.over, this.composer.node);
    this.news = h("p", { class: "unseen", role: "status" });
    this.frame = h("div", { class: this.page ? "frame page" : "frame", lang: words.language, dir: this.options.dir }, this.panel, !this.page && this.button, this.news);
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.root.append(this.frame);
  }

  colours() {
    const wished = this.options.colour || this.client.config.colour || "";
    const colour = /^#[0-9a-f]{6}$/i.test(wished) ? wished : "#1f5fd0";
    this.paint.replaceSync(`.frame { --brand: ${colour}; --on-brand: ${inkOn(colour)}; }`);
  }

  // ---- opening and closing ----

  open({ quietly = false } = {}) {
    if (!this.panel.hidden) return;
    this.panel.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    this.frame.dataset.open = "";
    this.client.keep.open = true;
    this.client.begin();
    this.draw();
    this.toEnd();
    if (!quietly) this.composer.focus();
  }

  close() {
    if (this.page || this.panel.hidden) return;
    this.panel.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    delete this.frame.dataset.open;
    this.client.keep.open = false;
    this.button.focus();
    this.draw();
  }

  toggle() {
    if (this.panel.hidden) this.open();
    else this.close();
  }

  key(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      if (this.menu) this.toggleMenu();
      else if (!this.over.hidden) this.sheet(null);
      else this.close();
    } else if (event.key === "Tab" && matchMedia("(max-width: 480px)").matches && !this.page) {
      this.trap(event); // it covers the page then
    } else if (this.menu && /^Arrow(Up|Down)$/.test(event.key)) {
      const items = [...this.menu.children];
      const step = event.key === "ArrowDown" ? 1 : -1;
      items[(items.indexOf(this.root.activeElement) + step + items.length) % items.length].focus();
      event.preventDefault();
    }
  }

  trap(event) {
    const stops = [...this.panel.querySelectorAll("a, button, input, select, textarea, [tabindex='0']")].filter((one) => one.offsetParent && !one.disabled);
    const [first, last] = [stops[0], stops[stops.length - 1]];
    if (this.root.activeElement !== (event.shiftKey ? first : last)) return;
    event.preventDefault();
    (event.shiftKey ? last : first).focus();
  }

  toggleMenu() {
    const closing = this.menu;
    if (closing) {
      closing.remove();
      this.menu = null;
      this.more.focus();
    } else {
      this.menu = menu(this);
      this.menu.addEventListener("focusout", (event) => {
        if (this.menu && !this.menu.contains(event.relatedTarget) && event.relatedTarget !== this.more) this.leaveMenu();
      });
      this.head.append(this.menu);
      this.menu.firstElementChild.focus();
    }
    this.more.setAttribute("aria-expanded", String(!closing));
  }

  leaveMenu() {
    const { menu: open } = this;
    this.menu = null;
    open.remove();
    this.more.setAttribute("aria-expanded", "false");
  }

  /** Lay a small form over the conversation's end, or take it away. */
  sheet(node) {
    if (this.menu) this.leaveMenu();
    this.over.hidden = !node;
    this.over.replaceChildren(...(node ? [node] : []));
    if (node) node.querySelector("input, button").focus();
    else this.composer.focus();
  }

  tell(key, facts) {
    this.toast.textContent = this.words.say(key, facts);
    clearTimeout(this.toastEnds);
    this.toastEnds = setTimeout(() => (this.toast.textContent = ""), 6_000);
  }

  wrong(error) {
    if (this.words.has(`error.${error.code}`)) return this.words.say(`error.${error.code}`);
    return error.status === 422 && error.message ? error.message : this.words.say("error");
  }

  // ---- what changed ----

  changed(what) {
    if (what === "config") this.colours();
    if (what === "session") {
      this.blobs.clear();
      this.list.replaceChildren();
    }
    if (this.drawing) return;
    this.drawing = true;
    queueMicrotask(() => {
      this.drawing = false;
      this.draw();
    });
  }

  /** Another tab wrote something, or became somebody else. */
  elsewhere(name, value) {
    if (name === "key" && this.client.keep.get("key") === null) {
      this.client.leave();
      this.close();
    }
    if (value && value.event) this.client.landed(value.id, value.event);
    this.changed("pending");
  }

  get status() {
    return this.client.status;
  }

  blob(id) {
    if (!this.blobs.has(id)) this.blobs.set(id, this.client.ask(`files/${id}`, null, { raw: true, patience: 60_000 }));
    return this.blobs.get(id);
  }

  pick(choice) {
    this.client.say(choice.send, { choice: choice.send });
    this.composer.focus();
  }

  rated() {
    this.ratedAt = this.client.cursor;
    this.tell("rate_thanks");
    this.draw();
  }

  // ---- drawing ----

  draw() {
    const stays = this.atEnd();
    this.drawHead();
    this.drawLines();
    this.drawList();
    this.drawTyping();
    this.drawBadge();
    if (stays) this.follow();
    if (this.client.loaded) setTimeout(() => this.scroll.setAttribute("aria-live", "polite"), 500);
    this.seen();
  }

  drawHead() {
    const { words, client, status } = this;
    const person = status.state === "person";
    this.title.textContent = client.config.name || words.say("chat");
    const name = status.assignee_name || words.say("agent");
    const key = { person: "with_person", waiting: status.open === false ? "left" : "looking", resolved: "ended" }[status.state];
    const bot = client.config.has_bot !== false;
    this.who.textContent = words.say(key || (bot ? "automated" : "team"), { name });
    const face = person ? initials(name) : status.state === "waiting" ? "clock" : bot ? "bot" : "chat";
    if (this.avatar.dataset.face !== face) {
      this.avatar.dataset.face = face;
      this.avatar.replaceChildren(person ? face : icon(face));
    }
  }

  drawLines() {
    const { words, client, status } = this;
    const { way } = client;
    const troubled = client.refused ? "refused" : way === "offline" || way === "polling" ? way : way === "connecting" && client.begun && client.link.tries > 0 ? "connecting" : "";
    this.banner.hidden = !troubled;
    const known = `error.${(client.refused || {}).code}`;
    const text = troubled ? words.say(words.has(known) ? known : way === "offline" && navigator.onLine ? "away" : troubled) : "";
    if (this.banner.textContent !== text) this.banner.textContent = text;
    this.frame.dataset.way = troubled || (client.link.ready ? "socket" : "idle");
    this.composer.enable(!client.refused);

    const parts = [];
    if (status.open === false && status.state === "bot" && client.config.has_bot) {
      if (status.opens_at) parts.push(words.say("back", { when: words.promise(status.opens_at) }));
    } else if (status.open === false && (status.state === "waiting" || status.state === "bot")) {
      parts.push(words.say("closed"));
      parts.push(status.answer_by ? words.say("answer_by", { when: words.promise(status.answer_by) }) : words.say("leave"));
    } else if (status.state === "waiting") {
      parts.push(status.queue_position ? words.say("queue", { n: status.queue_position }) : words.say("waiting"));
      if (status.expected_wait_minutes) parts.push(words.say("wait", { n: Math.ceil(status.expected_wait_minutes) }));
    }
    this.line.hidden = !parts.length;
    if (this.line.textContent !== parts.join(" ")) this.line.replaceChildren(...(parts.length ? [icon("clock"), h("span", {}, parts.join(" "))] : []));
  }

  drawList() {
    const { client, words, status } = this;
    const pending = client.pending;
    const wanted = [];
    let { greeting, language, quick_replies: quick } = client.config;
    if (language && language !== words.language) {
      greeting &&= words.say("greeting"); // the site wrote its own in one language
      quick = quick && quick.length && [words.say("person")];
    }
    if (greeting) wanted.push({ key: "greeting", mark: greeting, make: () => message({ author: "bot", name: client.config.name, text: greeting }, this, { first: true }) });
    const list = client.list;
    const lastOwn = list.filter((event) => event.author === "customer" && event.kind !== "rating").at(-1);
    let before = null;
    for (const [n, event] of list.entries()) {
      if (!before || new Date(before.at).toDateString() !== new Date(event.at).toDateString()) wanted.push({ key: `day${event.seq}`, mark: "", make: () => day(event.at, words) });
      if (event.kind === "message" || event.kind === "file" || (event.kind === "form" && event.text)) {
        const first = !follows(before, event);
        const state = event === lastOwn ? words.say(client.staffRead >= event.seq ? "got_read" : "sent") : "";
        const stamped = state || !follows(event, list[n + 1]);
        const asked = before && before.data && before.data.form;
        wanted.push({ key: event.client_id || `e${event.seq}`, mark: `${event.seq}${first}${event.text.length}`, state: stamped ? this.stamp(event, state) : "", make: () => message(event, this, { first, asked }) });
        before = event;
      } else if (note(event, words)) {
        wanted.push({ key: `e${event.seq}`, mark: "", make: () => note(event, words) });
        before = event;
      }
    }
    for (const entry of pending) wanted.push(this.pendingItem(entry));
    const last = list.filter((event) => event.kind === "message" || event.kind === "form").at(-1);
    const asks = (last && last.author !== "customer" && !pending.length && status.state !== "resolved" && last.data) || {};
    this.composer.asks(asks.form);
    if (asks.choices && asks.choices.length) wanted.push({ key: `choices${last.seq}`, mark: "", make: () => choices(asks.choices, this) });
    else if (!list.some((event) => event.author === "customer") && !pending.length && quick && quick.length && status.state !== "resolved") {
      wanted.push({ key: "quick", mark: quick.join(), make: () => choices(quick.map((label) => ({ label, send: label })), this) });
    }
    const fresh = list.find((event) => event.seq > (this.drawn || 0) && event.author !== "customer");
    settle(this.list, wanted);
    this.unread = (this.drawn && fresh && this.list.querySelector(`[data-key="e${fresh.seq}"]`)) || this.unread;
    if (fresh && this.drawn && !this.atEnd()) this.jump.hidden = false;
    this.drawn = client.cursor;
    this.drawRating(list);
  }

  stamp(event, state) {
    const time = this.words.time(event.at);
    return state ? `${time} · ${state}` : time;
  }

  pendingItem(entry) {
    const { words, client } = this;
    const waits = words.say(client.way === "offline" ? "kept" : "sending");
    const make = () => {
      const node = message({ author: "customer", kind: "message", text: entry.text, data: {} }, this, {});
      node.classList.add(entry.failed ? "failed" : "pending");
      if (entry.failed) {
        const why = words.has(`error.${entry.failed}`) ? words.say(`error.${entry.failed}`) : words.say("failed");
        node.lastElementChild.append(
          h("p", { class: "wrong" }, why, " ", h("button", { type: "button", class: "link", onclick: () => client.again(entry.id) }, words.say("again")), " ", h("button", { type: "button", class: "link", onclick: () => client.drop(entry.id) }, words.say("discard"))),
        );
      }
      return node;
    };
    return { key: entry.id, mark: `pending${entry.failed || ""}`, state: entry.failed ? "" : waits, make };
  }

  drawRating(list) {
    const done = list.findLast((event) => event.kind === "rating");
    const spoke = list.findLast((event) => event.author === "customer" && event.kind === "message");
    const rated = this.ratedAt !== undefined || (done && (!spoke || done.seq > spoke.seq));
    const asks = this.status.state === "resolved" && spoke;
    if (!asks) this.ratedAt = undefined;
    const shown = this.foot.dataset.shown || "";
    const wanted = asks ? (rated ? "thanks" : "rating") : "";
    if (shown === wanted) return;
    this.foot.dataset.shown = wanted;
    this.foot.replaceChildren(...(wanted === "rating" ? [rating(this)] : []), ...(wanted ? [h("p", { class: "hint" }, this.words.say("ended_hint"))] : []));
    this.toEnd();
  }

  drawTyping() {
    const { typing } = this.client;
    this.typing.hidden = !typing;
    const name = typing ? nameOf({ author: typing.who, name: typing.name }, this.words) : "";
    this.typing.lastElementChild.textContent = name && this.words.say("typing", { name });
  }

  drawBadge() {
    const read = this.client.keep.get("read") || 0;
    const n = this.panel.hidden ? this.client.list.filter((event) => event.seq > read && event.author !== "customer" && event.kind === "message").length : 0;
    this.badge.hidden = !n;
    this.badge.textContent = n > 9 ? "9+" : String(n);
    const news = n ? `${this.words.say("new_messages")}: ${n}` : "";
    if (this.news.textContent !== news) this.news.textContent = news;
    this.button.setAttribute("aria-label", !this.panel.hidden ? this.words.say("close") : n ? this.words.say("open_unread", { n }) : this.options.label || this.words.say("open"));
  }

  // ---- reading ----

  seen() {
    if (this.panel.hidden || document.visibilityState !== "visible" || !document.hasFocus()) return;
    const last = this.client.list.findLast((event) => event.author !== "customer");
    if (last) this.client.read(last.seq);
  }

  atEnd() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 80;
  }

  scrolled() {
    if (this.atEnd()) this.jump.hidden = true;
  }

  /** Stay at the end, but never past the beginning of an answer that is taller than what can be seen. */
  follow() {
    const { unread } = this;
    this.toEnd();
    this.unread = null;
    const above = unread ? this.scroll.getBoundingClientRect().top - unread.getBoundingClientRect().top : 0;
    if (above > 0) this.scroll.scrollTop -= above + 8;
  }

  toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.jump.hidden = true;
  }
}

/** Whether two events stand together: of one author, shortly after each other. */
function follows(before, event) {
  if (!before || !event || before.author !== event.author || before.name !== event.name) return false;
  return event.kind !== "rating" && new Date(event.at) - new Date(before.at) < TOGETHER;
}
