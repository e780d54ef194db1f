// What the browser keeps for one site: the session, and messages until the server has them.

/** A store that forgets with the page, for browsers that lend none to it. */
function passing() {
  return Object.create({
    getItem(key) {
      return this[key] ?? null;
    },
    setItem(key, value) {
      this[key] = String(value);
    },
    removeItem(key) {
      delete this[key];
    },
  });
}

function storage(name) {
  try {
    const store = window[name];
    store.setItem("riskdesk.chat.probe", "1");
    store.removeItem("riskdesk.chat.probe");
    return store;
  } catch {
    return passing(); // refused by the browser's settings, or full
  }
}

/** A random UUID, on plain http too. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const text = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Who a signed identity is about; "" for nobody. Read for comparison only: the server checks the signature. */
export function subject(identity) {
  try {
    const [payload] = (identity || "").split(".");
    return String(JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/"))).id);
  } catch {
    return "";
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // somebody else wrote there
  }
}

/** `onchange(name, value)` is told when another tab changed something. */
export class Keep {
  constructor(site, server, onchange = () => {}) {
    this.store = storage("localStorage");
    this.tab = storage("sessionStorage");
    this.prefix = `riskdesk.chat.${new URL(server).host}.${site}.`;
    this.last = 0;
    window.addEventListener("storage", (event) => {
      if (event.key && event.key.startsWith(this.prefix)) onchange(event.key.slice(this.prefix.length), parsed(event.newValue));
    });
  }

  get(name) {
    return parsed(this.store.getItem(this.prefix + name));
  }

  set(name, value) {
    try {
      this.store.setItem(this.prefix + name, JSON.stringify(value));
    } catch {
      // Full: what is shown stays in memory, and is lost only if the page is left before it was sent.
    }
  }

  remove(name) {
    this.store.removeItem(this.prefix + name);
  }

  /** One key for each message, so that two tabs never overwrite each other's. They sort by when they were written. */
  put(entry) {
    this.last = Math.max(Date.now(), this.last + 1);
    const kept = { ...entry, name: `out.${this.last.toString(36).padStart(9, "0")}.${entry.id}` };
    this.set(kept.name, kept);
    return kept;
  }

  outbox() {
    const names = Object.keys(this.store).filter((name) => name.startsWith(`${this.prefix}out.`));
    return names.sort().map((name) => this.get(name.slice(this.prefix.length))).filter((entry) => entry && entry.id);
  }

  /** The browser's own key of its session; asking for a session twice with it makes one. */
  key() {
    const known = this.get("key");
    if (known) return known;
    const fresh = uuid();
    this.set("key", fresh);
    return this.get("key") || fresh; // another tab may have been quicker
  }

  /** What is written and not yet sent stays with the tab. */
  get draft() {
    return this.tab.getItem(`${this.prefix}draft`) || "";
  }

  set draft(text) {
    this.tab.setItem(`${this.prefix}draft`, text);
  }

  /** Whether the panel is open in this tab. */
  get open() {
    return this.tab.getItem(`${this.prefix}open`) === "1";
  }

  set open(is) {
    this.tab.setItem(`${this.prefix}open`, is ? "1" : "");
  }

  /** Forget everything about this visitor. */
  clear() {
    for (const entry of this.outbox()) this.remove(entry.name);
    for (const name of ["key", "session", "read"]) this.remove(name);
    this.draft = "";
  }
}
