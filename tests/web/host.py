"""An application that embeds the connect pages, with as strict a policy as they have."""

from __future__ import annotations

from typing import Any

from landbridge.testing.asgi import App

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Acme Books</title>
<link rel="stylesheet" href="/host.css">
<script src="{landbridge}/connect.js"></script><script src="/host.js" defer></script></head>
<body><h1>Integrations</h1><p>Acme Books works with what you use already.</p>
<button id="connect">Connect</button><p id="said"></p></body></html>"""

_SCRIPT = """
const query = new URLSearchParams(location.search);
window.events = [];
document.querySelector("#connect").addEventListener("click", () => {
  const flow = Landbridge.connect({
    session: query.get("slow") ? async () => query.get("session") : query.get("session"),
    mode: query.get("mode"),
    theme: query.get("theme") ?? "auto",
    stay: query.has("stay"),
  });
  for (const name of ["ready", "connected", "denied", "failed", "expired", "unknown", "closed"])
    flow.on(name, (event) => window.events.push(event));
  window.flow = flow;
  window.result = undefined;
  const say = (text) => { document.querySelector("#said").textContent = text; };
  flow.then(
    (result) => { window.result = result; say("Your account is connected."); },
    (error) => { window.failure = { code: error.code }; say(error.message); },
  );
});
"""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
button { font: inherit; padding: 0.5rem 1rem; }
"""


def host_app(landbridge: str) -> App:
    """The application's pages: `/`, its script and its style."""
    policy = (
        f"default-src 'none'; script-src 'self' {landbridge}; style-src 'self';"
        f" frame-src {landbridge}; connect-src {landbridge}"
    )
    answers = {
        "/": ("text/html", _PAGE.format(landbridge=landbridge)),
        "/host.js": ("text/javascript", _SCRIPT),
        "/host.css": ("text/css", _STYLE),
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        kind, text = answers.get(scope["path"], ("text/plain", ""))
        headers = [
            (b"content-type", f"{kind}; charset=utf-8".encode()),
            (b"content-security-policy", policy.encode()),
        ]
        status = 200 if scope["path"] in answers else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})

    return app
