// Beside the talk: the hand-off, the customer, what they bought and what was before.
"use strict";

(() => {
  const { state, el, icon, badge, ask, here, moment, ago } = Desk;
  const box = document.getElementById("desk-side");
  const handoffBox = el("div"), customerBox = el("div");
  let handoffBefore = "", customerFor = "", wanted = window.matchMedia("(min-width: 1181px)").matches;
  box.append(el("header.desk-side__head", {}, el("h2", {}, "Customer"), el("button.btn.btn--ghost.btn--small", { type: "button", "data-do": "side", "aria-label": "Hide the customer" }, icon("x"))), handoffBox, customerBox);

  const part = (title, iconName, ...children) => el("section.desk-part", {}, el("h3", {}, icon(iconName), title), ...children);
  const pairs = (rows) => el("dl.kv", {}, rows.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const LEVELS = { HIGH: ["bad", "High risk"], MEDIUM: ["warn", "Medium risk"], LOW: ["ok", "Low risk"] };

  const handoff = (found) => {
    if (!found) return [];
    const rated = found.rating ? badge(found.rating.useful ? "ok" : "warn", found.rating.useful ? "Rated useful" : "Rated not useful") : "";
    return [part("Hand-off", "send",
      el("p.desk-part__lead", {}, badge("info", found.reason), " ", el("span.muted.small", { title: moment(found.at) }, ago(found.at) === "now" ? "now" : `${ago(found.at)} ago`)),
      found.summary ? el("p.desk-summary", {}, found.summary) : "",
      pairs([["About", found.category], ...found.fields]),
      found.missing.length ? el("p.desk-missing-line", {}, icon("alert"), `Still to ask: ${found.missing.join(", ").toLowerCase()}`) : "",
      found.may_rate ? el("p.cluster", {}, rated, el("button.btn.btn--small", { type: "button", "data-do": "rate" }, found.rating ? "Rate again" : "Rate", " ", el("kbd", {}, "h"))) : rated)];
  };

  const head = () => {
    const text = JSON.stringify([state.open, state.head?.handoff]);
    if (text === handoffBefore) return;
    handoffBefore = text;
    handoffBox.replaceChildren(...handoff(state.head?.handoff));
    show();
  };

  const orders = (rows) => rows.map((one) => el("li", {}, el("a", { href: one.url, target: "_blank", rel: "noopener" }, el("strong", {}, one.number), el("span.num", {}, one.total)),
    el("span.desk-item__foot", {}, one.cancelled ? badge("bad", "Cancelled") : badge(one.sent === "Fulfilled" ? "ok" : "warn", one.sent), badge(one.paid === "Paid" ? "ok" : "muted", one.paid), one.proven ? badge("info", "Proven", "check") : "", el("span.muted.small", {}, `${ago(one.at)} ago`))));
  const subscriptions = (rows) => rows.map((one) => el("li", {}, el("a", { href: one.url, target: "_blank", rel: "noopener" }, el("strong", {}, one.name), el("span.num", {}, one.price)),
    el("span.desk-item__foot", {}, badge(one.status === "Active" ? "ok" : "muted", one.status), one.level ? badge(...LEVELS[one.level]) : "", el("span.muted.small", {}, `renews ${one.renews_on}`))));
  const linked = (rows, words, foot) => rows.map((one) => el("li", {}, el("a", { href: one.url, target: "_blank", rel: "noopener" }, words(one)), el("span.desk-item__foot", {}, foot(one))));
  const items = (title, iconName, rows, none) => part(title, iconName, rows.length ? el("ul.desk-items", {}, rows) : el("p.muted.small", {}, none));

  const customer = ({ visitor, proven, orders: bought, subscriptions: held, earlier, tickets, flags, proposed }) => [
    part("Who", "user",
      el("p.desk-part__lead", {}, el("strong", {}, visitor.name || "Anonymous visitor"), " ", visitor.known ? badge("ok", "Signed in on the page", "check") : badge("muted", "Not signed in"), proven.map((one) => badge("info", `${one.matter} proven`, "check"))),
      pairs([["E-mail", visitor.email ? [visitor.email, visitor.known ? "" : el("span.muted.small", {}, " (as they say)")] : ""], ["Site", visitor.site], ["Language", visitor.language], ["First seen", moment(visitor.since)]])),
    proposed.length ? items("Proposed risk flags", "eye", linked(proposed, (one) => one.title, (one) => [badge(one.level > 3 ? "bad" : "warn", `Level ${one.level} proposed`), el("span.muted.small", {}, one.why)]), "") : "",
    flags.length ? items("Risk flags", "flag", linked(flags, (one) => one.title, (one) => [badge(one.open ? "bad" : "muted", one.level), el("span.muted.small", {}, one.step)]), "") : "",
    items("Orders", "cart", orders(bought), visitor.email ? "None with this address that you may see." : "No address is known yet."),
    held.length ? items("Subscriptions", "retry", subscriptions(held), "") : "",
    items("Earlier conversations", "history", earlier.map((one) => el("li", {}, el("a", { href: `${Desk.root.dataset.url}${one.id}/`, "data-conversation": one.id }, one.subject), el("span.desk-item__foot", {}, el("span.muted.small", {}, `${one.state}, ${ago(one.at)} ago`)))), "This is the first."),
    tickets.length ? items("Tickets", "mail", linked(tickets, (one) => `${one.number} ${one.subject}`, (one) => badge("muted", one.status)), "") : "",
  ];

  const load = async () => {
    const id = state.open;
    if (!id) return;
    try {
      const found = await ask(here(id, "customer/"));
      if (id !== state.open) return;
      customerFor = id;
      customerBox.replaceChildren(...customer(found).filter(Boolean));
    } catch (error) {
      if (id === state.open && customerFor !== id) customerBox.replaceChildren(el("p.muted.small.desk-part", {}, "The customer's data could not be loaded."));
    }
    show();
  };

  const show = () => {
    box.hidden = !state.open || !wanted;
    Desk.root.classList.toggle("desk--side", !box.hidden);
  };
  const turn = () => {
    wanted = !wanted;
    show();
    if (!box.hidden) box.querySelector("button").focus({ preventScroll: true });
  };
  const reset = () => {
    customerBox.replaceChildren();
    handoffBox.replaceChildren();
    handoffBefore = customerFor = "";
    if (window.matchMedia("(max-width: 1180px)").matches) wanted = false;
    show();
  };
  box.addEventListener("click", (event) => {
    const link = event.target.closest("[data-conversation]");
    if (link && !event.ctrlKey && !event.metaKey) { event.preventDefault(); Desk.open(link.dataset.conversation); }
  });

  Desk.side = { head, load, turn, reset };
})();
