/*
  The one script that a page includes:

    <script src="https://desk.example.com/static/chat/widget.js" data-site="shop" async></script>

  It finds out where it came from and loads the rest as modules from there. It writes no HTML, no style and no script
  into the page, so the strictest Content-Security-Policy that names this server holds (docs/chat-embed.md).

  What the page may say with data- attributes: site (its key), identity (a signed text), language, theme (light or dark),
  position (start or end), mode (page: fills its place instead of a button), label (beside the button), server.
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
    const chat = await begin(options, script);
    if (!chat) return;
    Object.assign(window.RiskdeskChat, chat);
    for (const [name, given] of calls) chat[name](...given);
  };
  const go = () => start().catch((error) => console.warn("Riskdesk chat could not start:", error));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go, { once: true });
  else go();
})();
