"""The log of a long-running command: lines on standard error, apart from what it answers."""

from __future__ import annotations

import sys
from typing import Any


def log_to_stderr() -> None:
    """Sends our log to standard error: for a person on a terminal, else one JSON object a line.

    Tracebacks never show local variables: a secret may be among them.
    """
    import logging

    import structlog

    person = sys.stderr.isatty()
    shown: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if person:
        plain = structlog.dev.plain_traceback
        shown.append(structlog.dev.ConsoleRenderer(exception_formatter=plain))
    else:
        shown += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=shown, logger_factory=structlog.PrintLoggerFactory(file=sys.stderr)
    )
    logging.getLogger("landbridge.call").setLevel(logging.INFO)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s"
    )
