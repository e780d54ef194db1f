// One visitor's conversation as this tab knows it. The server's order (`seq`) is the truth; events after `cursor` are
// the one way for the first load, for coming back, for gaps and for polling.

import { subject, uuid } from "./keep.js";
import { Api, Link, Refusal, backoff, pause } from "./wires.js";

const SOON = 3_000; // ms without a socket after which polling begins
const POLL = 3_000;
const POLL_HIDDEN = 15_000;
const OVERDUE = 12_000; // an unacknowledged message is sent again; the server knows it by its id

export class Client {
  /** change(what): something to show changed: link, events, pending, status, typing, config or session. */
  constructor({ server, site, language, identity, keep, change }) {
    Object.assign(this, { keep, language, identity: identity || "", change });
    this.api = new Api(`${server}/chat/${site}/`);
    this.link = new Link({
      address: `${server.replace(/^http/, "ws")}/ws/chat/${site}/`,
      hello: () => ({ type: "hello", token: this.api.token, after: this.cursor, protocol: 1 }),
      take: (frame) => this.take(frame),
      tell: () => this.linked(),
      unknown: () => this.renew(),
    });
    this.reset();
    window.addEventListener("online", () => this.poll(true));
    window.addEventListener("offline", () => this.change("link"));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.poll(true));
  }

  reset() {
    this.events = new Map(); // seq -> event
    this.cursor = 0;
    this.status = {};
    this.config = (this.keep.get("session") || {}).config || {};
    this.staffRead = 0;
    this.typing = null;
    this.flying = new Map(); // client_msg_id -> when it went to the socket
    this.loaded = false;
    this.pollFails = 0;
    this.polled = false; // the last poll came through
  }

  get known() {
    return Boolean(this.keep.get("session"));
  }

  /** How it is connected: socket, polling, connecting or offline. */
  get way() {
    if (this.link.ready) return "socket";
    if (navigator.onLine === false) return "offline";
    if (this.polled) return "polling";
    return this.pollFails > 1 ? "offline" : "connecting";
  }

  // ---- the session ----

  /** Open or take up the session, then connect. Tries until it works, unless the server says that it never will. */
  async begin() {
    if (this.begun) return;
    this.begun = true;
    this.refused = null;
    const kept = this.keep.get("session");
    if (kept) this.api.token = kept.token;
    const same = kept && subject(kept.identity) === subject(this.identity);
    if (!same && !(await this.renew())) return;
    this.downSince = Date.now();
    this.link.open();
    this.schedule(500);
  }

  async renew() {
    if (this.renewing) return this.renewing;
    this.renewing = this.open().finally(() => (this.renewing = null));
    return this.renewing;
  }

  async open() {
    for (let tries = 0; this.begun; tries += 1) {
      try {
        const body = { client_key: this.keep.key(), identity: this.identity, language: this.language };
        const opened = await this.api.call("session", body);
        const other = this.link.wanted && this.api.token !== opened.token;
        this.api.token = opened.token;
        this.config = opened.config || {};
        this.keep.set("session", { token: opened.token, identity: this.identity, config: this.config });
        if (this.conversation && this.conversation !== opened.conversation) this.restart();
        this.conversation = opened.conversation;
        if (other) {
          this.link.close();
          this.link.open();
        }
        this.learn(opened);
        this.change("config");
        return true;
      } catch (error) {
        if (error.code === "identity_changed" && tries < 3) {
          this.keep.clear(); // somebody else sat here before; a new key begins a session of one's own
          this.restart();
          continue;
        }
        if (!error.passing) return this.stop(error);
        this.pollFails = tries + 1;
        this.change("link");
        await pause(Math.max(backoff(tries), error.wait * 1_000));
      }
    }
    return false;
  }

  /** A request that waits for the session, and opens it again if it is over. */
  async ask(...given) {
    if (!this.api.token) await this.renew();
    try {
      return await this.api.call(...given);
    } catch (error) {
      if (error.status !== 401 || !(await this.renew())) throw error;
      return this.api.call(...given);
    }
  }

  stop(error) {
    this.refused = error;
    this.begun = false;
    this.link.close();
    this.change("refused");
    return false;
  }

  /** Show nothing of the earlier conversation any more. */
  restart() {
    this.reset();
    this.change("session");
  }

  /** The page says who its visitor is; a different person than before begins from nothing. */
  async identify(identity) {
    const kept = this.keep.get("session");
    const before = subject((kept || {}).identity);
    this.identity = identity || "";
    const now = subject(this.identity);
    if (kept && before && before !== now) return this.forget(this.begun);
    if (this.refused) await this.begin();
    else if (this.begun && now && before !== now) await this.renew();
    return undefined;
  }

  /** Leave nothing in this browser, such as when the page's user logs out; `again`: begin anew as whoever it is now. */
  forget(again) {
    this.keep.clear();
    this.leave();
    if (again) this.begin();
  }

  /** Be nobody in this tab. */
  leave() {
    this.begun = false;
    this.link.close();
    clearTimeout(this.timer);
    this.api.token = "";
    this.conversation = "";
    this.restart();
  }

  // ---- what comes in ----

  take(frame) {
    switch (frame.type) {
      case "ready":
        this.flying.clear();
        this.learn(frame);
        this.flush();
        break;
      case "events":
        this.gather(frame);
        break;
      case "ack":
        this.landed(frame.client_msg_id, frame.event);
        break;
      case "refused":
        this.turnedDown(frame.client_msg_id, new Refusal(frame.retry_after ? 429 : 422, frame.code, frame.message, frame.retry_after));
        break;
      case "typing":
        this.types(frame);
        break;
      case "read":
      case "status":
        this.learn(frame.type === "read" ? { staff_read_seq: frame.seq } : { status: frame });
        break;
      case "pong":
        this.repair(frame.seq);
        this.resend();
        break;
    }
  }

  learn({ config, status, state, staff_read_seq: read, seq }) {
    if (config) this.config = config;
    if (status || state) this.status = { ...this.status, ...(state && { state }), ...status };
    this.staffRead = Math.max(this.staffRead, read || 0);
    if (seq === 0) this.loaded = true;
    this.change("status");
  }

  /**
   * Events in any order, any number of times: what is known is known. They follow on `after`, up to `seq` nothing is
   * missing then, and `last` is the conversation's last. What is for staff alone never comes, though it has a number.
   */
  gather({ events, seq, after = this.cursor, last = seq }) {
    if (after > this.cursor) this.repair(after);
    else this.cursor = Math.max(this.cursor, seq);
    for (const event of events) this.keepEvent(event);
    if (last > seq) this.repair(last);
    else this.loaded = true;
    if (events.some((event) => event.author !== "customer")) this.link.send({ type: "got", seq: this.cursor });
    this.change("events");
  }

  keepEvent(event) {
    this.events.set(event.seq, event);
    if (event.client_id) this.sent(event.client_id, event);
    if (event.author === "agent" || event.author === "bot") this.typing = null;
  }

  /** Ask for what is missing up to `seq`. */
  repair(seq) {
    if (seq > this.cursor) this.link.send({ type: "after", seq: this.cursor });
  }

  types(frame) {
    clearTimeout(this.typingEnds);
    this.typing = frame.on ? frame : null;
    if (frame.on) this.typingEnds = setTimeout(() => this.types({ on: false }), 7_000);
    this.change("typing");
  }

  get list() {
    return [...this.events.values()].sort((a, b) => a.seq - b.seq);
  }

  // ---- what goes out ----

  /** Keep a message until the server has stored it. */
  say(text, data) {
    this.keep.put({ id: uuid(), text, ...(data && { data }) });
    this.change("pending");
    this.flush();
  }

  get pending() {
    return this.keep.outbox();
  }

  flush() {
    if (Date.now() < (this.holdUntil || 0)) return;
    if (!this.link.ready) return void this.flushByHttp();
    for (const entry of this.pending) {
      if (entry.failed || this.flying.has(entry.id)) continue;
      const sent = this.link.send({ type: "message", client_msg_id: entry.id, text: entry.text, ...(entry.data && { data: entry.data }) });
      if (sent) this.flying.set(entry.id, Date.now());
    }
  }

  /** One after another, so that they stay in order; stops at the first that does not get through. */
  async flushByHttp() {
    if (this.posting || !this.polled || !this.api.token) return;
    this.posting = true;
    try {
      for (const entry of this.pending.filter((one) => !one.failed)) {
        if (this.link.ready) break;
        const stored = await this.api.call("messages", { client_msg_id: entry.id, text: entry.text, ...(entry.data && { data: entry.data }) });
        this.landed(entry.id, stored.event);
      }
    } catch (error) {
      const first = this.pending.find((one) => !one.failed);
      this.turnedDown(first && first.id, error);
    } finally {
      this.posting = false;
    }
    if (this.link.ready) this.flush();
  }

  resend() {
    for (const [id, at] of this.flying) if (Date.now() - at > OVERDUE) this.flying.delete(id);
    this.flush();
  }

  landed(id, event) {
    this.sent(id, event);
    if (event) {
      if (event.seq === this.cursor + 1) this.cursor = event.seq;
      this.keepEvent(event);
    }
    this.change("events");
  }

  /** Other tabs learn what became of it, so that it does not go there before it comes. */
  sent(id, event) {
    this.flying.delete(id);
    const entry = this.pending.find((one) => one.id === id);
    if (!entry) return;
    if (event) this.keep.set(entry.name, { ...entry, event });
    this.keep.remove(entry.name);
  }

  turnedDown(id, error) {
    this.flying.delete(id);
    if (error.status === 401) return void this.renew().then((opened) => opened && this.flush());
    if (error.code === "not_stored") error.status = 503;
    if (error.passing) {
      if (error.wait) {
        this.holdUntil = Date.now() + error.wait * 1_000;
        setTimeout(() => this.flush(), error.wait * 1_000 + 50);
      }
      this.flying.clear(); // those behind it go again after it, in their order
    } else {
      const entry = this.pending.find((one) => one.id === id);
      if (entry) this.keep.set(entry.name, { ...entry, failed: error.code });
    }
    this.change("pending");
  }

  /** Try a message again that was refused, or give it up. */
  again(id) {
    const entry = this.pending.find((one) => one.id === id);
    if (entry) this.keep.set(entry.name, { ...entry, failed: undefined });
    this.flush();
    this.change("pending");
  }

  drop(id) {
    this.sent(id);
    this.change("pending");
  }

  read(seq) {
    if (seq <= (this.keep.get("read") || 0)) return;
    this.keep.set("read", seq);
    if (!this.link.send({ type: "read", seq })) this.api.call("read", { seq }).catch(() => {});
  }

  writes(on) {
    if (!this.link.send({ type: "typing", on }) && this.polled) this.api.call("typing", { on }).catch(() => {});
  }

  // ---- polling, while sockets fail ----

  linked() {
    if (this.link.ready) {
      this.pollFails = 0;
      this.polled = false;
      clearTimeout(this.timer);
      this.timer = null;
      this.downSince = 0;
    } else {
      this.downSince ||= Date.now();
      if (!this.timer && this.begun) this.schedule(500);
    }
    this.change("link");
  }

  schedule(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), wait);
  }

  async poll(now = false) {
    this.timer = null;
    if (!this.begun || this.link.ready || this.polling || !this.api.token) return;
    if (!now && this.link.tries < 2 && Date.now() - this.downSince < SOON) return void this.schedule(500);
    if (Date.now() < (this.pollNotBefore || 0)) return this.schedule(this.pollNotBefore - Date.now());
    this.polling = true;
    const hidden = document.visibilityState === "hidden";
    let wait = (hidden ? POLL_HIDDEN : POLL) * (0.8 + Math.random() * 0.4);
    try {
      const answer = await this.api.call(`events?after=${this.cursor}`);
      this.pollFails = 0;
      this.polled = true;
      this.learn(answer);
      this.gather(answer);
      if (answer.last > answer.seq) wait = 0;
    } catch (error) {
      if (error.status === 401) await this.renew();
      if (error.status === 403 || error.status === 404) return void this.stop(error);
      this.pollFails += 1;
      this.polled = false;
      wait = Math.max(backoff(this.pollFails + 1), error.wait * 1_000);
      this.pollNotBefore = Date.now() + error.wait * 1_000;
    } finally {
      this.polling = false;
    }
    if (this.link.ready || !this.begun) return;
    this.schedule(wait);
    this.change("link");
    if (this.polled) this.flush();
  }
}
