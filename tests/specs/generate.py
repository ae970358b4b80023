"""Makes records that a vendor's OpenAPI document allows, from nothing but that document and luck.

The same seed gives the same record. What a mapping owns is always gone into, so that its rows have
something to read; the rest of the document is visited now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

DEEPEST = 3
LETTERS = "abcdefghij XYZ 0123456789 äßñ漢😀\"'\\&=%[]"


_NO_BRACKETS = str.maketrans("", "", "[]")


class Records:
    """Records of a document. `words` gives the values of properties that it leaves too open."""

    def __init__(self, document: Mapping[str, Any], words: Mapping[str, Sequence[Any]]):
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]
        self._words = words

    def make(
        self,
        schema: str,
        seed: int,
        *,
        owned: Iterable[str] = (),
        needed: Iterable[str] = (),
    ) -> dict[str, Any]:
        """One record of the component `schema`.

        Paths are dotted, with `[]` behind a list. Those in `owned` are set most of the time, those
        in `needed` always.
        """
        rng = Random(seed)
        made = _Making(self._schemas, self._words, rng, _prefixes(owned), _prefixes(needed))
        record: dict[str, Any] = made.value(self._schemas[schema], "", "", 0)
        return record


class _Making:
    def __init__(
        self,
        schemas: Mapping[str, Any],
        words: Mapping[str, Sequence[Any]],
        rng: Random,
        owned: frozenset[str],
        needed: frozenset[str],
    ):
        self._schemas = schemas
        self._words = words
        self._rng = rng
        self._owned = owned | needed
        self._needed = needed

    def value(self, schema: Mapping[str, Any], path: str, name: str, depth: int) -> Any:
        """A value that the schema allows at this path."""
        if "$ref" in schema:
            return self.value(self._referred(schema), path, name, depth)
        if schema.get("nullable") and path not in self._needed and self._rng.random() < 0.3:
            return None
        if "anyOf" in schema:
            return self.value(self._alternative(schema["anyOf"], path), path, name, depth)
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema, path, depth)
        if kind == "array":
            most = 3 if f"{path}[]" in self._owned else 1
            return [
                self.value(schema["items"], f"{path}[]", name, depth + 1)
                for _ in range(self._rng.randint(0, most))
            ]
        return self._leaf(schema, kind, name)

    def _referred(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._schemas[schema["$ref"].rpartition("/")[2]]
        return found

    def _alternative(self, options: Sequence[Mapping[str, Any]], path: str) -> Mapping[str, Any]:
        """An expandable field holds the id, as it does unless one asks for more."""
        texts = [option for option in options if option.get("type") == "string"]
        if texts and path in self._owned:
            return texts[0]
        return self._rng.choice(texts or list(options))

    def _object(self, schema: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        required = schema.get("required", ())
        for name, inner in schema.get("properties", {}).items():
            below = f"{path}.{name}".lstrip(".")
            chance = 0.85 if below in self._owned else 0.2 if depth < DEEPEST else 0.0
            if below in self._needed or name in required or self._rng.random() < chance:
                made[name] = self.value(inner, below, name, depth + 1)
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and not schema.get("properties"):
            for _ in range(self._rng.randint(0, 3)):
                made[self._text(8).translate(_NO_BRACKETS)] = self.value(
                    more, f"{path}.*", "", depth + 1
                )
        return made

    def _leaf(self, schema: Mapping[str, Any], kind: Any, name: str) -> Any:
        form = str(schema.get("format"))
        if name in self._words:
            return self._rng.choice(self._words[name])
        if form in self._words:
            return self._rng.choice(self._words[form])
        if name == "id":
            return f"id_{self._rng.randint(0, 10**9)}"
        if kind in ("boolean", "integer", "number"):
            return self._plain(kind, form)
        if form in ("uuid", "uri"):
            number = UUID(int=self._rng.getrandbits(128))
            return f"https://x.example/{number}" if form == "uri" else str(number)
        if form == "decimal":
            return str(Decimal(self._rng.randint(0, 10**9)).scaleb(-self._rng.randint(0, 12)))
        return self._text(schema.get("maxLength", 20))

    def _plain(self, kind: str, form: str) -> Any:
        if kind == "boolean":
            return self._rng.random() < 0.5
        if kind == "number":
            return Decimal(self._rng.randint(0, 10_000)) / 100
        most = 4_000_000_000 if form == "unix-time" else 10_000_000
        # Whole hundreds, as the currencies demand whose cents a vendor makes up.
        return self._rng.choice([0, 100 * self._rng.randint(0, most // 100)])

    def _text(self, longest: int) -> str:
        length = self._rng.randint(1, max(1, min(longest, 12)))
        return "".join(self._rng.choice(LETTERS) for _ in range(length))


def _prefixes(paths: Iterable[str]) -> frozenset[str]:
    """Each path with all that leads to it: `a`, `a.b`, `a.b[]`, `a.b[].c`."""
    found: set[str] = set()
    for path in paths:
        way = ""
        for step in path.split("."):
            name = step.removesuffix("[]")
            way = f"{way}.{name}".lstrip(".")
            found.add(way)
            if step != name:
                way += "[]"
                found.add(way)
    return frozenset(found)
