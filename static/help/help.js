// Suggestions while typing, and feedback without leaving the page. Everything here can be done without it.
"use strict";

(() => {
  const PAUSE = 150;

  // The pattern of a combobox with a list: the focus stays in the box, arrows move the choice, Enter goes there.
  const combobox = (form) => {
    const box = form.querySelector("input[type=search]");
    const list = document.createElement("ul");
    const told = document.createElement("p");
    list.id = `${box.id}-options`;
    list.className = "help-options";
    list.hidden = true;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", form.dataset.list);
    told.className = "help-hidden";
    told.setAttribute("role", "status");
    form.append(list, told);
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id }))
      box.setAttribute(name, value);
    let at = -1, timer = 0, asked = 0, shown = "";

    const close = () => {
      list.hidden = true;
      at = -1;
      box.setAttribute("aria-expanded", "false");
      box.removeAttribute("aria-activedescendant");
    };
    const choose = (next) => {
      const options = [...list.children];
      if (!options.length) return;
      at = (next + options.length + 1) % (options.length + 1);
      options.forEach((option, n) => option.setAttribute("aria-selected", String(n === at)));
      if (at < options.length) box.setAttribute("aria-activedescendant", options[at].id);
      else { at = -1; box.removeAttribute("aria-activedescendant"); }
    };
    const marked = (title, words) => {
      const parts = words.filter((word) => word.length > 1).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      if (!parts.length) return [title];
      return title.split(new RegExp(`\\b(${parts.join("|")})`, "i")).map((piece, n) => {
        if (n % 2 === 0) return piece;
        const mark = document.createElement("mark");
        mark.textContent = piece;
        return mark;
      });
    };
    const show = (found, text) => {
      const words = text.toLowerCase().split(/\s+/);
      list.replaceChildren(...found.map(({ title, url }, n) => {
        const option = document.createElement("li");
        option.id = `${list.id}-${n}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.dataset.url = url;
        option.append(...marked(title, words));
        return option;
      }));
      at = -1;
      box.removeAttribute("aria-activedescendant");
      list.hidden = !found.length;
      box.setAttribute("aria-expanded", String(!list.hidden));
      told.textContent = found.length ? `${form.dataset.list}: ${found.length}` : "";
    };
    const ask = async () => {
      const text = box.value.trim();
      const turn = ++asked;
      if (text.length < 2) { shown = ""; close(); return; }
      if (text === shown) { list.hidden = !list.children.length; box.setAttribute("aria-expanded", String(!list.hidden)); return; }
      const query = new URLSearchParams({ q: text });
      const language = form.querySelector("[name=lang]");
      if (language) query.set("lang", language.value);
      try {
        const answer = await fetch(`${form.dataset.suggest}?${query}`, { headers: { Accept: "application/json" } });
        if (!answer.ok || turn !== asked) return; // an older answer must not overtake a newer one
        shown = text;
        show((await answer.json()).suggestions, text);
      } catch { close(); } // the form itself still works
    };

    box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, PAUSE); });
    box.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" && list.hidden) ask();
      else if (event.key === "ArrowDown") choose(at + 1);
      else if (event.key === "ArrowUp" && !list.hidden) choose(at < 0 ? list.children.length - 1 : at - 1);
      else if (event.key === "Escape" && !list.hidden) close();
      else if (event.key === "Enter" && at >= 0) location.assign(list.children[at].dataset.url);
      else return;
      event.preventDefault();
    });
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) location.assign(option.dataset.url);
    });
    box.addEventListener("blur", () => { clearTimeout(timer); asked++; close(); });
    form.addEventListener("submit", (event) => { if (!box.value.trim()) event.preventDefault(); });
  };

  const part = (url) => { const found = new URL(url, location.href); found.searchParams.set("part", "1"); return found; };
  const put = (place, html) => {
    const holder = document.createElement("div");
    holder.append(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    place.replaceChildren(holder);
    place.querySelectorAll("form[data-part]").forEach(inPlace);
    place.querySelector("[type=radio], [tabindex], button")?.focus({ preventScroll: true });
  };
  const send = async (form, place, submitter) => {
    const answer = await fetch(part(form.action), { method: "POST", body: new FormData(form, submitter) });
    const readable = answer.headers.get("Content-Type")?.startsWith("text/html") && (answer.ok || answer.status === 422);
    if (!readable) throw new Error(answer.statusText);
    put(place, await answer.text());
  };
  // The form as the browser itself would have sent it.
  const plainly = (form, submitter) => {
    if (submitter?.name) {
      const pressed = document.createElement("input");
      Object.assign(pressed, { type: "hidden", name: submitter.name, value: submitter.value });
      form.append(pressed);
    }
    form.submit();
  };
  // A form that is answered in its own place instead of by a new page.
  const inPlace = (form) => form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, form.closest("[data-place]") || wrapped(form), event.submitter).catch(() => plainly(form, event.submitter));
  });
  const wrapped = (form) => { const place = document.createElement("div"); place.dataset.place = ""; form.replaceWith(place); place.append(form); return place; };

  document.querySelectorAll("form[data-suggest]").forEach(combobox);
  document.querySelectorAll("form[data-part]").forEach(inPlace);
  document.querySelectorAll("a[data-feedback]").forEach((link) => link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const place = link.closest(".btn-row");
    try {
      const answer = await fetch(part(link.href));
      if (!answer.ok) { location.assign(link.href); return; }
      const holder = document.createElement("div");
      holder.dataset.place = "";
      place.replaceWith(holder);
      put(holder, await answer.text());
      const form = holder.querySelector("form[data-part]");
      if (form && new URL(link.href).searchParams.get("helpful") === "yes") form.requestSubmit();
    } catch { location.assign(link.href); }
  }));
})();
