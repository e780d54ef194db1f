// The desk: opening conversations, acts, and keys. Parts that this puts together are in the other desk-*.js files.
"use strict";

(() => {
  const { root, state, ask, here, Refused, toast, modal } = Desk;
  const help = document.getElementById("desk-help");

  // Open a conversation, or none; its address is the page's, so that it can be kept and sent to a colleague.
  Desk.open = (id, { push = true } = {}) => {
    if (id === state.open && id) return Desk.talk.load();
    const address = id ? `${root.dataset.url}${id}/` : root.dataset.url;
    if (push) history.pushState({}, "", address);
    root.classList.toggle("desk--open", Boolean(id));
    Desk.side.reset();
    const shown = Desk.talk.show(id);
    Desk.live.view(id);
    Desk.lists.mark();
    return shown;
  };
  const fromAddress = () => location.pathname.slice(root.dataset.url.length).replace(/\/$/, "");
  window.addEventListener("popstate", () => Desk.open(fromAddress(), { push: false }));

  // Do something with the open conversation. Answers with what went wrong, in words, or nothing.
  Desk.act = async (what, body = {}, quiet = false) => {
    const id = state.open;
    if (!id || !state.head) return "";
    try {
      const found = await ask(here(id, `do/${what}/`), { version: state.head.version, after: state.seq, ...body });
      if (id === state.open) Desk.talk.take(found);
      Desk.lists.later();
      return "";
    } catch (error) {
      const words = error instanceof Refused ? error.message : "The server could not be reached. Nothing was done.";
      if (!quiet) toast(words, "bad");
      if (error.code === "conversation_changed") Desk.talk.load();
      return words;
    }
  };

  const may = (what) => state.head?.may.includes(what);
  const DOES = {
    help: () => modal(help),
    close: () => { Desk.open(""); Desk.lists.load(); },
    side: () => Desk.side.turn(),
    take: async () => {
      if (!may("take")) return;
      const head = state.head;
      if (head.state === "person" && !(await Desk.pick.sure(`Take it over from ${head.assignee.first}?`, `${head.who} sees that you joined.`, "Take over"))) return;
      await Desk.write.expect(Desk.act("take"));
    },
    resolve: async () => {
      if (!may("resolve")) return;
      if (await Desk.pick.sure("Resolve this conversation?", "The customer is asked how it went. What they write later begins anew.", "Resolve")) await Desk.act("resolve");
    },
    ticket: async () => {
      if (!may("ticket")) return;
      if (await Desk.pick.sure("Go on as a ticket?", "The conversation is resolved. The customer is told the ticket's number and until when it is answered.", "Make a ticket")) await Desk.act("ticket");
    },
    file: () => Desk.write?.canReply() && document.getElementById("desk-file").click(),
    reopen: () => may("reopen") && Desk.write.expect(Desk.act("reopen")),
    assign: () => may("assign") && Desk.pick.give(false),
    give: () => may("transfer") && Desk.pick.give(true),
    rate: () => Desk.pick.rate(),
    canned: () => Desk.write?.canReply() && Desk.pick.canned(),
    articles: () => state.head && Desk.pick.articles(),
    reply: () => state.head && Desk.write?.focus("reply"),
    note: () => may("note") && Desk.write?.focus("note"),
    flag: () => state.head?.flag_url && window.open(state.head.flag_url, "_blank", "noopener"),
    search: () => Desk.lists.search.focus(),
  };
  const KEYS = { "?": "help", t: "take", r: "reply", n: "note", a: "assign", g: "give", f: "flag", e: "resolve", m: "ticket", p: "file", o: "reopen", h: "rate", c: "canned", s: "articles", i: "side", u: "close", "/": "search" };

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-do]");
    if (!opener || opener.tagName === "A") return;  // a link goes where it leads
    event.preventDefault();
    DOES[opener.dataset.do]?.();
  });

  const writes = (node) => node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && writes(event.target)) { event.target.blur(); return; }
    if (writes(event.target)) return;
    const number = "1234".indexOf(event.key);
    if (event.key === "j" || event.key === "k") Desk.lists.step(event.key === "j" ? 1 : -1);
    else if (number >= 0) Desk.lists.choose(Desk.lists.names[number]);
    else if (KEYS[event.key]) DOES[KEYS[event.key]]();
    else return;
    event.preventDefault();
  });

  document.addEventListener("visibilitychange", () => { if (!document.hidden) Desk.talk.seen(); });
  Desk.lists.choose("mine").then(() => { if (!state.rows.length && !state.open) Desk.lists.choose("waiting"); });
  Desk.live.start();
  if (root.dataset.open) Desk.open(root.dataset.open, { push: false });
  root.dataset.ready = "";
})();
