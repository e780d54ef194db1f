// What a host page may do with its chat: open it from a button of its own, and forget the visitor who signs out.
for (const button of document.querySelectorAll("[data-open-chat]")) button.addEventListener("click", () => window.RiskdeskChat.open());
for (const link of document.querySelectorAll("[data-sign-out]")) link.addEventListener("click", () => window.RiskdeskChat.forget());
