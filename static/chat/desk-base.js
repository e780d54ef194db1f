// The desk: what its parts share. Text goes into the page as text only, never as markup.
"use strict";

window.Desk = (() => {
  const root = document.getElementById("desk");
  const state = { list: "mine", query: "", rows: [], open: "", head: null, events: new Map(), seq: 0, viewers: [], skew: 0, live: false };
  const SVG = "http://www.w3.org/2000/svg";

  // el("p.muted", {title: "x"}, "text", child): an element with its classes, attributes and children.
  const el = (what, attributes = {}, ...children) => {
    const [tag, ...classes] = what.split(".");
    const made = document.createElement(tag || "div");
    if (classes.length) made.className = classes.join(" ");
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
    return made;
  };

  const icon = (name) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", `${root.dataset.icons}#${name}`);
    svg.append(use);
    return svg;
  };

  const badge = (tone, words, iconName) => el(`span.badge.badge--${tone}`, {}, iconName ? icon(iconName) : "", words);

  // Times: the server's clock counts, whatever the laptop's says.
  const now = () => Date.now() + state.skew;
  const spell = (milliseconds) => {
    const minutes = Math.floor(milliseconds / 60000);
    if (minutes < 1) return "under a minute";
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 24) return minutes % 60 && hours < 5 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
    return `${Math.floor(hours / 24)} d`;
  };
  const clockTime = (at) => new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const day = (at) => new Date(at).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
  const moment = (at) => `${new Date(at).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })}, ${clockTime(at)}`;
  const ago = (at) => {
    const passed = now() - Date.parse(at);
    return passed < 60000 ? "now" : spell(passed);
  };

  // An element whose words follow the clock; ``words`` answers [text, tone], and the tone is a badge's.
  const ticking = new Set();
  const tick = (node, words) => {
    node._words = words;
    ticking.add(node);
    show(node);
    return node;
  };
  const show = (node) => {
    const [text, tone] = node._words();
    const target = node.querySelector(".ticks") || node;
    if (target.textContent !== text) target.textContent = text;
    if (tone && node.dataset.tone !== tone) {
      node.classList.remove(`badge--${node.dataset.tone}`);
      node.classList.add(`badge--${tone}`);
      node.dataset.tone = tone;
    }
  };
  setInterval(() => ticking.forEach((node) => { if (node.isConnected) show(node); else ticking.delete(node); }), 5000);

  const due = (at) => () => {
    const left = Date.parse(at) - now();
    if (left < 0) return [`Answer overdue by ${spell(-left)}`, "bad"];
    return [left < 60000 ? "Answer due now" : `${spell(left)} to answer`, left < 15 * 60000 ? "warn" : "ok"];
  };
  const dueBadge = (at) => tick(el("span.badge", { title: `First answer promised by ${moment(at)}` }, icon("clock"), el("span.ticks")), due(at));

  class Refused extends Error {
    constructor(status, error, wait) {
      super(error.message);
      Object.assign(this, { status, code: error.code, version: error.version, wait });
    }
  }

  // Ask the server. Throws Refused for what it refuses, TypeError where it cannot be reached.
  const ask = async (path, body) => {
    const options = { headers: { Accept: "application/json" }, credentials: "same-origin", redirect: "error" };
    if (body) {
      options.method = "POST";
      const form = body instanceof FormData;
      options.body = form ? body : JSON.stringify(body);
      if (!form) options.headers["Content-Type"] = "application/json";
      options.headers["X-CSRFToken"] = root.dataset.csrf;
    }
    const answer = await fetch(root.dataset.url + path, options);
    const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
    const found = isJson ? await answer.json() : {};
    if (!answer.ok) {
      const error = found.error || { code: `http_${answer.status}`, message: answer.status === 403 ? "This page is no longer valid. Reload it." : "The server did not answer as it should." };
      if (answer.status === 401) signedOut();
      throw new Refused(answer.status, error, Number(answer.headers.get("Retry-After")) || 0);
    }
    if (found.now) state.skew = Date.parse(found.now) - Date.now();
    return found;
  };

  const banner = (words, link) => {
    const node = document.getElementById("desk-banner");
    node.replaceChildren(words || "", ...(link ? [" ", link] : []));
    node.hidden = !words;
  };
  let out = false;
  const signedOut = () => {
    out = true;
    banner("You are not signed in any more.", el("a", { href: `${root.dataset.login}?next=${encodeURIComponent(location.pathname)}` }, "Sign in"));
  };

  const toast = (words, tone = "") => {
    const node = el(`p.desk-toast${tone ? `.desk-toast--${tone}` : ""}`, {}, words);
    document.getElementById("desk-toasts").append(node);
    setTimeout(() => node.remove(), 6000);
  };

  const soon = (work, wait) => {
    let timer = 0;
    return () => { if (!timer) timer = setTimeout(() => { timer = 0; work(); }, wait); };
  };

  const modal = (dialog) => { if (!dialog.open) dialog.showModal(); };
  document.addEventListener("click", (event) => { if (event.target.closest("[data-close]")) event.target.closest("dialog").close(); });

  return {
    root, state, el, icon, badge, now, spell, clockTime, day, moment, ago, tick, dueBadge, ask, Refused, banner, toast, soon, modal,
    mayTalk: "mayTalk" in root.dataset, me: Number(root.dataset.me), isOut: () => out,
    here: (id, page = "") => `${id}/${page}`,
  };
})();
