"""What a demonstration found: counts as Landbridge has them beside the other sides' journals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Line:
    """One count: Landbridge's own, and the one that the other sides' journals give."""

    what: str
    ours: int
    theirs: int
    note: str = ""

    @property
    def matched(self) -> bool:
        """Whether both say the same."""
        return self.ours == self.theirs


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one comparison found. `lost` is part of `differences`, which are sentences."""

    lost: int = 0
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a demonstration. `duplicated` is allowed, `lost` is not."""

    lines: Sequence[Line]
    findings: Sequence[Finding]
    duplicated: int
    seconds: float
    sides: Mapping[str, str]
    """Who the other sides were: calendar server, payments, what verified the deliveries."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers for `--json`."""
    planted: Sequence[str] = ()

    @property
    def lost(self) -> int:
        """Records, webhooks and deliveries that did not come through."""
        return sum(finding.lost for finding in self.findings)

    @property
    def differences(self) -> tuple[str, ...]:
        """Every difference as a sentence, counts that disagree included."""
        counts = tuple(
            f"{line.what}: Landbridge has {line.ours}, the journals have {line.theirs}"
            for line in self.lines
            if not line.matched
        )
        return tuple(text for finding in self.findings for text in finding.differences) + counts

    @property
    def matched(self) -> bool:
        """Whether everything agreed."""
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """The outcome as one JSON object; each line's own count stands under its name."""
        return {
            "matched": self.matched,
            "seconds": round(self.seconds, 1),
            **{line.what.replace(" ", "_"): line.ours for line in self.lines},
            "duplicated": self.duplicated,
            "lost": self.lost,
            "journals": {line.what.replace(" ", "_"): line.theirs for line in self.lines},
            "sides": dict(self.sides),
            **self.facts,
            **({"planted": list(self.planted)} if self.planted else {}),
            "differences": list(self.differences[:_SHOWN]),
            "differences_in_all": len(self.differences),
        }
