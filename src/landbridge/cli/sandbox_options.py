"""How simulators of `landbridge sandbox` are told to behave badly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landbridge.cli.moments import span
from landbridge.cli.usage import WrongUsage

if TYPE_CHECKING:
    from landbridge.testing.conduct import Conduct
    from landbridge.testing.faults import Fault

_RECEIVER = "receiver"
_WORDS = ("kind", "path", "method")


def conducts(
    chosen: Sequence[str],
    *,
    faults: Sequence[str],
    webhooks: str | None,
    token_life: str | None,
    quota: str | None,
) -> dict[str, Conduct]:
    """How each of the chosen ones behaves; `WrongUsage` names the option, what it was given and
    what it takes."""
    from landbridge.errors import SettingsError
    from landbridge.testing.conduct import Conduct

    more: dict[str, Any] = {**_webhooks(webhooks)} if webhooks else {}
    if token_life is not None:
        more["token_life"] = span(token_life, "--token-life").total_seconds()
    ordered: dict[str, list[Fault]] = {name: [] for name in chosen}
    for text in faults:
        name, asked = _fault(text, chosen)
        ordered[name].append(asked)
    try:
        return {
            name: Conduct(faults=tuple(ordered[name]), quota=quota or "", **more) for name in chosen
        }
    except SettingsError as error:
        field, _, said = str(error).partition(": ")
        option = {"late": "--webhooks late", "duplicate": "--webhooks duplicate"}
        raise WrongUsage(f"{option.get(field, '--' + field.replace('_', '-'))}: {said}") from None


def _webhooks(text: str) -> Mapping[str, float]:
    """`late=5s,duplicate=0.1`"""
    made: dict[str, float] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        if key == "late":
            made["late"] = span(value, "--webhooks late").total_seconds()
        elif key == "duplicate":
            try:
                made["duplicate"] = float(value)
            except ValueError:
                raise WrongUsage(
                    f"--webhooks duplicate: {value!r} is no share from 0 to 1, such as 0.1"
                ) from None
        else:
            raise WrongUsage(
                f"--webhooks {text}: {part!r} is neither late=SPAN nor duplicate=SHARE, like"
                " late=5s,duplicate=0.1"
            )
    return made


def _fault(text: str, chosen: Sequence[str]) -> tuple[str, Fault]:
    """Whose fault, and which."""
    from msgspec import ValidationError

    from landbridge.testing.faults import fault_of

    name, colon, rest = text.partition(":")
    if not colon or name not in chosen:
        raise WrongUsage(
            f"--fault {text}: it begins with one of those that run and a colon, like"
            f" {chosen[0]}:status=503"
        )
    if name == _RECEIVER:
        raise WrongUsage(
            f"--fault {text}: the receiver fails by its own option, --fail-first of"
            " python -m landbridge.testing.serve receiver"
        )
    asked: dict[str, Any] = {"kind": "status"}
    for part in rest.split(","):
        key, equals, value = part.partition("=")
        if key == "retry-after" and value:
            asked["headers"] = {"retry-after": value}
        elif key == "after" and not equals:
            asked["after"] = True
        elif not equals:
            raise WrongUsage(f"--fault {text}: {part!r} is not KEY=VALUE, like status=503")
        else:
            asked[key] = value if key in _WORDS else _number(text, key, value)
    try:
        return name, fault_of(asked)
    except ValidationError as error:
        raise WrongUsage(f"--fault {text}: {error}; it takes {_takes()}") from None


def _takes() -> str:
    """What a fault may say, with the words that one of its fields is of."""
    from typing import get_args, get_type_hints

    from landbridge.testing.faults import Fault

    kinds = " or ".join(get_args(get_type_hints(Fault)["kind"]))
    names = [name for name in Fault.__struct_fields__ if name not in ("kind", "headers")]
    return f"kind ({kinds}), {', '.join(names)} and retry-after"


def _number(text: str, key: str, value: str) -> Any:
    """The value of a key that counts or says yes or no."""
    try:
        return json.loads(value)
    except ValueError:
        raise WrongUsage(
            f"--fault {text}: {key} is {value!r}, which is no number, true or false"
        ) from None
