"""How a provider says no."""

from collections.abc import Sequence

from landbridge.spec._check import Path, fact

__all__ = ["Errors"]


@fact
class Errors:
    """How the provider's refusals read. Paths lead into the error's body; where one goes through a
    list (`Fault.Error[].code`), its first text counts."""

    message: str = ""
    code: str = ""
    """Path to the code, a text or a whole number."""
    field: str = ""
    """Path to the name of the field at fault."""
    request_id: str = ""
    """The response header that its support asks for."""
    in_ok: Path = ""
    """Path to what an answer of success holds if it is a refusal all the same, such as `Fault`."""
    details: str = ""
    """Path to texts that say more than the message, such as `errors[].text`."""
    in_record: str = ""
    """Path to such texts inside a record that a write is answered with: with any of them, the write
    was refused, whatever the status."""
    retry_hint: str = ""
    """A response header that says true or false: may the call be repeated?"""
    throttled: Sequence[str] = ()
    """Codes that mean "slow down", whatever the status."""
    quota: str = ""
    """The response header that names the quota a refusal is about, as `Quota.name` does."""
    dead: Sequence[str] = ()
    """Codes that mean the credentials are gone for good."""
    stale: Sequence[str] = ()
    """Codes that mean somebody else changed it first."""
    missing: Sequence[str] = ()
    """Codes that mean there is no such record; empty: a 404 alone says so."""
    missing_status: int = 404
    """The status with which those codes come."""
