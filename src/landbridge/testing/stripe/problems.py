"""What Stripe refuses, in its own words and shape (docs.stripe.com/api/errors)."""

from __future__ import annotations

from typing import Any


class Problem(Exception):
    """A refusal. `kept` tells whether it stays under the request's idempotency key."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        kept: bool = False,
        retry: bool | None = None,
        more: dict[str, Any] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.retry = retry
        named = {"code": code, "param": param}
        self.error: dict[str, Any] = {
            "message": message,
            "type": type,
            **{key: value for key, value in named.items() if value is not None},
            **(more or {}),
        }
        if code is not None:
            self.error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"

    def body(self) -> dict[str, Any]:
        """The JSON that goes out."""
        return {"error": self.error}


def no_such(noun: str, object_id: str, param: str = "id", *, status: int = 404) -> Problem:
    """404 for an id in the path, 400 for one in a parameter."""
    message = f"No such {noun}: '{object_id}'"
    return Problem(message, status=status, code="resource_missing", param=param)


def missing(param: str) -> Problem:
    """A required parameter was not sent."""
    message = f"Missing required param: {param}."
    return Problem(message, code="parameter_missing", param=param)


def unknown(params: list[str]) -> Problem:
    """Parameters that this operation does not take."""
    noun = "parameter" if len(params) == 1 else "parameters"
    message = f"Received unknown {noun}: {', '.join(params)}"
    return Problem(message, code="parameter_unknown", param=params[0])


def conflict(message: str, code: str | None = None, param: str | None = None) -> Problem:
    """The object's state forbids it; decided while the operation ran, so it is kept."""
    return Problem(message, code=code, param=param, kept=True)


def not_simulated(param: str) -> Problem:
    """The real service takes this parameter and the simulator does not: never silently ignored."""
    message = f"The simulator does not know what to do with '{param}'."
    return Problem(message, status=501, type="api_error", param=param)


def unauthorised(message: str, code: str | None = None) -> Problem:
    """No key, or one that is not accepted."""
    return Problem(message, status=401, code=code)


def reused_key(message: str) -> Problem:
    """An idempotency key that was used for something else."""
    return Problem(message, type="idempotency_error")


def key_in_use(key: str) -> Problem:
    """An idempotency key whose first request has not finished."""
    message = (
        f"There is currently another in-progress request using this Idempotent Key: {key}."
        " Please try again later."
    )
    return Problem(
        message, status=409, type="idempotency_error", code="idempotency_key_in_use", retry=True
    )
