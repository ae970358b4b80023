"""What a test or a demonstration does behind the API's back, under `/_sim/`.

| call | does |
|---|---|
| `GET /_sim/objects` | how many of each collection, and how many deleted |
| `GET /_sim/objects/{collection}` | all of them with every line, oldest first; ids of the deleted |
| `POST /_sim/objects/{collection}[?created=UNIX] {..}` | creates by the other side: typed JSON |
|  | parameters; with `created`, one that was begun then and is committed only now |
| `PATCH /_sim/objects/{collection}/{id}[?event=false]` | `{"set": {"a.b": 1}, "unset": ["c"]}` |
| `DELETE /_sim/objects/{collection}/{id}[?event=false]` | deletes anything, also without an event |
| `POST /_sim/objects/{collection}/{id}/restore[?event=false]` | brings a deleted object back |
| `POST /_sim/churn {"count": 50, "seed": 1}` | ordinary changes of all kinds; which |
| `POST /_sim/keys {"accept": ["sk_.."]}` | the keys accepted from now on |
| `DELETE /_sim/idempotency` | forgets all idempotency keys, as after 24 hours |
| `GET /_sim/webhooks` | mode, tries still waiting |
| `POST /_sim/webhooks/mode {"mode": "send" or "hold" or "lose"}` | see `webhooks.Dispatcher` |
| `POST /_sim/webhooks/release {"order": "reversed", "times": 2, "seed": 1}` | sends what was held |
| `POST /_sim/webhooks/send {..}` | one by hand: forged, old, twice, ... (`webhooks.Special`) |
| `POST /_sim/webhooks/roll {"endpoint": ".."}`, `.../retire` | begins, ends a secret's roll |

An unreadable record is a `PATCH {"set": {"currency": null}}`; the answer shows what was before.
Beside these there is what every simulator has (`stage`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from landbridge.testing.asgi import Answer, BadCall, Call, as_json
from landbridge.testing.planes import WebhookCalls
from landbridge.testing.stage import Stage, among, whole
from landbridge.testing.stripe.api import creators, others_creators
from landbridge.testing.stripe.churn import churn
from landbridge.testing.stripe.idempotency import Keys
from landbridge.testing.stripe.problems import Problem
from landbridge.testing.stripe.webhooks import Dispatcher, Special
from landbridge.testing.stripe.world import Collection, Obj, World, copied


class ControlPlane(WebhookCalls[Dispatcher]):
    """The routes of the table above, added to the stage's."""

    def __init__(
        self,
        stage: Stage,
        world: World,
        dispatcher: Dispatcher,
        keys: Keys,
        accepted: set[str],
    ):
        self._world = world
        self._dispatcher = dispatcher
        self._keys = keys
        self._accepted = accepted
        objects = "/_sim/objects/{collection}"
        for method, path, route in (
            ("GET", "/_sim/objects", self._counts),
            ("GET", objects, self._objects),
            ("POST", objects, self._create),
            ("PATCH", f"{objects}/{{id}}", self._patch),
            ("DELETE", f"{objects}/{{id}}", self._delete),
            ("POST", f"{objects}/{{id}}/restore", self._restore),
            ("POST", "/_sim/churn", self._churn),
            ("POST", "/_sim/keys", self._accept),
            ("DELETE", "/_sim/idempotency", self._forget),
            ("GET", "/_sim/webhooks", self._webhooks),
            ("POST", "/_sim/webhooks/mode", self._mode),
            ("POST", "/_sim/webhooks/release", self._release),
            ("POST", "/_sim/webhooks/send", self._send),
            ("POST", "/_sim/webhooks/roll", self._roll),
            ("POST", "/_sim/webhooks/retire", self._retire),
        ):
            stage.control.add(method, path, route)

    def _counts(self, _: Call) -> Answer:
        """How many objects each collection has, and how many were deleted."""
        return as_json(
            {
                name: {"objects": len(each.items), "deleted": len(each.gone)}
                for name, each in self._world.collections.items()
            }
        )

    def _objects(self, call: Call) -> Answer:
        """All objects of a collection, oldest first, and the ids of the deleted ones."""
        collection = self._collection(call)
        oldest_first = list(collection.newest_first())[::-1]
        return as_json({"objects": oldest_first, "deleted": list(collection.gone)})

    def _create(self, call: Call) -> Answer:
        """Creates an object by the other side."""
        name = call.place["collection"]
        makes = creators(self._world, self._dispatcher) | others_creators(self._world)
        create = makes.get(name)
        if create is None:
            raise BadCall(f"collection: {name!r} cannot be created into")
        created = call.args().get("created")
        try:
            made = create(call.json())
            if created is not None:
                self._collection(call).backdate(made["id"], whole(call.args(), "created", 0))
            return as_json(made)
        except Problem as problem:
            raise BadCall(str(problem)) from None
        except KeyError as absent:
            raise BadCall(f"{absent.args[0]}: is required") from None

    def _patch(self, call: Call) -> Answer:
        """Changes an object by the other side, to anything."""
        obj = self._object(call)
        asked = call.json()
        before = copied(obj)
        changed = _patched(obj, asked.get("set", {}), asked.get("unset", []))
        events = [f"{_topic(obj)}.updated"] if _wants_event(call) else []
        with self._world.changing(obj, *events):
            obj.clear()
            obj.update(changed)
        return as_json({"before": before, "after": obj})

    def _delete(self, call: Call) -> Answer:
        """Deletes an object by the other side."""
        obj = self._object(call)
        self._collection(call).remove(obj["id"])
        if _wants_event(call):
            self._world.event(f"{_topic(obj)}.deleted", obj)
        return as_json({"deleted": obj["id"]})

    def _restore(self, call: Call) -> Answer:
        """Brings a deleted object back."""
        collection = self._collection(call)
        if call.place["id"] not in collection.gone:
            raise BadCall(f"id: {call.place['id']!r} was not deleted")
        obj = collection.restore(call.place["id"])
        if _wants_event(call):
            self._world.event(f"{_topic(obj)}.updated", obj, {})
        return as_json(obj)

    def _churn(self, call: Call) -> Answer:
        """Makes ordinary changes of all kinds."""
        asked = call.json()
        done = churn(self._world, count=whole(asked, "count", 10), seed=whole(asked, "seed", 0))
        return as_json({"done": done})

    def _accept(self, call: Call) -> Answer:
        """Accepts these API keys and no others from now on."""
        keys = call.json().get("accept")
        if not isinstance(keys, list) or not all(isinstance(each, str) for each in keys):
            raise BadCall('accept: a list of keys is needed, like ["sk_test_1"]')
        self._accepted.clear()
        self._accepted.update(keys)
        return as_json({"accepted": len(keys)})

    def _forget(self, _: Call) -> Answer:
        """Forgets all idempotency keys."""
        return as_json({"forgotten": self._keys.forget()})

    def _release(self, call: Call) -> Answer:
        """Sends what was held, in the order and as often as asked."""
        asked = call.json()
        order = str(asked.get("order", "created"))
        times, seed = whole(asked, "times", 1), whole(asked, "seed", 0)
        return as_json({"released": self._dispatcher.release_in(order, times, seed)})

    async def _send(self, call: Call) -> Answer:
        """Sends one webhook by hand and tells what it was answered."""
        try:
            special = msgspec.convert(call.json(), Special)
        except msgspec.ValidationError as error:
            raise BadCall(f"webhook: {error}") from None
        return as_json({"tries": await self._dispatcher.send(special)})

    def _roll(self, call: Call) -> Answer:
        """Begins to roll an endpoint's secret: both sign; the new one is in the answer."""
        return as_json({"secret": self._dispatcher.roll(self._endpoint(call))})

    def _retire(self, call: Call) -> Answer:
        """Ends the roll of an endpoint's secret: only the new one signs."""
        self._dispatcher.retire(self._endpoint(call))
        return as_json({})

    def _endpoint(self, call: Call) -> str:
        endpoint = str(call.json().get("endpoint"))
        if endpoint not in self._dispatcher.secrets:
            raise BadCall(f"endpoint: there is no webhook endpoint {endpoint!r}")
        return endpoint

    def _collection(self, call: Call) -> Collection:
        name = call.place["collection"]
        among("collection", name, self._world.collections)
        return self._world.collections[name]

    def _object(self, call: Call) -> Obj:
        found = self._collection(call).items.get(call.place["id"])
        if found is None:
            raise BadCall(f"id: there is no {call.place['id']!r} in {call.place['collection']}")
        return found


def _wants_event(call: Call) -> bool:
    return call.args().get("event", "true") != "false"


def _topic(obj: Obj) -> str:
    longer = {"subscription": "customer.subscription", "dispute": "charge.dispute"}
    return longer.get(obj["object"], str(obj["object"]))


def _patched(obj: Obj, puts: dict[str, Any], unsets: list[str]) -> Obj:
    changed = copied(obj)
    for path, value in puts.items():
        *steps, last = path.split(".")
        _below(changed, steps)[last] = value
    for path in unsets:
        *steps, last = path.split(".")
        _below(changed, steps).pop(last, None)
    return changed


def _below(obj: Obj, steps: list[str]) -> Any:
    here: Any = obj
    for step in steps:
        here = here.get(step) if isinstance(here, dict) else None
    if not isinstance(here, dict):
        raise BadCall(f"set: {'.'.join(steps)} is no object")
    return here
