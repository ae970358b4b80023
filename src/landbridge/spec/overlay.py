"""Overlays: a page with the fields and objects that one tenant added, and with its code tables.

A custom field is a row whose value goes into the model's `extra`, as JSON; a custom object is a
resource that is listed, read and written as another one of the page is; a code table has our word
for each code of the provider's. All are checked like the page itself when they are set, and again
whenever they are laid on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec

from landbridge.errors import SpecError, did_you_mean
from landbridge.spec import rows
from landbridge.spec._fingerprint import fingerprint
from landbridge.spec._paths import find
from landbridge.spec._scope import Context, Fault, Scope
from landbridge.spec.custom import CustomField, CustomObject
from landbridge.spec.following import EventFeed
from landbridge.spec.kinds import topic_matches
from landbridge.spec.mapping import Correspondence, Mapped, blend, map_to
from landbridge.spec.parts import entries
from landbridge.spec.provider import Provider, Resource, Write
from landbridge.spec.rows import Access, Row

__all__ = [
    "Overlaid",
    "overlaid",
]

M = TypeVar("M", bound=msgspec.Struct)
_NONE: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class Overlaid(Mapped[M], Generic[M]):
    """A mapping with a tenant's own fields, which stand in `extra`, and with its code tables.

    SpecError names a field that is written by another one, or a model without `extra`.
    """

    def __init__(
        self,
        base: Mapped[M],
        own: Sequence[CustomField],
        codes: Mapping[str, Mapping[str, str]] = _NONE,
    ):
        super().__init__(base.model, base.rows)
        self._context = Context(codes=codes)
        self._base = base
        self._own = [(each, each.row) for each in own]
        self._names = frozenset(each.name for each in own)
        if "extra" not in base.model.__struct_fields__:
            raise SpecError(f"{base.model.__name__} has no place for custom fields")
        self._distinct()
        self.written = (
            *self.written,
            *(row.path for one, row in self._own if row.access is not Access.READ),
        )

    @property
    def own(self) -> tuple[CustomField, ...]:
        """The tenant's fields."""
        return tuple(one for one, _ in self._own)

    @property
    def readings(self) -> tuple[Any, ...]:
        """All that `read` depends on beside the record."""
        return (*self._base.readings, *self._told())

    @cached_property
    def fingerprint(self) -> str:
        """24 letters, other ones when `read` would do something else."""
        return fingerprint((self._base.fingerprint, *self._told()))

    def _told(self) -> tuple[Any, ...]:
        codes = {name: sorted(pairs.items()) for name, pairs in sorted(self._context.codes.items())}
        return self.own, codes

    def read(self, value: Any, context: Context | None = None) -> M:
        """As the page's, through the tenant's code tables."""
        return super().read(value, context or self._context)

    def write(
        self, model: M, base: M | None = None, context: Context | None = None
    ) -> dict[str, Any]:
        """As the page's, through the tenant's code tables."""
        return super().write(model, base, context or self._context)

    @property
    def owned_paths(self) -> tuple[str, ...]:
        """Every path of the provider that a row reads or writes; `[]` marks a list."""
        own = [path for _, row in self._own for path in row.paths or (row.path,)]
        return tuple(dict.fromkeys((*super().owned_paths, *own)))

    @property
    def fields(self) -> tuple[Correspondence, ...]:
        """The table, line by line, for documentation."""
        own = [
            Correspondence(
                f"extra.{one.name}",
                ", ".join(row.paths) or row.path,
                one.word,
                row.access,
                ", ".join(f"{theirs} = {ours}" for theirs, ours in one.words.items()),
            )
            for one, row in self._own
        ]
        return (*super().fields, *own)

    def take(self, record: Any, scope: Scope) -> M:
        """Reads within a larger reading; for the rows of this package."""
        model: Any = super().take(record, scope)
        own: dict[str, Any] = {}
        for one, row in self._own:
            try:
                found = row.read(record, scope)
            except Fault as fault:
                raise fault.in_field(f"extra.{one.name}", row.path)  # noqa: B904  # goes on
            except AttributeError:
                barred = Fault("no object on the way to {path}")
                raise barred.in_field(f"extra.{one.name}", row.path) from None
            if found is not None:
                own[one.name] = one.as_json(found)
        told: M = _with_extra(model, {**_without(model.extra, self._names), **own})
        return told

    def emit(
        self, model: Any, base: Any, scope: Scope, *, whole: bool = False, key: str = ""
    ) -> dict[str, Any]:
        """Writes within a larger writing; `whole` sends equal fields too, as lists need it."""
        before: Mapping[str, Any] = {} if base is None else base.extra
        self._demand_known(model.extra, before)
        changes = super().emit(
            _with_extra(model, _without(model.extra, self._names)),
            base if base is None else _with_extra(base, _without(before, self._names)),
            scope,
            whole=whole,
            key=key,
        )
        for one, row in self._own:
            ours, theirs = model.extra.get(one.name), before.get(one.name)
            if row.access is Access.READ or (ours == theirs and not (whole and ours is not None)):
                continue
            try:
                if row.access is Access.CREATE and base is not None:
                    raise Fault(
                        "the provider takes it only when the record is made; make a new one"
                    )
                told = None
                if ours is not None:
                    assert row.write is not None
                    told = row.write(one.from_json(ours), None, scope)
            except Fault as fault:
                raise fault.in_field(f"extra.{one.name}", row.path)  # noqa: B904  # goes on
            blend(changes, row.path, told)
        return changes

    def _demand_known(self, extra: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        """Refuses a custom field that nothing would write; where all keys are free, none is."""
        if any(tie.name == "extra" for tie in self._writers):
            return
        for name, value in extra.items():
            if name not in self._names and before.get(name) != value:
                hint = did_you_mean(name, self._names)
                raise Fault(f"there is no custom field of this name.{hint}").in_field(
                    f"extra.{name}", ""
                )

    def _distinct(self) -> None:
        """No place may be written by two rows, and no name may stand for two fields."""
        model = self.model.__name__
        taken = [(path, f"{model}'s own mapping") for path in self.written]
        for one, row in self._own:
            if sum(each.name == one.name for each, _ in self._own) > 1:
                raise SpecError(f"{model}: two custom fields are called {one.name!r}")
            if row.access is Access.READ:
                continue
            for path, who in taken:
                if path == row.path or _within(path, row.path) or _within(row.path, path):
                    raise SpecError(
                        f'CustomField {one.name!r}: {path} is written by {who}; set access="read"'
                        " or give another path"
                    )
            taken.append((row.path, f"the custom field {one.name!r}"))


def overlaid(
    page: Provider,
    *,
    objects: Sequence[CustomObject],
    fields: Mapping[str, Sequence[CustomField]],
    model: type[msgspec.Struct],
    codes: Mapping[str, Mapping[str, str]] = _NONE,
) -> Provider:
    """The page with a tenant's own objects, custom fields by the names of resources, and code
    tables by their names.

    Records of objects are read as `model`, which has `id`, `object` and `extra`. SpecError names
    what does not fit the page, NotFound a resource that it has not.
    """
    known = page.code_tables
    for name in codes:
        if name not in known:
            raise SpecError(
                f"{page.slug} has no code table {name!r}.{did_you_mean(name, known)}"
                f" It has: {', '.join(sorted(known)) or 'none'}."
            )
    added = {each.name: each for each in objects}
    for name in fields.keys() - added.keys():
        page.resource(name)
    resources = [_laid(page, one, fields.get(one.name, ()), codes) for one in page.resources]
    for name, each in added.items():
        if any(one.name == name for one in page.resources):
            raise SpecError(
                f"CustomObject {name!r}: {page.slug} has a resource of this name; take another"
            )
        resources.append(_resource(page, each, model, fields.get(name, ())))
    return replace(page, resources=resources)


def _laid(
    page: Provider,
    resource: Resource,
    own: Sequence[CustomField],
    codes: Mapping[str, Mapping[str, str]],
) -> Resource:
    maps = resource.maps
    if maps is None:
        if own:
            raise SpecError(
                f"{page.slug} {resource.name} is kept raw: it has no place for custom fields"
            )
        return resource
    its = {name: codes[name] for name in codes if name in maps.tables}
    return replace(resource, maps=Overlaid(maps, own, its)) if own or its else resource


def _resource(
    page: Provider, each: CustomObject, model: type[msgspec.Struct], own: Sequence[CustomField]
) -> Resource:
    like = page.resource(each.like)
    if not like.path or "{" in like.path:
        raise SpecError(
            f"CustomObject {each.name!r}, like: {each.like} is not listed at a path of its own;"
            " name a resource that is"
        )
    _demand_told(page, each, bool(moved_one := _moved(like.path, each.path, like.one)))
    key = each.key or like.key
    table: dict[str, Row] = {
        "id": rows.via(read=partial(_key, key=key), paths=[key]),
        "object": rows.constant(each.name),
    }
    if each.free:
        table["extra"] = entries(each.free)
    mapped: Mapped[Any] = Overlaid(map_to(model, **table), own)
    moved = partial(_moved, like.path, each.path)

    def step(there: Write | None) -> Write | None:
        return replace(there, path=moved(there.path)) if there else None

    return replace(
        like,
        name=each.name,
        path=each.path,
        key=key,
        records=each.records or like.records,
        maps=mapped,
        one=moved_one,
        since=None if isinstance(like.since, EventFeed) else like.since,
        subject="",
        continued=(),
        topics=tuple(each.topics),
        deletes=tuple(each.deletes),
        sweep=None,
        blank={},
        create=step(like.create) if mapped.written else None,
        update=step(like.update) if mapped.written else None,
        delete=step(like.delete),
    )


def _demand_told(page: Provider, each: CustomObject, read_alone: bool) -> None:
    """Refuses topics that no webhook of the page can have for this object."""
    for topic in (*each.topics, *each.deletes):
        about = f"CustomObject {each.name!r}, topics: {topic!r}"
        if page.webhook is None:
            raise SpecError(f"{about}: {page.slug} sends no webhooks; leave them away")
        if not read_alone:
            raise SpecError(
                f"{about}: a {each.like} is not read by itself, so neither is a {each.name}"
            )
        for one in page.resources:
            for known in (*one.topics, *one.deletes):
                if topic_matches(known, topic) or topic_matches(topic, known):
                    raise SpecError(f"{about} is about the resource {one.name}, by {known!r}")


def _moved(before: str, after: str, path: str) -> str:
    """A path of one record, below another list's path; empty if it was not below the first."""
    return after + path.removeprefix(before) if path.startswith(before) else ""


def _key(record: Any, key: str) -> str | None:
    found = find(record, key)
    return None if found is None else str(found)


def _within(inner: str, outer: str) -> bool:
    return inner.startswith(f"{outer}.")


def _without(extra: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name not in names}


def _with_extra(model: Any, extra: dict[str, Any]) -> Any:
    return model if model.extra == extra else msgspec.structs.replace(model, extra=extra)
