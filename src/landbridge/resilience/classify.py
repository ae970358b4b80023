"""What a provider's answer means: status, error body and headers, read as its page says."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from landbridge.resilience.backoff import retry_after
from landbridge.resilience.outcome import (
    Broken,
    Gone,
    Ok,
    Outcome,
    Refresh,
    Refusal,
    Reply,
    Retry,
    Stale,
    Throttle,
    Unknown,
)
from landbridge.spec import Errors, Provider, find, gathered
from landbridge.wire import Headers, Request, Response

READS = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"})
"""Methods without an effect (RFC 9110 section 9.2.1, RFC 4918, RFC 3253)."""
_REPEATABLE = READS | {"PUT", "DELETE"}
"""Methods that do the same when done twice (RFC 9110 section 9.2.2)."""
_NEVER_SERVED = frozenset({501, 505, 507})
"""Server errors that will not pass."""
_LONGEST = 300
_SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key")


def classify(
    errors: Errors,
    request: Request,
    response: Response | None,
    now: datetime | None,
    *,
    idempotency: str = "Idempotency-Key",
) -> Outcome:
    """What the answer to a request means; without a response, that none came.

    `errors` says how the provider's refusals read. A failed write counts as safe to repeat if its
    method is (PUT, DELETE) or if it carries the `idempotency` header (or parameter, or field). Any
    other write that got no answer, or a server error, is `Unknown`. Without `now`, Retry-After is
    not read.
    """
    wrote = request.method not in READS and not request.reads
    repeatable = not wrote or request.method in _REPEATABLE or request.carries(idempotency)
    reply = _reply(errors, request, response)
    if response is None:
        return Retry(reply=reply, wrote=wrote) if repeatable else Unknown(reply=reply)
    if 200 <= response.status < 300 or response.status == 304:
        if _is_page(request, response):
            return Broken(reply=reply, wrote=wrote)
        if not _refuses(errors, response):
            return Ok(reply=reply)
    when = retry_after(response.headers.get("retry-after"), now) if now else None
    quota = response.headers.get(errors.quota, "") if errors.quota else ""
    by_code = _by_code(errors, reply, when, quota)
    if by_code is not None:
        return by_code
    hint = response.headers.get(errors.retry_hint, "").lower() if errors.retry_hint else ""
    if response.status >= 500 and response.status not in _NEVER_SERVED:
        return _failed(reply, when, hint, repeatable=repeatable, wrote=wrote)
    if response.status in (408, 425) or (hint == "true" and repeatable):
        return Retry(reply=reply, when=when, wrote=wrote)
    if response.status == 429:
        return Throttle(reply=reply, until=when, quota=quota)
    return _by_status(errors, reply, response)


def expect(
    provider: Provider, request: Request, response: Response, now: datetime | None = None
) -> Response:
    """The response if it worked; else the error that says what it means, in one sentence.

    Refused (`.problems`, `.code`), Conflict, ReconnectRequired, Throttled, Unreachable or
    OutcomeUnknown. Without `now`, Retry-After is not read.
    """
    headers = [one.idempotency for one in provider.resources if one.idempotency]
    outcome = classify(
        provider.errors,
        request,
        response,
        now,
        idempotency=headers[0] if headers else "Idempotency-Key",
    )
    outcome.raise_(provider.name)
    return response


def _failed(
    reply: Reply, when: datetime | None, hint: str, *, repeatable: bool, wrote: bool
) -> Outcome:
    """A server error that may pass."""
    if repeatable and hint != "false":
        return Retry(reply=reply, when=when, wrote=wrote)
    if wrote:
        return Unknown(reply=reply)
    return Refusal(reply=reply)


def _by_code(errors: Errors, reply: Reply, when: datetime | None, quota: str) -> Outcome | None:
    if reply.code in errors.throttled:
        return Throttle(reply=reply, until=when, quota=quota)
    if reply.code in errors.dead:
        return Refresh(reply=reply)
    if reply.code in errors.stale:
        return Stale(reply=reply)
    return None


def _by_status(errors: Errors, reply: Reply, response: Response) -> Outcome:
    match response.status:
        case 401:
            return Refresh(reply=reply)
        case 410:
            return Gone(reply=reply)
        case 404 if not errors.missing:
            return Gone(reply=reply)
        case status if reply.code in errors.missing and status in (200, errors.missing_status):
            return Gone(reply=reply)
        case 409 | 412:
            return Stale(reply=reply)
        case _:
            return Refusal(reply=reply, problems=_problems(errors, reply, response))


def _refuses(errors: Errors, response: Response) -> bool:
    """Whether an answer of success says that it is none."""
    if not errors.in_ok or errors.in_ok.rpartition(".")[2].encode() not in response.body:
        return False
    return find(_json(response), errors.in_ok) is not None


def _is_page(request: Request, response: Response) -> bool:
    """Whether a web page came where JSON was asked for."""
    told: str = response.headers.get("content-type", "")
    asked: str = request.headers.get("accept", "")
    return told.startswith("text/html") and asked == "application/json"


def _reply(errors: Errors, request: Request, response: Response | None) -> Reply:
    where = request.url.split("?")[0].split("://", 1)[-1].rsplit("@", 1)[-1]
    call = f"{request.method} {where}"
    if response is None:
        return Reply(call=call, status=None)
    if 200 <= response.status < 300 and not _refuses(errors, response):
        return Reply(call=call, status=response.status)
    body = _json(response)
    named = response.headers.get(errors.request_id) if errors.request_id else None
    return Reply(
        call=call,
        status=response.status,
        message=_cleaned(_message(errors, body), request.headers),
        code=_text(body, errors.code),
        request_id=named,
    )


def _problems(errors: Errors, reply: Reply, response: Response) -> Mapping[str, str]:
    field = _text(_json(response), errors.field)
    return {field: reply.message} if field else {}


def _json(response: Response) -> Any:
    try:
        return msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _message(errors: Errors, body: Any) -> str:
    """What the provider says, with its details where the page names them."""
    more = gathered(body, errors.details) if errors.details else []
    return ": ".join(each for each in (_text(body, errors.message), "; ".join(more)) if each)


def _text(body: Any, path: str) -> str:
    """A text or a whole number at a path; of several items the first that has one."""
    head, _, rest = path.partition("[].")
    found = find(body, head) if head else None
    if rest:
        items = found if isinstance(found, list) else []
        return next((told for item in items if (told := _text(item, rest))), "")
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    return str(found)


def _cleaned(message: str, headers: Headers) -> str:
    """The message on one line, cut short, with the request's own credentials blacked out."""
    for name in _SECRET_HEADERS:
        for word in headers.get(name, "").split():
            if len(word) >= 8:
                message = message.replace(word, "***")
    return " ".join(message.split())[:_LONGEST]
