// Choosing by keyboard: a person or team, a prepared answer, an article; and the small questions before an act.
"use strict";

(() => {
  const { state, el, icon, badge, ask, here, modal } = Desk;
  const byId = (id) => document.getElementById(id);
  const [dialog, form, title, search, list, why, ok, problem] = ["desk-pick", "desk-pick-form", "desk-pick-title", "desk-pick-search", "desk-pick-list", "desk-pick-why", "desk-pick-ok", "desk-pick-problem"].map(byId);
  let choices = [], at = 0, current = null, asked = 0, timer = 0;

  // wanted: {title, placeholder, ok, needsWhy, find(query) -> [choice], done(choice, why) -> words of a problem or ""}
  const pick = (wanted) => {
    current = wanted;
    title.textContent = wanted.title;
    search.placeholder = wanted.placeholder;
    search.setAttribute("aria-label", wanted.placeholder);
    search.value = wanted.query || "";
    ok.textContent = wanted.ok;
    why.hidden = !wanted.needsWhy;
    byId("desk-why").value = "";
    problem.textContent = "";
    choices = [];
    draw();
    modal(dialog);
    search.focus();
    search.select();
    find();
  };

  const find = async () => {
    const turn = ++asked, wanted = current;
    try {
      const found = await wanted.find(search.value.trim());
      if (turn !== asked || wanted !== current) return;
      choices = found;
      at = 0;
      draw();
    } catch (error) {
      problem.textContent = error instanceof Desk.Refused ? error.message : "This could not be loaded.";
    }
  };

  const draw = () => {
    list.replaceChildren(...choices.map((one, n) => el(`div.desk-pick${n === at ? ".is-current" : ""}`, { role: "option", id: `desk-pick-${n}`, "aria-selected": String(n === at), onclick: () => { at = n; draw(); if (current.needsWhy) byId("desk-why").focus(); else confirm(); } }, one.node())));
    if (!choices.length) list.replaceChildren(el("p.muted.small", {}, current?.none?.(search.value) || "Nothing found."));
    search.setAttribute("aria-activedescendant", choices.length ? `desk-pick-${at}` : "");
    list.querySelector(".is-current")?.scrollIntoView({ block: "nearest" });
  };

  const confirm = async () => {
    const one = choices[at];
    if (!one) return;
    const words = byId("desk-why").value.trim();
    if (current.needsWhy && !words) { problem.textContent = "Say in a sentence what they need to know."; byId("desk-why").focus(); return; }
    ok.disabled = true;
    const trouble = await current.done(one, words);
    ok.disabled = false;
    if (trouble) problem.textContent = trouble; else dialog.close();
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); confirm(); });
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(find, current.slow ? 250 : 60); });
  form.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by && event.target === search && choices.length) { event.preventDefault(); at = (at + by + choices.length) % choices.length; draw(); }
    if (event.key === "Enter" && event.target === search && current.needsWhy && !event.isComposing) { event.preventDefault(); byId("desk-why").focus(); }
    if (event.key === "Enter" && event.target.id === "desk-why" && !event.shiftKey && !event.isComposing) { event.preventDefault(); confirm(); }
  });

  const fits = (query, ...texts) => query.toLowerCase().split(/\s+/).every((word) => texts.join(" ").toLowerCase().includes(word));
  const person = (one) => ({ ...one, kind: "person", node: () => [el("span.avatar", { "aria-hidden": "true" }, one.initials), el("span.desk-pick__main", {}, el("strong", {}, one.me ? `${one.name} (you)` : one.name), el("small", {}, [one.of_team ? "in the team" : "", `${one.talks} ${one.talks === 1 ? "conversation" : "conversations"}`].filter(Boolean).join(" · "))), one.away ? badge("muted", "Away") : ""] });
  const team = (one) => ({ ...one, kind: "team", node: () => [el("span.avatar", { "aria-hidden": "true" }, icon("users")), el("span.desk-pick__main", {}, el("strong", {}, one.name), el("small", {}, "Team: waits in its queue"))] });

  const give = (withTeams) => {
    const id = state.open, version = state.head.version;
    let known = null;
    pick({
      title: withTeams ? "Give on" : "Assign", placeholder: withTeams ? "A person or team" : "A person", ok: withTeams ? "Give on" : "Assign", needsWhy: withTeams,
      find: async (query) => {
        known ||= await ask(here(id, "people/"));
        const found = [...(withTeams ? known.teams.map(team) : []), ...known.people.filter((one) => !(withTeams && one.me)).map(person)];
        return found.filter((one) => fits(query, one.name));
      },
      none: () => (known ? "Nobody here can take it." : "Looking…"),
      done: (one, words) => Desk.act(withTeams ? "transfer" : "assign", { [one.kind]: one.id, why: words, version }, true),
    });
  };

  const canned = () => pick({
    title: "Prepared answers", placeholder: "Words of the answer", ok: "Insert",
    find: async (query) => (await ask(here(state.open, `canned/?q=${encodeURIComponent(query)}`))).replies.map((one) => ({ ...one, node: () => el("span.desk-pick__main", {}, el("strong", {}, one.title), el("small", {}, one.text)) })),
    none: (query) => (query ? "No prepared answer has these words." : "There are none yet; team leads add them under Prepared answers."),
    done: (one) => { setTimeout(() => Desk.write.insert(one.text)); return ""; },
  });

  // Begins with what the customer asked last; "skip" and "thanks" ask nothing.
  const lastQuestion = () => {
    const said = [...state.events.values()].filter((event) => event.author === "customer" && event.kind === "message" && event.text).sort((a, b) => b.seq - a.seq);
    return (said.find((event) => event.text.trim().split(/\s+/).length > 2) || said[0])?.text.slice(0, 120) || "";
  };
  const articles = () => pick({
    title: "Articles", placeholder: "What the customer asks", ok: Desk.write?.canReply() ? "Add to the reply" : "Open", query: lastQuestion(), slow: true,
    find: async (query) => (query ? (await ask(`articles/?q=${encodeURIComponent(query)}`)).articles : []).map((one) => ({ ...one, node: () => [el("span.desk-pick__main", {}, el("strong", {}, one.title), el("small", {}, one.excerpt), el("small.muted", {}, one.updated ? `Updated ${one.updated}` : "")), one.internal ? badge("warn", "Staff only", "lock") : ""] })),
    none: (query) => (query ? "No article answers this." : "Type a question."),
    done: (one) => {
      if (one.internal) return "This article is for staff only; it cannot be sent.";
      if (Desk.write?.canReply()) setTimeout(() => Desk.write.attach(one)); else window.open(one.url, "_blank", "noopener");
      return "";
    },
  });

  // A question before an act; answers with true or false.
  const sure = (heading, words, yes) => new Promise((resolve) => {
    const box = byId("desk-ask");
    byId("desk-ask-title").textContent = heading;
    byId("desk-ask-text").textContent = words;
    byId("desk-ask-ok").textContent = yes;
    box.returnValue = "no";
    box.addEventListener("close", () => resolve(box.returnValue === "yes"), { once: true });
    modal(box);
    byId("desk-ask-ok").focus();
  });

  const rateBox = byId("desk-rate"), rateForm = byId("desk-rate-form");
  const rate = () => {
    const found = state.head?.handoff;
    if (!found?.may_rate) { Desk.toast("There is no hand-off of yours to rate."); return; }
    rateForm.reset();
    byId("desk-rate-problem").textContent = "";
    if (found.rating) {
      rateForm.querySelector(`[value=${found.rating.useful ? "yes" : "no"}]`).checked = true;
      rateForm.querySelectorAll("[name=missing]").forEach((one) => { one.checked = found.rating.missing.includes(one.value); });
      byId("desk-comment").value = found.rating.comment;
    }
    modal(rateBox);
    (rateForm.querySelector("[name=useful]:checked") || rateForm.querySelector("[name=useful]")).focus();
  };
  rateForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    const data = new FormData(rateForm);
    if (!data.get("useful")) { byId("desk-rate-problem").textContent = "Say whether it was useful."; return; }
    const trouble = await Desk.act("rate", { handoff: state.head.handoff.id, useful: data.get("useful") === "yes", missing: data.getAll("missing"), comment: data.get("comment") }, true);
    if (trouble) byId("desk-rate-problem").textContent = trouble; else { rateBox.close(); Desk.toast("Thank you. It decides what is asked next time."); }
  });

  Desk.pick = { give, canned, articles, sure, rate };
})();
