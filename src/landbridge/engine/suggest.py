"""Which of a provider's codes stands for which of ours: suggestions, with a score and a reason.

Pure. A rate that is the same, or the kind of an account, says more than a name does; codes whose
rate, kind or country differ are never the same. Where two are equally near, neither is suggested.
Nothing is set by a suggestion: a person confirms it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Final

from landbridge.errors import SpecError, did_you_mean
from landbridge.models.accounting import AccountCategory

LEAST: Final = 0.6
"""The score from which on a code is suggested."""

MARGIN: Final = 0.05
"""By how much the best must be better than the next."""

_RATE, _HISTORY, _CATEGORY, _NAME, _USE, _OTHERS, _TYPE, _SAME, _COUNTRY = 6, 4, 3, 3, 3, 3, 3, 2, 1
_UNKNOWN: Final = 1
"""Weight of what nobody told: with little evidence a score stays below 1."""

_FEW: Final = 2
"""Tenants at least whose lines count for another one."""

_ALIKE: Final = 0.4
_CATEGORIES: Final = frozenset(str(each) for each in AccountCategory)
_SALE: Final = frozenset("sale sales output income revenue".split())
_PURCHASE: Final = frozenset("purchase purchases input expense expenses bill bills".split())
_USES: Final = ("sale", "purchase")

_Evidence = tuple[int, float, str]
"""Weight, how far it agrees (0 to 1), and the reason in words."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """A code that documents name: one of ours, as a SaaS declares it, or one of a provider's.

    What is known is compared, the rest is left out. `category` is asset, liability, equity, revenue
    or expense, `type` the finer word of a provider, `rate` percent (20 for 20 %), `use` of a tax
    sale or purchase, `country` an ISO 3166-1 code of two letters.
    """

    code: str
    name: str = ""
    category: str = ""
    type: str = ""
    rate: Decimal | None = None
    use: str = ""
    country: str = ""

    def __post_init__(self) -> None:
        """Refuses a code that says nothing, and words that there are not."""
        label = f"Code {self.code!r}"
        if not self.code:
            raise SpecError("Code, code: it is empty")
        for name, value, words in (
            ("category", self.category, _CATEGORIES),
            ("use", self.use, _USES),
        ):
            if value and value not in words:
                raise SpecError(
                    f"{label}, {name}: {value!r} is none of {', '.join(sorted(words))}."
                    f"{did_you_mean(value, words)}"
                )
        if self.rate is not None and not isinstance(self.rate, Decimal):
            raise SpecError(f"{label}, rate: give a Decimal of percent, such as Decimal('20')")
        if self.country and not re.fullmatch("[A-Z]{2}", self.country):
            raise SpecError(f"{label}, country: {self.country!r} is no code such as NZ")

    @property
    def called(self) -> str:
        """The code with its name."""
        return f"{self.code} ({self.name})" if self.name and self.name != self.code else self.code


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How often a line stands in code tables elsewhere: in `own` ones of the same tenant, and in
    those of `others` (how many tenants)."""

    own: int = 0
    others: int = 0


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What one of our codes is likely called at the provider, with a score (0 to 1) and the reason
    in words. `theirs` None: nothing is suggested, and the reason says why."""

    ours: Code
    theirs: Code | None
    score: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Fit:
    theirs: Code
    score: float
    reasons: Sequence[str] = field(default_factory=tuple)


def suggest(
    ours: Sequence[Code],
    theirs: Sequence[Code],
    *,
    lines: Mapping[str, str] | None = None,
    history: Mapping[tuple[str, str], Seen] | None = None,
    least: float = LEAST,
) -> list[Suggestion]:
    """A suggestion for each of our codes that has no line, in the order of `ours`.

    `lines` are there already, theirs to ours; `history` counts lines elsewhere by (theirs, ours).
    A code of theirs is suggested once at most, and the order of `theirs` changes nothing.
    """
    there, known = lines or {}, history or {}
    free = sorted((one for one in theirs if one.code not in there), key=lambda one: one.code)
    open_ones = [one for one in ours if one.code not in there.values()]
    fits = {one.code: _fits(one, free, known) for one in open_ones}
    wanted: dict[str, list[tuple[float, Code]]] = {}
    for one in open_ones:
        for fit in fits[one.code][:1]:
            wanted.setdefault(fit.theirs.code, []).append((fit.score, one))
    return [_chosen(one, fits[one.code], wanted, least) for one in open_ones]


def _fits(ours: Code, free: Sequence[Code], known: Mapping[tuple[str, str], Seen]) -> list[_Fit]:
    """Codes of theirs that may be it, the best first."""
    found = [
        fit
        for each in free
        if (fit := _fit(ours, each, known.get((each.code, ours.code), Seen()))) is not None
    ]
    return sorted(found, key=lambda fit: -fit.score)


def _chosen(
    ours: Code,
    fits: Sequence[_Fit],
    wanted: Mapping[str, Sequence[tuple[float, Code]]],
    least: float,
) -> Suggestion:
    def none(score: float, reason: str) -> Suggestion:
        return Suggestion(ours=ours, theirs=None, score=score, reason=reason)

    if not fits:
        return none(0.0, "no free code of the provider agrees with it")
    best = fits[0]
    near = [fit.theirs.called for fit in fits if best.score - fit.score < MARGIN]
    if best.score < least:
        return none(best.score, f"nothing is near enough; the nearest is {best.theirs.called}")
    if len(near) > 1:
        return none(best.score, f"{_listed(near)} fit equally")
    rivals = [(score, one) for score, one in wanted[best.theirs.code] if one.code != ours.code]
    stronger = [one.called for score, one in rivals if score > best.score - MARGIN]
    if stronger:
        return none(best.score, f"{best.theirs.called} fits {_listed(stronger)} as well or better")
    return Suggestion(
        ours=ours, theirs=best.theirs, score=best.score, reason=_sentence(best.reasons)
    )


def _fit(ours: Code, theirs: Code, seen: Seen) -> _Fit | None:
    """How well a code of theirs fits; None: it is another one."""
    if any(
        one and other and one != other
        for one, other in (
            (ours.category, theirs.category),
            (ours.country, theirs.country),
            (_bare(ours.rate), _bare(theirs.rate)),
        )
    ):
        return None
    said = [*_facts(ours, theirs), *_history(seen), _name(ours, theirs)]
    weight = sum(each for each, _, _ in said) + _UNKNOWN
    score = sum(each * value for each, value, _ in said) / weight
    return _Fit(theirs=theirs, score=round(score, 3), reasons=[one for _, _, one in said if one])


def _facts(ours: Code, theirs: Code) -> Iterator[_Evidence]:
    """What both say of themselves."""
    taxes = ours.rate is not None and theirs.rate is not None
    if taxes:
        yield _RATE, 1.0, f"the rate is the same ({_bare(theirs.rate)} %)"
    if ours.category and theirs.category:
        yield _CATEGORY, 1.0, f"the kind is the same ({theirs.category})"
    if ours.type and theirs.type:
        same = ours.type.casefold() == theirs.type.casefold()
        yield _TYPE, float(same), f"the type is the same ({theirs.type})" if same else ""
    if taxes and (one := _use(ours)) and (other := _use(theirs)):
        yield _USE, float(one == other), f"both are for {one}s" if one == other else ""
    if ours.country and theirs.country:
        yield _COUNTRY, 1.0, f"the country is the same ({theirs.country})"
    if ours.code.casefold() == theirs.code.casefold():
        yield _SAME, 1.0, f"both have the code {theirs.code}"


def _history(seen: Seen) -> Iterator[_Evidence]:
    if seen.own:
        places = "connection" if seen.own == 1 else "connections"
        yield _HISTORY, 1.0, f"it was confirmed in {seen.own} other {places}"
    elif seen.others >= _FEW:
        yield _OTHERS, 1.0, f"{seen.others} others confirmed it"


def _name(ours: Code, theirs: Code) -> _Evidence:
    alike = likeness(ours.name or ours.code, theirs.name or theirs.code)
    reason = "the name is the same" if alike == 1 else "the names are alike"
    return _NAME, alike, reason if alike >= _ALIKE else ""


def likeness(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1: by their words, in whatever order, and by their letters
    (difflib; half of them any two names have in common). Case and accents do not count."""
    words = sorted([_words(one), _words(other)])
    if not all(words):
        return 0.0
    first, second = words
    if first == second:
        return 1.0
    shared = len(set(first) & set(second))
    by_words = 2 * shared / (len(set(first)) + len(set(second)))
    letters = SequenceMatcher(None, " ".join(first), " ".join(second), autojunk=False).ratio()
    return min(max(by_words, 2 * letters - 1), 0.99)


def _words(name: str) -> list[str]:
    bare = unicodedata.normalize("NFKD", name.casefold())
    return sorted(
        re.findall(r"\w+", "".join(each for each in bare if not unicodedata.combining(each)))
    )


def _use(code: Code) -> str:
    """What a tax is for: as it says, else by the words of its name, if they are of one sort."""
    if code.use:
        return code.use
    words = set(_words(f"{code.name} {code.code}".casefold().replace("sales tax", "tax")))
    words |= {word.rstrip("0123456789") for word in words}
    found = [use for use, those in zip(_USES, (_SALE, _PURCHASE), strict=True) if words & those]
    return found[0] if len(found) == 1 else ""


def _bare(rate: Decimal | None) -> str:
    """A rate without zeros at its end, as text."""
    plain = "" if rate is None else f"{rate:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _listed(names: Collection[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _sentence(reasons: Sequence[str]) -> str:
    return "; ".join(reasons) or "nothing else comes near"
