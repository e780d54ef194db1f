// The open conversation: its head, what was said, who else is there, and what can be done with it.
"use strict";

(() => {
  const { state, el, icon, badge, ask, here, moment, clockTime, day } = Desk;
  const byId = (id) => document.getElementById(id);
  const [nothing, open, headBox, log, typingBox] = ["desk-nothing", "desk-open", "desk-head", "desk-log", "desk-typing"].map(byId);
  const STATES = { bot: ["muted", "bot"], waiting: ["warn", "clock"], person: ["info", "user"], resolved: ["ok", "check"] };
  const typists = new Map();
  let loading = null, again = false, readTimer = 0, headBefore = "", pinned = true;

  const load = () => {
    if (!state.open || Desk.isOut()) return Promise.resolve();
    if (loading) { again = true; return loading; }
    const id = state.open;
    const look = state.live ? "" : `&look=${Desk.write?.busy() ? "typing" : "viewing"}`;
    loading = ask(here(id, `events/?after=${state.seq}${look}`)).then((found) => { if (id === state.open) take(found); }, (error) => failed(error, id))
      .finally(() => { loading = null; if (again) { again = false; load(); } });
    return loading;
  };

  const failed = (error, id) => {
    if (!(error instanceof Desk.Refused) || id !== state.open) return;
    if (error.status === 404 || error.status === 403) { Desk.toast("This conversation is not in your sight any more."); Desk.open(""); } else if (error.status !== 429 && error.status !== 401) Desk.toast(error.message, "bad");
  };

  // News of the open conversation, from whichever answer brought it.
  const take = (found) => {
    if (found.gone) { Desk.toast("It went on to another team."); Desk.open(""); Desk.lists.load(); return; }
    if (found.head.id !== state.open) return;
    const first = !state.head;
    if (first) pinned = true;
    const fresh = found.events.filter((event) => !state.events.has(event.seq));
    fresh.forEach((event) => { state.events.set(event.seq, event); Desk.write?.stored(event.client_id); });
    state.seq = Math.max(state.seq, found.seq);
    const before = state.head;
    state.head = found.head;
    people(found.viewers);
    drawHead();
    if (fresh.length || first || !before || before.customer_read_seq !== state.head.customer_read_seq || before.cleared !== state.head.cleared) drawLog();
    if (fresh.some((event) => event.author === "customer")) typing({ who: "customer", on: false });
    Desk.write?.mode();
    Desk.side.head();
    stay();
    if (first || fresh.some((event) => event.data.flag || event.data.ticket || event.kind === "form")) Desk.side.load();
    if (found.seq < found.head.seq) load();
    sawIt();
  };

  // What the person who has it saw counts as read; a hidden window sees nothing.
  const sawIt = () => {
    if (!state.head?.mine || document.hidden || readTimer) return;
    readTimer = setTimeout(() => {
      readTimer = 0;
      const last = Math.max(0, ...[...state.events.values()].filter((event) => event.author === "customer").map((event) => event.seq));
      if (state.head?.mine && last > (state.readSeq || 0)) { state.readSeq = last; ask(here(state.open, "do/read/"), { seq: last, after: state.seq }).then(take, () => {}); }
    }, 400);
  };

  const button = (what, words, iconName, key, kind = "") => el(`button.btn.btn--small${kind}`, { type: "button", "data-do": what }, icon(iconName), el("span", {}, words), " ", el("kbd", {}, key));

  const clock = ({ since, due_at: due, answered_at: answered, open: works, opens_at: opens }) => {
    const found = [];
    if (due) found.push(Desk.dueBadge(due));
    else if (answered && since === null) found.push(el("span.muted.small", { title: moment(answered) }, `First answer at ${clockTime(answered)}`));
    if (works === false && state.head.state !== "resolved") found.push(badge("muted", opens ? `Closed until ${new Date(opens).toLocaleString("en-GB", { weekday: "short", hour: "2-digit", minute: "2-digit" })}` : "Closed", "calendar"));
    return found;
  };

  const drawHead = () => {
    const head = state.head;
    const text = JSON.stringify([head, state.viewers]);
    if (text === headBefore && headBox.childElementCount) return;
    headBefore = text;
    const focus = headBox.contains(document.activeElement) ? document.activeElement.dataset.do : "";
    const [tone, iconName] = STATES[head.state];
    const words = head.state === "person" ? (head.mine ? "You have it" : `With ${head.assignee.first}`) : head.state === "waiting" && head.position ? `Waiting, ${head.position === 1 ? "next" : `number ${head.position}`} in the queue` : head.resolution ? `Resolved: ${head.resolution.toLowerCase()}` : head.state_words;
    const may = new Set(head.may);
    headBox.replaceChildren(
      el("div.desk-head__who", {},
        el("button.btn.btn--ghost.btn--small.desk-back", { type: "button", "data-do": "close", "aria-label": "Back to the list" }, icon("chevron")),
        el("div", {}, el("h2", {}, head.who), head.subject || head.category || head.team ? el("p.desk-head__subject", {}, [head.subject, head.category, head.team].filter(Boolean).join(" · ")) : ""),
        el("button.btn.btn--ghost.btn--small.desk-more-button", { type: "button", "data-do": "side", "aria-label": "Customer" }, icon("info"))),
      el("p.desk-head__state", {}, badge(tone, words, iconName), clock(head.clock),
        ...state.viewers.map((one) => el(`span.desk-viewer${one.typing ? ".desk-viewer--typing" : ""}`, {}, icon(one.typing ? "edit" : "eye"), one.typing ? `${one.name} is writing` : `${one.name} is looking`))),
      el("div.desk-head__acts", {},
        may.has("take") ? button("take", head.state === "bot" ? "Take over from bot" : head.state === "person" ? "Take over" : "Take", "user", "t", ".btn--primary") : "",
        may.has("reopen") ? button("reopen", "Reopen", "undo", "o", ".btn--primary") : "",
        may.has("resolve") ? button("resolve", "Resolve", "check", "e") : "",
        may.has("assign") ? button("assign", "Assign", "users", "a") : "",
        may.has("transfer") ? button("give", "Give on", "send", "g") : "",
        may.has("ticket") ? button("ticket", "Ticket", "mail", "m") : "",
        head.flag_url ? el("a.btn.btn--small.desk-flag", { href: head.flag_url, target: "_blank", rel: "noopener", "data-do": "flag" }, icon("flag"), el("span", {}, "Flag risk"), " ", el("kbd", {}, "f")) : ""));
    if (focus) headBox.querySelector(`[data-do=${focus}]`)?.focus({ preventScroll: true });
  };

  const NAMES = { customer: () => state.head.who, bot: () => "Bot", system: () => "" };
  const nameOf = (event) => (event.author === "agent" ? (event.user === Desk.me ? "You" : event.name || "Agent") : NAMES[event.author]());

  const cards = (event) => (event.data.articles || []).map((article) => el("a.desk-card", { href: safe(article.url), target: "_blank", rel: "noopener" }, icon("book"), el("span", {}, el("strong", {}, article.title), el("small", {}, [article.excerpt, article.updated].filter(Boolean).join(" · ")))));
  const safe = (address) => (/^(https?:\/\/|\/(?!\/))/.test(String(address || "")) ? address : null);
  const file = (event) => {
    const found = event.data.file;
    if (!found) return "";
    const size = found.size ? ` ${Math.max(1, Math.round(found.size / 1024))} KB` : "";
    return el("a.desk-card", { href: found.id ? `${Desk.root.dataset.url}${state.open}/files/${found.id}/` : null, download: "" }, icon("import"), el("span", {}, el("strong", {}, found.name || "File"), el("small", {}, `${found.content_type || ""}${size}`)));
  };
  const masked = (event) => ((event.data.masked || []).length ? el("span.desk-masked", { title: event.data.masked.map((one) => `${one.count} × ${one.kind}`).join(", ") }, icon("shield"), "Masked") : "");
  const chips = (event) => (event.data.choices || []).length ? el("span.desk-choices", {}, event.data.choices.map((one) => el("span.badge.badge--plain", {}, one.label || ""))) : "";

  const bubble = (event, joined) => {
    const own = event.author === "agent" || event.author === "bot";
    const kind = event.internal ? "note" : event.author;
    return el(`div.desk-said.desk-said--${kind}${own || event.internal ? ".desk-said--ours" : ""}${joined ? ".desk-said--joined" : ""}`, { "data-seq": event.seq },
      joined ? "" : el("p.desk-said__who", {}, event.internal ? icon("lock") : event.author === "bot" ? icon("bot") : "", el("strong", {}, nameOf(event)), event.internal ? " · private note" : ""),
      el("div.desk-said__body", {}, el("p.desk-said__text", {}, event.data.file && event.text === event.data.file.name ? "" : event.text), cards(event), file(event), chips(event), event.data.flag_url ? el("a.desk-card", { href: safe(event.data.flag_url) }, icon("flag"), el("span", {}, el("strong", {}, "Open the flag"), el("small", {}, event.data.level || ""))) : ""),
      el("p.desk-said__foot", {}, masked(event), el("time", { datetime: event.at, title: moment(event.at) }, clockTime(event.at)), event.client_id && event.author === "agent" && !event.internal ? el("span.desk-mark", { "data-mark": event.seq }) : ""));
  };

  const WORDS = { handoff: "Handed to a person", rating: "Rated", form: "Details given", state: "Changed", assigned: "Assigned" };
  const happened = (event) => {
    const score = event.data.score ? `${event.data.score} of 5` : "";
    const words = score ? [`Rated ${score}`, event.text].filter(Boolean).join(": ") : event.text || event.data.what === "handed_off" && `Handed to ${event.data.team || "people"}` || event.data.ticket && `Goes on as ticket ${event.data.ticket}` || [WORDS[event.kind] || event.kind, event.data.again ? "The customer wrote again" : ""].filter(Boolean).join(" · ");
    return el(`p.desk-event${event.internal ? ".desk-event--internal" : ""}`, { "data-seq": event.seq }, event.data.flag_url ? [icon("flag"), el("a", { href: safe(event.data.flag_url) }, words)] : words, " ", el("time", { datetime: event.at, title: moment(event.at) }, clockTime(event.at)));
  };

  const drawLog = () => {
    const children = [];
    let dayBefore = "", last = null;
    for (const event of [...state.events.values()].sort((a, b) => a.seq - b.seq)) {
      const today = day(event.at);
      if (today !== dayBefore) { children.push(el("p.desk-day", {}, today)); last = null; }
      dayBefore = today;
      const said = ["message", "note", "file"].includes(event.kind) && event.author !== "system";
      const joined = said && last && last.author === event.author && last.user === event.user && last.internal === event.internal && Date.parse(event.at) - Date.parse(last.at) < 120000;
      children.push(said ? bubble(event, joined) : happened(event));
      last = said ? event : null;
    }
    if (state.head.cleared) children.unshift(el("p.desk-event", {}, "The words of this conversation were forgotten."));
    if (!children.length) children.push(el("p.desk-event", {}, "Nothing was said yet."));
    log.replaceChildren(...children, ...(Desk.write?.pending() || []));
    marks();
    stay();
  };

  const marks = () => log.querySelectorAll("[data-mark]").forEach((node) => {
    const seq = Number(node.dataset.mark);
    node.textContent = seq <= state.head.customer_read_seq ? "Seen" : seq <= state.head.customer_got_seq ? "Delivered" : "Sent";
  });

  const people = (viewers) => { state.viewers = viewers; if (state.head) drawHead(); };
  const read = (seq) => { if (state.head) { state.head.customer_read_seq = Math.max(seq, state.head.customer_read_seq); marks(); } };

  const typing = ({ who, on }) => {
    clearTimeout(typists.get(who));
    typists.delete(who);
    if (on) typists.set(who, setTimeout(() => typing({ who, on: false }), 7000));
    typingBox.textContent = typists.has("customer") ? `${state.head?.who || "The customer"} is writing…` : typists.has("bot") ? "The bot is preparing an answer…" : "";
  };

  const show = (id) => {
    typists.forEach(clearTimeout);
    typists.clear();
    typingBox.textContent = "";
    Object.assign(state, { open: id, head: null, events: new Map(), seq: 0, viewers: [], readSeq: 0 });
    headBefore = "";
    headBox.replaceChildren();
    log.replaceChildren(el("p.desk-event", {}, "Opening…"));
    nothing.hidden = Boolean(id);
    open.hidden = !id;
    loading = null;
    return load();
  };

  // Whoever reads at the end stays there when something is added or the window changes; whoever reads above stays, too.
  const stay = () => { if (pinned) log.scrollTop = log.scrollHeight; };
  const follow = () => { pinned = true; stay(); };
  log.addEventListener("scroll", () => { pinned = log.scrollHeight - log.scrollTop - log.clientHeight < 80; }, { passive: true });
  new ResizeObserver(stay).observe(log);
  Desk.talk = { load, take, show, people, read, typing, drawLog, follow, log, seen: sawIt };
})();
