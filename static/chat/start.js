// What the page's script calls once it is loaded: finds words, style and settings, and puts the element there.

import { Client } from "./client.js";
import { Keep } from "./keep.js";
import { backoff, pause } from "./wires.js";
import { View, element } from "./view.js";
import { Words, choose, direction } from "./words.js";

const BASE = import.meta.url;

const TRIES = 6;

/**
 * The site's public settings; null where this page may not have a chat. Browsers do not tell a page that may not from a
 * server that is away, so a page that never had the chat asks a few times before it shows a button.
 */
async function settings(server, site, known) {
  for (let tries = 0; tries < TRIES; tries += 1) {
    try {
      const answer = await fetch(`${server}/chat/${site}/config`, { credentials: "omit" });
      if (answer.ok) return await answer.json();
      if (answer.status === 403 || answer.status === 404) return null;
    } catch {
      if (!tries) console.warn(`Riskdesk chat: no answer, or the site "${site}" does not allow ${location.origin}.`);
    }
    if (known) return {}; // what is written is kept until the server is back
    await pause(backoff(tries + 2));
  }
  return null;
}

async function look() {
  const answer = await fetch(new URL("widget.css", BASE), { credentials: "omit" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(await answer.text());
  return sheet;
}

/** The page's side of the chat (identify, open, close, forget), or null where there is none. */
export async function start(options, script) {
  const { server, site } = options;
  let view = null; // the client has news before there is a view
  const keep = new Keep(site, server, (name) => view && view.elsewhere(name));
  const [config, sheet] = await Promise.all([settings(server, site, keep.get("session")), look()]);
  if (!config) {
    console.warn(`Riskdesk chat: there is no site "${site}" for this page.`);
    return null;
  }
  const wished = [options.language, document.documentElement.lang, ...navigator.languages, config.language];
  const language = choose(wished);
  const words = await Words.of(language, BASE);

  const client = new Client({ server, site, language, identity: options.identity, keep, change: (what) => view && view.changed(what) });
  client.config = { ...client.config, ...config };
  const host = element();
  if (options.mode === "page") script.after(host);
  else document.body.append(host);
  view = new View(host, { client, words, sheet, options: { ...options, dir: options.dir || direction(language) } });
  return {
    identify: (identity) => client.identify(identity),
    open: () => view.open(),
    close: () => view.close(),
    forget: () => {
      client.forget(view.page);
      view.close();
    },
  };
}
