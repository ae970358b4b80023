"""Holds what came and went against the journals of those it came from and went to. No I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from landbridge.cli.demo.outcome import Finding

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """An event whose transaction was committed, by the one who emitted it."""

    id: str
    type: str
    tenant: str


@dataclass(frozen=True, kw_only=True)
class Hook:
    """An endpoint of the receiver: whose events it wants, and of which types."""

    name: str
    tenant: str
    types: tuple[str, ...]

    def wants(self, event: Emitted) -> bool:
        """Whether this event must come here: `invoice.*` means every type of that family."""
        return event.tenant == self.tenant and any(
            wanted in {"*", event.type}
            or (wanted.endswith(".*") and event.type.startswith(wanted[:-1]))
            for wanted in self.types
        )


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """The receiver's side of all deliveries. A pair is an event and an endpoint that wants it."""

    promised: int
    arrived: int
    duplicated: int
    failed: int
    """Tries that the receiver failed on purpose."""
    events: int
    finding: Finding


def deliveries(
    journal: Iterable[Entry], emitted: Sequence[Emitted], hooks: Sequence[Hook]
) -> Deliveries:
    """Each committed event at each endpoint that wants it, verified; nothing else anywhere."""
    promised = {(hook.name, event.id) for event in emitted for hook in hooks if hook.wants(event)}
    accepted: Counter[tuple[str, str]] = Counter()
    bodies: dict[str, set[str]] = defaultdict(set)
    differences: list[str] = []
    failed = 0
    for entry in journal:
        pair = (str(entry["endpoint"]), str(entry["webhook_id"]))
        if not entry["verified"]:
            differences.append(f"a delivery to {pair[0]!r} is not genuine: {entry['reason']}")
            continue
        if pair not in promised:
            differences.append(f"event {pair[1]} arrived at {pair[0]!r}, not promised to it")
        bodies[pair[1]].add(str(entry["body_sha256"]))
        failed += entry["failed"] is not None
        accepted[pair] += 200 <= (entry["status"] or 0) < 300
    missing = sorted(pair for pair in promised if not accepted[pair])
    differences += [f"event {event} never arrived at {name!r}" for name, event in missing]
    differences += [
        f"event {event} arrived with {len(found)} different bodies"
        for event, found in bodies.items()
        if len(found) > 1
    ]
    arrived = [pair for pair in promised if accepted[pair]]
    return Deliveries(
        promised=len(promised),
        arrived=len(arrived),
        duplicated=sum(accepted[pair] - 1 for pair in arrived),
        failed=failed,
        events=len({event for _, event in arrived}),
        finding=Finding(lost=len(missing), differences=tuple(differences)),
    )


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """The sender's side of all webhooks."""

    accepted: int
    """Genuine events that were answered with success, each counted once."""
    refused: int
    """Tries that were answered with a refusal."""
    repeated: int
    """Tries of an event that had been answered with success before."""
    finding: Finding


def webhooks(
    journal: Iterable[Entry], genuine: AbstractSet[str], inbox: Iterable[str], *, stored: int
) -> Webhooks:
    """Each genuine event that was accepted is in the inbox once; nothing forged is kept.

    `genuine` are the ids of the events that there are at the sender, `inbox` those that we hold,
    `stored` how many raw webhooks we keep.
    """
    accepted: Counter[str] = Counter()
    tried: set[str] = set()
    differences: list[str] = []
    refused = successes = 0
    for entry in journal:
        event, status = str(entry["event"]), entry["status"] or 0
        successes += 200 <= status < 300
        if not 200 <= status < 300:
            refused += 400 <= status < 500
        elif event in genuine:
            accepted[event] += 1
        else:
            differences.append(f"the webhook {event}, which no event stands behind, was accepted")
        if event in genuine:
            tried.add(event)
    if stored != successes:
        differences.append(f"{stored} webhooks are stored, but {successes} were accepted")
    held = Counter(inbox)
    lost = sorted(event for event in accepted if not held[event])
    differences += [f"event {event} was accepted and is not in the inbox" for event in lost]
    refused_for_good = sorted(tried - set(accepted))
    differences += [f"event {event} was sent and never accepted" for event in refused_for_good]
    differences += [
        f"event {event} is in the inbox {times} times" for event, times in held.items() if times > 1
    ]
    differences += [
        f"the inbox holds {event}, which was never accepted from its sender"
        for event in sorted(set(held) - set(accepted))
    ]
    return Webhooks(
        accepted=len(accepted),
        refused=refused,
        repeated=sum(times - 1 for times in accepted.values()),
        finding=Finding(lost=len(lost), differences=tuple(differences)),
    )
