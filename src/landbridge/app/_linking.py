"""Links: our rows and a provider's records, kept in step both ways."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

from landbridge.app._handling import Handling
from landbridge.app.settings import Settings
from landbridge.engine.catalogue import EventType
from landbridge.engine.link import Functions, Link, Table
from landbridge.engine.links import Conflicts, Links
from landbridge.errors import InvalidInput, SettingsError, did_you_mean
from landbridge.merge import Policy
from landbridge.models import Model
from landbridge.spec import Provider, can_pull
from landbridge.store import local_changes
from landbridge.store.bind import AsyncBound, BlockingBound, bind

M = TypeVar("M", bound=Model)


class Linking(Handling):
    """Declares links, and what is asked of them."""

    def __init__(
        self,
        settings: Settings,
        *,
        providers: Sequence[Provider] | None = None,
        events: Sequence[EventType] = (),
    ):
        super().__init__(settings, providers=providers, events=events)
        self._declared: dict[str, Link[Any]] = {}

    def link(
        self,
        model: type[M],
        provider: Provider | str,
        side: Table | Functions[M],
        *,
        policy: Policy | None = None,
        match: Sequence[str] = (),
        name: str | None = None,
        resource: str | None = None,
    ) -> Link[M]:
        """Keeps a table (or functions' rows) and a provider's records of one model in step, both
        ways, for every connection to that provider; before the bridge is opened.

        Where one side changed a field, the other follows. Where both did, `policy` says who counts,
        field by field; by default nobody: each keeps its value, and `bridge.conflicts` has both.
        `match` are fields, such as `email`, by whose values a row and a record are known to be one
        when the link begins; where several could be, somebody is asked (`bridge.links`). `name` is
        what it is kept under, by default the model's and provider's.
        """
        if self._parts is not None:
            raise SettingsError("the bridge is open already; declare links before that")
        page = provider if isinstance(provider, Provider) else self.provider(provider)
        chosen = _resource(page, model, resource)
        called = name or f"{model.kind.rpartition('.')[2]}-{page.slug}"
        if called in self._declared:
            raise InvalidInput(f"name: there is a link called {called!r} already")
        made = side.side(model) if isinstance(side, Table) else side
        rules = policy or Policy()
        covers = made.fields if rules.covers is None else made.fields & rules.covers
        rules = replace(rules, covers=covers)
        rules.check(model)
        for field in match:
            if field not in made.fields:
                raise InvalidInput(
                    f"match: {field!r} is no field that both sides have."
                    f"{did_you_mean(field, sorted(made.fields))}"
                )
        found: Link[M] = Link(
            name=called,
            model=model,
            provider=page.slug,
            resource=chosen,
            side=made,
            policy=rules,
            match=tuple(match),
        )
        self._declared[called] = found
        return found

    @property
    def links(self) -> Links:
        """Links: how they stand, their pairs, a dry run, and what to decide by hand."""
        return Links(
            self.db,
            self._declared,
            provider=self.provider,
            environment=self.settings.environment,
        )

    @property
    def conflicts(self) -> Conflicts:
        """What both sides of a link changed: list, get, resolve."""
        return Conflicts(self.db, environment=self.settings.environment)

    @overload
    def changed(
        self, tx: AsyncBound, link: Link[Any], local: str, *, tenant: str
    ) -> Awaitable[None]: ...

    @overload
    def changed(self, tx: BlockingBound, link: Link[Any], local: str, *, tenant: str) -> None: ...

    @overload
    def changed(self, tx: object, link: Link[Any], local: str, *, tenant: str) -> Any: ...

    def changed(self, tx: object, link: Link[Any], local: str, *, tenant: str) -> Any:
        """Tells of a row that changed, in the transaction that changes it, where no trigger does:
        on a side of functions. On an async session the result is to be awaited."""
        return bind(tx, self.settings.schema_name, self._bell).execute(
            local_changes.NOTE,
            {
                "environment": self.settings.environment,
                "tenant": tenant,
                "name": link.name,
                "local": local,
            },
            None,
        )


def _resource(page: Provider, model: type[Model], name: str | None) -> str:
    able = [
        each.name
        for each in page.resources
        if each.maps is not None
        and each.maps.model is model
        and can_pull(each)
        and (each.create is not None or each.update is not None)
        and name in (None, each.name)
    ]
    if not able:
        raise InvalidInput(
            f"resource: {page.name} has no {model.kind}{f' at {name!r}' if name else ''} that can"
            " be both pulled and written; see: landbridge providers"
        )
    if len(able) > 1:
        raise InvalidInput(f"resource: name one of {', '.join(able)}")
    return able[0]
