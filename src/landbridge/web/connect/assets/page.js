// What the connect pages do in a browser. They work without it, but for telling the opener.
(() => {
  "use strict";
  const body = document.body;
  const framed = window.parent !== window;
  const host = framed ? window.parent : window.opener;
  const { origin, here, tells } = body.dataset;
  const $ = (selector) => document.querySelector(selector);
  const tell = (message) => {
    if (host && origin) host.postMessage(message, origin);
  };

  if (framed) body.dataset.framed = "";
  tell({ type: "landbridge:ready" });
  addEventListener("message", (event) => {
    if (event.source !== host || event.origin !== origin) return;
    const { type, theme } = event.data ?? {};
    if (type !== "landbridge:hello") return;
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  });

  if (tells) tell(JSON.parse(tells));
  if (framed) {
    const measure = () =>
      tell({ type: "landbridge:height", height: Math.ceil($("main").getBoundingClientRect().height) });
    new ResizeObserver(measure).observe($("main"));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape") tell({ type: "landbridge:closed" });
    });
  }
  ($("#problem") ?? (framed || tells ? $("#title") : null))?.focus();

  // The window in which somebody consented for a frame has done its work.
  if (window.name === "landbridge-consent" && tells) window.close();

  const close = $("#close");
  if (close && host) {
    close.hidden = false;
    close.addEventListener("click", () => {
      tell({ type: "landbridge:closed" });
      if (!framed) window.close();
    });
  }
  if (framed) for (const link of document.querySelectorAll("[data-return]")) link.target = "_top";

  for (const secret of document.querySelectorAll("[data-secret]")) {
    const input = secret.firstElementChild;
    const button = document.createElement("button");
    button.type = "button";
    const turn = (shows) => {
      input.type = shows ? "text" : "password";
      button.textContent = shows ? body.dataset.hide : body.dataset.show;
      button.setAttribute("aria-pressed", String(shows));
    };
    button.addEventListener("click", () => turn(input.type === "password"));
    button.setAttribute("aria-controls", input.id);
    turn(false);
    secret.append(button);
  }

  const form = $("form");
  form?.addEventListener("submit", () => {
    const button = form.querySelector("[type=submit]");
    const consents = "consents" in form.dataset;
    if (framed && consents) {
      // Providers do not let themselves be framed: the consent gets a window of its own.
      form.target = "landbridge-consent";
      window.open("about:blank", form.target, "popup,width=520,height=720");
      $("#told").textContent = form.dataset.waiting;
      wait();
      return;
    }
    setTimeout(() => {
      button.disabled = true;
      button.textContent = button.dataset.busy;
    });
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  let waiting;
  let begun = false;
  const wait = () => {
    clearInterval(waiting);
    waiting = setInterval(async () => {
      const answer = await fetch(`${here}state`).catch(() => null);
      const state = answer && (await answer.json()).state;
      if (state === "consenting") begun = true;
      else if (state && (begun || state !== form.dataset.state)) {
        clearInterval(waiting);
        location.href = `${here}done`;
      }
    }, 1000);
  };

  const search = $("#search");
  if (search) {
    const rows = [...document.querySelectorAll("#services li")];
    const found = $("#found");
    search.closest(".search").hidden = false;
    search.addEventListener("input", () => {
      const wanted = search.value.trim().toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
      found.textContent = rows.some((row) => !row.hidden) ? "" : found.dataset.none;
    });
  }
})();
