// Elements without any HTML text, so that pages with Trusted Types and without 'unsafe-inline' can carry the widget.

/** An element with attributes, listeners (onclick: function) and children; null, false and "" children are left out. */
export function h(name, given = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child || child === 0));
  return element;
}

const PATHS = {
  chat: "M4 5.5A2.5 2.5 0 0 1 6.5 3h11A2.5 2.5 0 0 1 20 5.5v8a2.5 2.5 0 0 1-2.5 2.5H11l-4.6 4.1c-.5.5-1.4.1-1.4-.6V15.6A2.5 2.5 0 0 1 4 13.5z",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9.5l6 6 6-6",
  menu: "M12 5.5v.01M12 12v.01M12 18.5v.01",
  send: "M5 12h13M12.5 6l6 6-6 6",
  attach: "M19 11.5l-7.3 7.3a4.5 4.5 0 0 1-6.4-6.4l7.7-7.7a3 3 0 0 1 4.3 4.3l-7.5 7.5a1.5 1.5 0 0 1-2.2-2.2l6.8-6.7",
  bot: "M12 3.5v3M6.5 6.5h11a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-11a2 2 0 0 1-2-2v-8a2 2 0 0 1 2-2zM9 11.5v1.5M15 11.5v1.5M9.5 15.5h5",
  file: "M7 3.5h7l4.5 4.5v11a1.5 1.5 0 0 1-1.5 1.5H7A1.5 1.5 0 0 1 5.5 19V5A1.5 1.5 0 0 1 7 3.5zM13.5 3.5V8.5h5",
  article: "M5 4.5h10.5A2.5 2.5 0 0 1 18 7v12.5H7A2 2 0 0 1 5 17.5zM8.5 9h6M8.5 12.5h6",
  clock: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 8v4.3l2.8 1.7",
  shield: "M12 3.5l7 2.5v5.5c0 4.5-3 7.5-7 9-4-1.5-7-4.5-7-9V6z",
  mail: "M4.5 6h15v12h-15zM4.5 7l7.5 6 7.5-6",
  end: "M9 4.5H6A1.5 1.5 0 0 0 4.5 6v12A1.5 1.5 0 0 0 6 19.5h3M14 8l4 4-4 4M18 12H9.5",
};

const ROUND = "M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17zM9 9.5v.6M15 9.5v.6";
// Mouths from very bad to very good.
["M8.2 17a4.2 4.2 0 0 1 7.6 0", "M8.8 16.2a4.6 4.6 0 0 1 6.4 0", "M8.5 15.5h7", "M8.8 14.5a4.6 4.6 0 0 0 6.4 0", "M7.8 13.5h8.4a4.2 4.2 0 0 1-8.4 0z"].forEach((mouth, n) => (PATHS[`face${n + 1}`] = ROUND + mouth));

/** A line drawing; it says nothing to a screen reader, so what carries it needs a name. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("class", `icon icon-${name}`);
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  picture.append(path);
  return picture;
}

/** Text with its web addresses as links; nothing else in it is taken for anything. */
export function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"')\]]+[^\s<>"')\].,;:!?])/).map((part, n) =>
    n % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part,
  );
}

/** Whether black or white is the better read on a colour such as #1f5fd0. */
export function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#111318" : "#ffffff";
}
