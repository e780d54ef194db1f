// What the page's script calls once it is loaded: finds words, style and settings, and puts the element there.

import { Client } from "./client.js";
import { Keep } from "./keep.js";
import { backoff, pause } from "./wires.js";
import { View, element } from "./view.js";
import { Words, choose, direction } from "./words.js";

const BASE = import.meta.url;

/** The site's public settings; null where this page may not have a chat, nothing while the server is away. */
async function settings(server, site) {
  try {
    const answer = await fetch(`${server}/chat/${site}/config`, { credentials: "omit", signal: AbortSignal.timeout(8_000) });
    if (answer.ok) return await answer.json();
    if (answer.status === 403 || answer.status === 404) return null;
  } catch {
    // The button is shown all the same: what is written is kept until the server is back.
  }
  return undefined;
}

async function look() {
  const answer = await fetch(new URL("widget.css", BASE), { credentials: "omit" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(await answer.text());
  return sheet;
}

/** The page's side of the chat (identify, open, close, forget), or nothing where there is none. */
export async function start(options, script) {
  const { server, site } = options;
  let view = null; // the client has news before there is a view
  const keep = new Keep(site, server, (name, value) => view && view.elsewhere(name, value));
  const missing = () => console.warn(`Riskdesk chat: there is no site "${site}", or it does not allow ${location.origin}.`);
  const [config, sheet] = await Promise.all([settings(server, site), look()]);
  if (config === null) return missing();
  const wished = [options.language, document.documentElement.lang, ...navigator.languages, (config || {}).language];
  const language = choose(wished);
  const words = await Words.of(language, BASE);

  const client = new Client({ server, site, language, identity: options.identity, keep, change: (what) => view && view.changed(what) });
  client.config = { ...client.config, ...config };
  const host = element();
  if (options.mode === "page") script.after(host);
  else document.body.append(host);
  view = new View(host, { client, words, sheet, options: { ...options, dir: options.dir || direction(language) } });
  const later = async (tries) => {
    await pause(backoff(tries));
    const found = await settings(server, site);
    if (found === undefined) return later(tries + 1);
    client.config = { ...client.config, ...found };
    client.change("config");
    if (found) return undefined;
    client.leave();
    host.remove();
    return missing();
  };
  if (!config) later(2);
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
