/*
  The one script that a page includes:

    <script src="https://desk.example.com/static/chat/widget.js" data-site="shop" async></script>

  It loads the rest as modules from where it came from. It writes no HTML, no style and no script into the page, so the
  strictest Content-Security-Policy that names this server holds. docs/chat-embed.md has the other data- attributes.
*/
(() => {
  const script = document.currentScript;
  if (!script || !script.dataset.site || window.RiskdeskChat) return;
  const here = new URL(script.src, location.href);
  const options = { ...script.dataset, server: script.dataset.server || here.origin };
  const calls = [];
  const later = (name) => (...given) => void calls.push([name, given]);
  // Calls before the modules are there are kept and made then.
  window.RiskdeskChat = { identify: later("identify"), open: later("open"), close: later("close"), forget: later("forget") };

  const start = async () => {
    const { start: begin } = await import(new URL("start.js", here).href);
    const told = calls.findLast(([name]) => name === "identify");
    const chat = await begin({ ...options, ...(told && { identity: told[1][0] }) }, script);
    if (!chat) return;
    Object.assign(window.RiskdeskChat, chat);
    for (const [name, given] of calls) chat[name](...given);
  };
  const go = () => start().catch((error) => console.warn("Riskdesk chat could not start:", error));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go, { once: true });
  else go();
})();
