// How the desk learns that something is new: by hints of a socket, and by looking now and then in any case.
"use strict";

(() => {
  const { root, state } = Desk;
  const BEAT = 20000, PATIENCE = 10000, LONGEST = 30000;
  let socket = null, tries = 0, timer = 0, beat = 0, waiting = 0, ended = false, bannerTimer = 0;

  const send = (message) => {
    if (socket && socket.readyState === WebSocket.OPEN) { socket.send(JSON.stringify(message)); return true; }
    return false;
  };

  const shown = (live) => {
    state.live = live;
    const node = document.getElementById("desk-live");
    node.dataset.state = live ? "live" : "polling";
    node.querySelector(".desk-live__words").textContent = live ? "Live" : "Looking every few seconds";
    clearTimeout(bannerTimer);
    if (live) Desk.banner("");
    else if (!Desk.isOut()) bannerTimer = setTimeout(() => { if (!state.live && !Desk.isOut()) Desk.banner("Live news are interrupted. The desk looks every few seconds, and nothing is lost."); }, 4000);
  };

  const got = (message) => {
    if (message.type === "hints") {
      Desk.lists.later();
      if (message.all || message.hints.some(([id, seq]) => id === state.open)) Desk.talk.load();
    } else if (message.type === "people" && message.conversation === state.open) Desk.talk.people(message.viewers);
    else if (message.type === "typing" && message.conversation === state.open) Desk.talk.typing(message);
    else if (message.type === "read" && message.conversation === state.open) Desk.talk.read(message.seq);
    else if (message.type === "ready") {
      tries = 0;
      shown(true);
      if (state.open) send({ type: "view", conversation: state.open });
      Desk.lists.load();
      Desk.talk.load();
    }
  };

  const connect = () => {
    clearTimeout(timer);
    timer = 0;
    if (ended || socket || Desk.isOut() || !("WebSocket" in window)) return;
    const address = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws/desk/`;
    const mine = socket = new WebSocket(address);
    mine.addEventListener("message", (event) => { clearTimeout(waiting); waiting = 0; if (mine === socket) got(JSON.parse(event.data)); });
    mine.addEventListener("close", (event) => { if (mine === socket) lost(event.code); });
    clearInterval(beat);
    beat = setInterval(() => {
      if (send({ type: "ping" }) && !waiting) waiting = setTimeout(() => { waiting = 0; if (mine === socket) { mine.close(); lost(0); } }, PATIENCE);
    }, BEAT);
  };

  const lost = (code) => {
    socket = null;
    clearInterval(beat);
    clearTimeout(waiting);
    waiting = 0;
    shown(false);
    if (code === 4401 || code === 4403) { ended = true; Desk.lists.load(); return; }  // the answer by HTTP says what is wrong
    const longest = Math.min(LONGEST, 500 * 2 ** Math.min(tries++, 6));
    timer = setTimeout(connect, code === 4429 ? LONGEST : longest * (0.5 + Math.random() / 2));
  };

  const again = () => {
    if (document.hidden) return;
    if (!socket) { tries = 0; connect(); }
    Desk.lists.load();
    Desk.talk.load();
  };
  window.addEventListener("online", again);
  document.addEventListener("visibilitychange", again);
  window.addEventListener("pagehide", () => { ended = true; socket?.close(); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) { ended = false; again(); } });

  // Hints can be lost, and without a socket there are none: so it looks by itself, too.
  const every = (fast, slow, work) => {
    const round = () => setTimeout(() => { Promise.resolve(Desk.isOut() ? null : work()).finally(round); }, (state.live ? slow : fast) * (document.hidden ? 4 : 1));
    round();
  };

  Desk.live = {
    start: () => {
      shown(false);
      connect();
      every(6000, 30000, () => Desk.lists.load());
      every(2500, 15000, () => Desk.talk.load());
    },
    view: (id) => send({ type: "view", conversation: id || null }),
    typing: (id, on, note) => send({ type: "typing", conversation: id, on, note }),
    drop: () => socket?.close(),
  };
})();
