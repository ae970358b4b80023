"""One try on its way into the call log, the log and a trace."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from landbridge.client.call_log import CallLog
from landbridge.client.seams import Lane
from landbridge.clock import Clock
from landbridge.resilience import Outcome
from landbridge.spec import Provider
from landbridge.store.calls import Call
from landbridge.store.connections import Connection
from landbridge.wire import Request


class Telling:
    """Begun with a try; `ended` says what became of it. Without a log it is only a span."""

    __slots__ = (
        "_attempt",
        "_begun",
        "_connection",
        "_lane",
        "_log",
        "_monotonic",
        "_path",
        "_provider",
        "_request",
        "_span",
        "_started",
        "_subject",
    )

    def __init__(
        self,
        log: CallLog | None,
        tracer: Tracer,
        provider: Provider,
        connection: Connection,
        request: Request,
        *,
        attempt: int,
        lane: Lane,
        clock: Clock,
        monotonic: Callable[[], float],
    ):
        self._log = log
        self._provider = provider
        self._connection = connection
        self._request = request
        self._attempt = attempt
        self._lane = lane
        self._monotonic = monotonic
        if log is None:
            return
        self._path, self._subject = log.path(provider, connection, request.url)
        self._begun = clock.now()
        self._started = monotonic()
        self._span = tracer.start_span(f"{request.method} {self._path}", kind=SpanKind.CLIENT)

    def ended(self, outcome: Outcome | None, reason: str) -> None:
        """What the try came to; None: it was cancelled."""
        if self._log is None:
            return
        word = "cancelled" if outcome is None else type(outcome).__name__.lower()
        reply = None if outcome is None else outcome.reply
        call = Call(
            environment=self._connection.environment,
            tenant=self._connection.tenant,
            connection=self._connection.id,
            method=self._request.method,
            path=self._path,
            status=reply.status if reply else None,
            attempt=self._attempt,
            took_ms=round((self._monotonic() - self._started) * 1000),
            outcome=word,
            lane=str(self._lane),
            request_id=reply.request_id if reply else None,
            error=reason[:200] or None,
            subject=self._subject,
            created_at=self._begun,
        )
        if self._span.is_recording():
            self._trace(call)
        self._span.end()
        self._log.add(self._provider, call)

    def _trace(self, call: Call) -> None:
        """Attributes by OpenTelemetry's conventions for HTTP clients, and ours."""
        span = self._span
        host = self._request.url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]
        span.set_attributes(
            {
                "http.request.method": call.method,
                "url.template": call.path,
                "server.address": host,
                "http.request.resend_count": call.attempt - 1,
                "landbridge.provider": self._provider.slug,
                "landbridge.connection": call.connection,
                "landbridge.environment": call.environment,
                "landbridge.outcome": call.outcome,
                "landbridge.lane": call.lane,
            }
        )
        if call.status is not None:
            span.set_attribute("http.response.status_code", call.status)
        if call.outcome != "ok":
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", call.error or call.outcome)
