"""What a test does behind CalDAV's back, under `/_sim/`. `{calendar}` is its last path segment.

| call | does |
|---|---|
| `GET /_sim/objects` | how many objects each calendar has, and how many were deleted |
| `GET /_sim/objects/{calendar}` | every object: href, etag, uid, text; hrefs of the deleted |
| `PUT /_sim/objects/{calendar}/{name} {"text": ".."}` | creates or replaces, readable or not |
| `DELETE /_sim/objects/{calendar}/{name}` | deletes |
| `POST /_sim/expire-tokens` | makes every sync token that was given out invalid |
| `POST /_sim/churn {"count": 20, "seed": 1, "calendar": ".."}` | ordinary changes; which |

Beside these there is what every simulator has (`landbridge.testing.stage`).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from landbridge.testing.asgi import Answer, BadCall, Call, as_json
from landbridge.testing.caldav.calendars import Calendar, Object
from landbridge.testing.caldav.events import events
from landbridge.testing.stage import Stage, whole


class ControlPlane:
    """The routes of the table above, added to the stage's."""

    def __init__(self, stage: Stage, calendars: dict[str, Calendar]):
        self._calendars = calendars
        self._clock = stage.clock
        for method, path, route in (
            ("GET", "/_sim/objects", self._counts),
            ("GET", "/_sim/objects/{calendar}", self._objects),
            ("PUT", "/_sim/objects/{calendar}/{name}", self._put),
            ("DELETE", "/_sim/objects/{calendar}/{name}", self._delete),
            ("POST", "/_sim/expire-tokens", self._expire),
            ("POST", "/_sim/churn", self._churn),
        ):
            stage.control.add(method, path, route)

    def _counts(self, _: Call) -> Answer:
        """How many objects each calendar has, and how many were deleted."""
        return as_json(
            {
                path: {"objects": len(each.objects), "deleted": len(each.deleted())}
                for path, each in self._calendars.items()
            }
        )

    def _objects(self, call: Call) -> Answer:
        """Every object of a calendar, and the hrefs of the deleted."""
        calendar = self._calendar(call.place["calendar"])
        return as_json(
            {
                "objects": [_shown(calendar, each) for each in calendar.objects.values()],
                "deleted": [calendar.path + name for name in calendar.deleted()],
            }
        )

    def _put(self, call: Call) -> Answer:
        """Creates or replaces an object, readable or not."""
        calendar = self._calendar(call.place["calendar"])
        text = call.json().get("text")
        if not isinstance(text, str):
            raise BadCall("text: the object's text is needed")
        return as_json(_shown(calendar, calendar.spoil(call.place["name"], text)))

    def _delete(self, call: Call) -> Answer:
        """Deletes an object."""
        calendar, name = self._calendar(call.place["calendar"]), call.place["name"]
        if name not in calendar.objects:
            raise BadCall(f"name: there is no {name!r} in {calendar.path}")
        calendar.delete(name)
        return as_json({"deleted": calendar.path + name})

    def _expire(self, _: Call) -> Answer:
        """Makes every sync token that was given out invalid."""
        return as_json({"expired": sum(each.expire_tokens() for each in self._calendars.values())})

    def _churn(self, call: Call) -> Answer:
        """Creates, changes and deletes events, as users do."""
        asked = call.json()
        name = str(asked.get("calendar", "calendar"))
        rng = random.Random(whole(asked, "seed", 0))  # noqa: S311 - changes to test with
        calendar = self._calendar(name)
        count = whole(asked, "count", 10)
        day = datetime.fromtimestamp(self._clock.now(), UTC)
        new = events(count, seed=rng.getrandbits(32), day=day)
        done: list[dict[str, Any]] = []
        for item in new:
            did = rng.choice(("created", "changed", "changed", "deleted"))
            names = list(calendar.objects)
            if did == "created" or not names:
                did, changed = "created", item.name
                calendar.put(changed, item.text)
            elif did == "changed":
                changed = rng.choice(names)
                calendar.put(changed, _touched(calendar.objects[changed].text, rng))
            else:
                changed = rng.choice(names)
                calendar.delete(changed)
            done.append({"did": did, "href": calendar.path + changed})
        return as_json({"done": done})

    def _calendar(self, name: str) -> Calendar:
        for path, each in self._calendars.items():
            if path.endswith(f"/{name}/"):
                return each
        raise BadCall(f"calendar: {name!r} is none of {', '.join(self._calendars)}")


def _shown(calendar: Calendar, one: Object) -> dict[str, Any]:
    return {
        "href": calendar.path + one.name,
        "etag": one.etag,
        "uid": one.uid,
        "text": one.text,
    }


def _touched(text: str, rng: random.Random) -> str:
    """The same object with another comment in its first event."""
    comment = f"COMMENT:touched {rng.randrange(10**6)}\r\nEND:VEVENT"
    return text.replace("END:VEVENT", comment, 1)
