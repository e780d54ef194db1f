// Keys for the queue, a card, and the pages that decide about it. Everything here can be done without it.
"use strict";

(() => {
  const typing = (node) => node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName);
  const rows = [...document.querySelectorAll("#result_list tbody tr")];
  const help = document.getElementById("queue-help");
  let at = -1;

  const mark = (next) => {
    if (!rows.length) return;
    rows[at]?.classList.remove("is-current");
    at = Math.min(Math.max(next, 0), rows.length - 1);
    rows[at].classList.add("is-current");
    const link = rows[at].querySelector("a.queue-target");
    link.focus({ preventScroll: true });
    rows[at].scrollIntoView({ block: "nearest" });
  };

  // Where focus goes, the mark follows, so that Tab and j/k are one and the same cursor.
  rows.forEach((row, n) => row.addEventListener("focusin", () => { if (n !== at) { rows[at]?.classList.remove("is-current"); at = n; row.classList.add("is-current"); } }));

  const PAGES = { a: "approve", d: "dismiss", e: "escalate", n: "note" };

  const inRow = (key) => {
    const row = rows[at];
    if (!row) return false;
    if (key === "x") { row.querySelector("input.action-select")?.click(); return true; }
    const page = PAGES[key];
    const link = page && (row.querySelector(`a[data-do=${page}]`)?.href || row.querySelector("a.queue-target").dataset[page]);
    if (!link) return false;
    location.assign(link);
    return true;
  };

  const openHelp = () => { if (help && !help.open) help.showModal(); };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const form = document.querySelector("form[data-once]");
      if (form) { event.preventDefault(); form.requestSubmit(); }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || help?.open) return;
    if (event.key === "Escape" && typing(event.target) && !document.querySelector("form[data-once]")) { event.target.blur(); return; }
    if (event.key !== "Escape" && typing(event.target) && event.target.type !== "checkbox") return;
    const key = event.key;
    let done = true;
    if (key === "?") openHelp();
    else if (key === "/" && document.getElementById("searchbar")) document.getElementById("searchbar").focus();
    else if (rows.length && (key === "j" || key === "ArrowDown" && at >= 0)) mark(at + 1);
    // With nothing marked and nothing focused, Enter means the first card.
    else if (rows.length && key === "Enter" && at < 0 && event.target === document.body) rows[0].querySelector("a.queue-target").click();
    else if (rows.length && (key === "k" || key === "ArrowUp" && at >= 0)) mark(at - 1);
    else if (rows.length && inRow(key)) done = true;
    else {
      const link = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
      if (link) link.click(); else done = false;
    }
    if (done) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-help]");
    if (opener && help) { event.preventDefault(); openHelp(); }
  });

  // A second click on the way changes nothing: the server would refuse it, and here it is not even sent.
  document.querySelectorAll("form[data-once]").forEach((form) => form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    form.querySelector("[type=submit]").setAttribute("aria-disabled", "true");
  }));
  // Coming back by the browser's Back button, the form may be sent again.
  window.addEventListener("pageshow", () => document.querySelectorAll("form[data-once]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelector("[type=submit]").removeAttribute("aria-disabled");
  }));

  // A decision page begins at its first question.
  const first = document.querySelector(".decide form[data-once] input[type=radio]:checked") || document.querySelector(".decide form[data-once] :is(input:not([type=hidden]), textarea, select)");
  if (first) first.focus({ preventScroll: true });
})();
