// Opens Landbridge's connect pages as a window or a frame. Types: connect.d.ts
(() => {
  "use strict";
  const base = new URL("connect/", document.currentScript.src);
  const TEXTS = {
    title: "Connect an account",
    close: "Close",
    opened: "The page to connect an account has opened.",
    connected: "The account is connected.",
    closed: "The page to connect an account was closed.",
  };
  const ENDS = ["denied", "failed", "expired", "unknown", "away"];
  const EVERY = 2000;
  const LONGEST = 600_000;
  let current;

  class ConnectError extends Error {
    constructor(code, message) {
      super(message);
      this.name = "ConnectError";
      this.code = code;
    }
  }

  const element = (name, style, more = {}) => {
    const made = Object.assign(document.createElement(name), more);
    Object.assign(made.style, style);
    return made;
  };

  // Read out by screen readers, seen by nobody.
  const voice = () => {
    const unseen = { position: "fixed", width: "1px", height: "1px", overflow: "hidden", clipPath: "inset(50%)" };
    const region = element("div", unseen);
    region.setAttribute("role", "status");
    document.body.append(region);
    return {
      say: (text) => { region.textContent = text; },
      leave: () => setTimeout(() => region.remove(), 5000),
    };
  };

  const inWindow = () => {
    const left = screenX + Math.max(0, (outerWidth - 520) / 2);
    const top = screenY + Math.max(0, (outerHeight - 720) / 3);
    const opened = open("about:blank", "landbridge", `popup,width=520,height=720,left=${left},top=${top}`);
    if (!opened) throw new ConnectError("blocked", "The browser blocked the window; call connect() in a click.");
    opened.focus();
    return {
      window: () => opened,
      go: (url) => opened.location.replace(url),
      gone: () => opened.closed,
      size: () => {},
      close: () => opened.close(),
    };
  };

  const inFrame = (say, container, close) => {
    const frame = element("iframe", { border: "0", width: "100%", height: "26rem", display: "block" });
    frame.title = say("title");
    frame.referrerPolicy = "no-referrer";
    let outer = frame;
    if (container) container.replaceChildren(frame);
    else {
      outer = element("dialog", {
        border: "0", borderRadius: "1rem", padding: "0", width: "min(27rem, 100vw)",
        maxHeight: "95vh", overflow: "auto", boxShadow: "0 1rem 4rem #0008", colorScheme: "inherit",
      });
      outer.setAttribute("aria-label", say("title"));
      const cross = element("button", {
        position: "absolute", top: "0.5rem", insetInlineEnd: "0.5rem", width: "2.5rem", height: "2.5rem",
        border: "0", padding: "0", borderRadius: "50%", background: "#8883", color: "#767676", font: "1.25rem/1 system-ui", cursor: "pointer",
      }, { type: "button", textContent: "\u00d7", onclick: close });
      cross.setAttribute("aria-label", say("close"));
      outer.append(frame, cross);
      outer.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
      document.body.append(outer);
      outer.showModal();
    }
    return {
      window: () => frame.contentWindow,
      go: (url) => { frame.src = url; },
      gone: () => !frame.isConnected,
      size: (height) => { frame.style.height = `${Math.min(Math.max(height, 160), 4000)}px`; },
      close: () => {
        outer.close?.();
        outer.remove();
      },
    };
  };

  const connect = (options = {}) => {
    const { session, mode = "popup", container, theme = "auto", texts = {}, stay = false } = options;
    const say = (key) => texts[key] ?? TEXTS[key];
    const listeners = [];
    let place, region, url, timer, since, settle, fail;
    let over = false;
    let last = "closed";
    const result = new Promise((resolve, reject) => { settle = resolve; fail = reject; });
    const emit = (type, detail = {}) => {
      for (const [wanted, listener] of listeners) if (wanted === type) listener({ type, ...detail });
    };

    const end = () => {
      if (over) return;
      over = true;
      clearInterval(timer);
      removeEventListener("message", hear);
      place?.close();
      fail(new ConnectError(last, last === "closed" ? "The page was closed before anything was connected." : say("closed")));
      region?.leave();
      emit("closed");
      if (current === flow) current = undefined;
    };
    const finish = (connections) => {
      last = "connected";
      region.say(say("connected"));
      settle({ connections });
      emit("connected", { connections });
      if (!stay) setTimeout(end, mode === "popup" ? 1200 : 1500);
    };
    const hear = (event) => {
      if (event.origin !== base.origin || event.source !== place.window()) return;
      const { type, connections, height, message } = event.data ?? {};
      const name = typeof type === "string" && type.startsWith("landbridge:") ? type.slice(11) : "";
      if (name === "ready") {
        place.window().postMessage({ type: "landbridge:hello", theme }, base.origin);
        emit("ready");
      } else if (name === "height") place.size(Number(height) || 0);
      else if (name === "closed") end();
      else if (name === "connected") finish(connections);
      else if (ENDS.includes(name)) {
        last = name;
        emit(name, { message });
      }
    };

    // A window may look closed because the provider's page cut its tie to us: then we ask.
    const look = async () => {
      if (over || !url || !place.gone()) return;
      since ??= Date.now();
      const answer = await fetch(new URL("state", url)).then((got) => got.json()).catch(() => ({}));
      if (over) return;
      if (last !== "connected" && answer.state === "connected") finish(answer.connections);
      if (answer.state === "consenting" && Date.now() - since < LONGEST) return;
      if (ENDS.includes(answer.state)) last = answer.state;
      end();
    };

    const flow = Object.assign(result, {
      close: end,
      on: (type, listener) => {
        listeners.push([type, listener]);
        return flow;
      },
    });
    result.catch(() => {});
    current?.close();
    current = flow;
    const begin = async () => {
      region = voice();
      place = mode === "frame" ? inFrame(say, container, end) : inWindow();
      addEventListener("message", hear);
      region.say(say("opened"));
      const token = typeof session === "function" ? await session() : session;
      if (over) return;
      if (!/^lbs_[\w-]+$/.test(token)) throw new ConnectError("session", "session: not a token of bridge.connect_session().");
      url = new URL(`${token}/`, base);
      place.go(url.href);
      timer = setInterval(look, mode === "popup" ? EVERY / 4 : EVERY);
    };
    begin().catch((error) => {
      fail(error);
      last = error.code ?? "session";
      end();
    });
    return flow;
  };

  window.Landbridge = Object.freeze({ connect, ConnectError });
})();
