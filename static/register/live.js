// Keeps the part of a page that is marked with data-live="going" fresh until the work that it shows is done.
"use strict";
(() => {
  const EVERY = 2000;
  const part = () => document.querySelector("[data-live]");
  const fresh = async () => {
    // While something in it has the focus it stays as it is, so that nobody loses the place.
    if (!document.hidden && !part().contains(document.activeElement)) {
      try {
        const answer = await fetch(window.location.href, { credentials: "same-origin" });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
        if (answer.ok && page) part().replaceWith(page);
      } catch { /* No answer: the next turn asks again. */ }
    }
    next();
  };
  const next = () => { if (part()?.dataset.live === "going") window.setTimeout(fresh, EVERY); };
  next();
})();
