// How the widget reaches the server: a socket that comes back by itself, and requests over HTTP for what it cannot carry
// and for everything while sockets fail.

/** The server said no, or nothing at all (status 0). `wait`: seconds after which it may be asked again. */
export class Refusal extends Error {
  constructor(status, code, message, wait = 0) {
    super(message || code);
    Object.assign(this, { status, code, wait });
  }

  /** Whether the same request may do better later. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export class Api {
  /** base: such as https://desk.example.com/chat/shop/ */
  constructor(base) {
    this.base = base;
    this.token = "";
  }

  /** The answer's JSON (null if empty). Throws Refusal. */
  async call(path, body, { raw = false, patience = 15_000 } = {}) {
    const headers = { Accept: "application/json" };
    if (this.token) headers.Authorization = `Chat ${this.token}`;
    const form = body instanceof FormData;
    if (body && !form) headers["Content-Type"] = "application/json";
    try {
      const answer = await fetch(this.base + path, {
        method: body ? "POST" : "GET",
        headers,
        body: body && !form ? JSON.stringify(body) : body,
        credentials: "omit",
        cache: "no-store",
        signal: AbortSignal.timeout(patience),
      });
      if (answer.ok && raw) return await answer.blob();
      const text = await answer.text();
      if (answer.ok) return text ? JSON.parse(text) : null;
      throw this.refusal(answer, text);
    } catch (error) {
      throw error instanceof Refusal ? error : new Refusal(0, "no_connection", String(error));
    }
  }

  refusal(answer, text) {
    let said = {};
    try {
      said = JSON.parse(text).error || {};
    } catch {
      // Not ours: a proxy in between answered.
    }
    const wait = parseFloat(answer.headers.get("Retry-After")) || (answer.status === 429 ? 10 : 0);
    return new Refusal(answer.status, said.code || `http_${answer.status}`, said.message, wait);
  }
}

const FIRST = 500; // ms before the first retry
const LONGEST = 30_000;
const HELLO = 10_000; // for the server to say "ready"
const BEAT = 20_000;
const PATIENCE = 8_000; // for an answer to a ping

/** How long to wait before try number `tries` (from 0); anywhere between a half and the whole of it. */
export function backoff(tries, random = Math.random) {
  return Math.min(LONGEST, FIRST * 2 ** tries) * (0.5 + random() / 2);
}

/** Wait, but no longer than until the network is back. */
export function pause(time) {
  return new Promise((done) => {
    const go = () => {
      clearTimeout(timer);
      window.removeEventListener("online", go);
      done();
    };
    const timer = setTimeout(go, time);
    window.addEventListener("online", go);
  });
}

export class Link {
  /**
   * address: of the socket. hello(): the first frame. take(frame): each frame that is not of the heartbeat.
   * tell(): `ready` or `tries` changed. unknown(): the token is not taken any more.
   */
  constructor({ address, hello, take, tell, unknown }) {
    Object.assign(this, { address, hello, take, tell, unknown });
    this.ready = false;
    this.tries = 0; // failures since it was last ready
    this.notBefore = 0; // what the server asked for
    this.timers = {};
    const wake = () => document.visibilityState === "visible" && this.wake();
    for (const name of ["online", "pageshow", "focus"]) window.addEventListener(name, wake);
    document.addEventListener("visibilitychange", wake);
  }

  open() {
    this.wanted = true;
    if (!this.socket) this.attempt();
  }

  close() {
    this.wanted = false;
    this.drop();
    this.ready = false;
    this.clear("retry");
    this.tell();
  }

  /** True if the frame went to the socket; whether it arrived, only the server's answer tells. */
  send(frame) {
    if (!this.ready || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** The machine woke, the network is back or somebody looks: do not sit out a wait, and doubt a quiet socket. */
  wake() {
    if (!this.wanted) return;
    if (this.ready) this.ping(3_000);
    else if (!this.socket && Date.now() >= this.notBefore) this.attempt();
  }

  attempt() {
    this.clear("retry");
    this.drop();
    let socket;
    try {
      socket = new WebSocket(this.address);
    } catch {
      this.lost(0, ""); // refused by the page's policy, or no sockets here
      return;
    }
    this.socket = socket;
    this.after("hello", HELLO, () => this.lost(0, ""));
    socket.onopen = () => socket.send(JSON.stringify(this.hello()));
    socket.onmessage = (event) => this.heard(event.data);
    socket.onclose = (event) => this.lost(event.code, event.reason);
  }

  heard(text) {
    this.clear("patience");
    const frame = JSON.parse(text);
    if (frame.type === "ready") {
      this.clear("hello");
      this.ready = true;
      this.after("stable", 5_000, () => (this.tries = 0)); // one that breaks at once shall not look like a good one
      this.beat();
      this.take(frame);
      this.tell();
      return;
    }
    if (frame.type === "going_away") this.notBefore = Date.now() + (frame.retry_after_ms || 1_000) * (0.5 + Math.random());
    this.take(frame);
  }

  beat() {
    this.after("beat", BEAT, () => {
      this.ping(PATIENCE);
      this.beat();
    });
  }

  ping(patience) {
    if (this.timers.patience) return;
    this.send({ type: "ping" });
    this.after("patience", patience, () => this.lost(0, "")); // half open: the browser itself would notice minutes later
  }

  lost(code, reason) {
    if (!this.wanted) return;
    this.drop();
    this.ready = false;
    this.tries += 1;
    const asked = code === 4429 || code === 1013 ? (parseFloat(reason) || 30) * 1_000 * (1 + Math.random() / 4) : 0;
    const drain = code === 1012 ? Math.random() * 2_000 : code === 4403 || code === 4404 ? LONGEST : 0; // HTTP says more
    this.notBefore = Math.max(this.notBefore, Date.now() + asked);
    if (code === 4401) this.unknown();
    const wait = Math.max(backoff(this.tries - 1), drain, this.notBefore - Date.now());
    this.after("retry", wait, () => this.attempt());
    this.tell();
  }

  /** Let go of the socket without waiting for its farewell. */
  drop() {
    for (const name of ["hello", "beat", "patience", "stable"]) this.clear(name);
    const { socket } = this;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  after(name, wait, action) {
    this.clear(name);
    this.timers[name] = setTimeout(() => {
      delete this.timers[name];
      action();
    }, wait);
  }

  clear(name) {
    clearTimeout(this.timers[name]);
    delete this.timers[name];
  }
}
