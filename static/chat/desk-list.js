// The lists on the left: which is shown, its lines, and the one that is open.
"use strict";

(() => {
  const { root, state, el, icon, badge, ask, ago, tick, dueBadge, soon } = Desk;
  const box = document.getElementById("desk-rows");
  const tabs = [...root.querySelectorAll("[data-list]")];
  const search = document.getElementById("desk-search");
  const EMPTY = {
    mine: ["Nothing in your hands", "Take a conversation that waits: 2 shows them."],
    waiting: ["Nobody waits", "Whoever asks for a person appears here by itself."],
    unassigned: ["Nothing unassigned", "Conversations with the bot and in the queue appear here."],
    all: ["No conversations", "Nothing was found in your scopes."],
  };
  const STATES = { bot: ["bot", "muted", "Bot"], waiting: ["clock", "warn", "Waiting"], person: ["user", "info", ""], resolved: ["check", "ok", "Resolved"] };
  const AUTHORS = { bot: "Bot: ", agent: "Agent: ", system: "" };
  let asked = 0, before = "", waited = null;

  const line = (row) => {
    const [name, tone, words] = STATES[row.state];
    const mine = row.assignee && row.assignee.id === Desk.me;
    const who = row.state === "person" ? badge(tone, mine ? "You" : row.assignee.first, "user") : state.list === "waiting" ? "" : badge(tone, words, name);
    const snippet = (row.last.author === "agent" && mine ? "You: " : AUTHORS[row.last.author] || "") + (row.last.text || "Nothing said yet");
    return el(`a.desk-row${row.unread || row.unanswered ? ".desk-row--wants" : ""}`,
      { href: `${root.dataset.url}${row.id}/`, "data-id": row.id, "aria-current": row.id === state.open ? "true" : null },
      el("span.desk-row__top", {}, el("strong.desk-row__who", {}, row.who),
        row.last.at ? tick(el("time.desk-row__at", { datetime: row.last.at, title: Desk.moment(row.last.at) }), () => [ago(row.last.at), ""]) : ""),
      el("span.desk-row__text", {}, row.unread ? el("span.visually-hidden", {}, "New. ") : "", row.subject && !row.subject.startsWith(row.last.text.slice(0, 30)) ? el("b", {}, `${row.subject.slice(0, 48)}${row.subject.length > 48 ? "…" : ""} · `) : "", snippet),
      el("span.desk-row__foot", {}, who,
        row.alarm ? badge("bad", row.alarm, "alert") : "",
        row.due_at ? dueBadge(row.due_at) : row.unanswered ? tick(el("span.badge.badge--warn", {}, icon("clock"), el("span.ticks")), () => [ago(row.since) === "now" ? "Waits" : `Waits ${ago(row.since)}`, ""]) : "",
        row.category || row.team ? el("span.desk-row__topic", {}, row.category || row.team) : ""));
  };

  const draw = () => {
    const focused = box.contains(document.activeElement) ? document.activeElement.dataset.id : "";
    const top = box.scrollTop;
    if (state.rows.length) {
      box.replaceChildren(...state.rows.map(line));
      if (state.rows.length >= Desk.most) box.append(el("p.desk-more.muted.small", {}, `The first ${Desk.most} are shown. Search to find others.`));
    } else {
      const [title, words] = state.query ? ["Nothing found", "No name, address or subject has these words."] : EMPTY[state.list];
      box.replaceChildren(el("div.empty", {}, icon("check-circle"), el("p.empty__title", {}, title), el("p", {}, words)));
    }
    box.scrollTop = top;
    if (focused) box.querySelector(`[data-id="${focused}"]`)?.focus({ preventScroll: true });
  };

  const count = (counts) => {
    for (const [name, number] of Object.entries(counts)) {
      const node = root.querySelector(`[data-count=${name}]`);
      node.textContent = number || "";
      node.classList.toggle("desk-count--wants", name === "waiting" && number > 0);
    }
    document.title = `${counts.waiting ? `(${counts.waiting}) ` : ""}Chat desk · Riskdesk`;
    if (waited !== null && counts.waiting > waited) Desk.toast(`${counts.waiting} ${counts.waiting === 1 ? "customer waits" : "customers wait"} for a person.`);
    waited = counts.waiting;
  };

  const load = async () => {
    if (Desk.isOut()) return;
    const turn = ++asked;
    try {
      const found = await ask(`list/?list=${state.list}&q=${encodeURIComponent(state.query)}`);
      if (turn !== asked) return;  // a later question was asked meanwhile
      Desk.most = found.most;
      state.rows = found.rows;
      count(found.counts);
      const text = JSON.stringify([found.rows, state.list, state.query]);
      if (text !== before) { before = text; draw(); }
    } catch (error) {
      if (error instanceof Desk.Refused && error.status !== 429) Desk.toast(error.message, "bad");
    }
  };

  const choose = (name) => {
    state.list = name;
    tabs.forEach((tab) => { const on = tab.dataset.list === name; tab.setAttribute("aria-selected", on); tab.tabIndex = on ? 0 : -1; });
    before = "";
    return load();
  };

  const mark = () => box.querySelectorAll(".desk-row").forEach((row) => {
    if (row.dataset.id === state.open) { row.setAttribute("aria-current", "true"); row.scrollIntoView({ block: "nearest" }); } else row.removeAttribute("aria-current");
  });

  const step = (by) => {
    if (!state.rows.length) return;
    const at = state.rows.findIndex((row) => row.id === state.open);
    const next = at < 0 ? (by > 0 ? 0 : state.rows.length - 1) : Math.min(Math.max(at + by, 0), state.rows.length - 1);
    Desk.open(state.rows[next].id);
  };

  tabs.forEach((tab, n) => {
    tab.addEventListener("click", () => choose(tab.dataset.list));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const other = tabs[(n + by + tabs.length) % tabs.length];
      other.focus();
      choose(other.dataset.list);
    });
  });
  search.addEventListener("input", soon(() => {
    state.query = search.value.trim();
    if (state.query && state.list !== "all") choose("all"); else load();
  }, 250));
  box.addEventListener("click", (event) => {
    const row = event.target.closest(".desk-row");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    Desk.open(row.dataset.id);
  });

  Desk.lists = { load, later: soon(load, 400), choose, mark, step, names: tabs.map((tab) => tab.dataset.list), search };
})();
