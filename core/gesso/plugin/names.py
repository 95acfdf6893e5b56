"""Names and aliases of one kind of thing: who owns which, and what an unknown one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from gesso.errors import InvalidRequest
from gesso.naming import folded

T = TypeVar("T")


class Catalogue(Generic[T]):
    """Things by name. Names, aliases and titles share one space: what one thing owns, no other can take."""

    def __init__(self, kind: str, field: str) -> None:
        self._kind = kind
        self._field = field
        self._things: dict[str, T] = {}
        self._owners: dict[str, str] = {}
        self._plugins: dict[str, str] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(self._things.values())

    def __len__(self) -> int:
        return len(self._things)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and folded(name) in self._owners

    @property
    def names(self) -> tuple[str, ...]:
        """The canonical names, in the order in which they were added."""
        return tuple(self._things)

    def plugin_of(self, name: str) -> str:
        """The plugin that registered the thing of that canonical name."""
        return self._plugins[name]

    def taken(self, names: Iterable[str]) -> str | None:
        """A sentence about the first name that is taken already, or None."""
        for name in names:
            owner = self._owners.get(folded(name))
            if owner is not None:
                return f"the name {name!r} belongs to the {self._kind} {owner!r} of the plugin {self._plugins[owner]!r}"
        return None

    def add(self, name: str, thing: T, plugin: str, aliases: Iterable[str] = ()) -> None:
        """Enter a thing whose names were found free by `taken`."""
        self._things[name] = thing
        self._plugins[name] = plugin
        for alias in (name, *aliases):
            self._owners.setdefault(folded(alias), name)

    def claim(self, name: str, plugin: str, aliases: Iterable[str] = ()) -> None:
        """Take names for a thing that is not here; `taken` then knows them."""
        self._plugins[name] = plugin
        for alias in (name, *aliases):
            self._owners.setdefault(folded(alias), name)

    def copy(self) -> Catalogue[T]:
        """Another catalogue of the same things."""
        made: Catalogue[T] = Catalogue(self._kind, self._field)
        made._things, made._owners, made._plugins = dict(self._things), dict(self._owners), dict(self._plugins)
        return made

    def canonical(self, name: str) -> str | None:
        """The canonical name behind a name, alias or title; None where nothing is called that."""
        return self._owners.get(folded(name))

    def get(self, name: str, field: str | None = None) -> T:
        """The thing of that name or alias; raises InvalidRequest with the nearest names."""
        canonical = self.canonical(name)
        if canonical is None:
            raise self.unknown(name, field)
        return self._things[canonical]

    def unknown(self, name: str, field: str | None = None) -> InvalidRequest:
        """The error for a name that nothing has."""
        close = difflib.get_close_matches(folded(name), self._owners, n=5, cutoff=0.5)
        nearest = list(dict.fromkeys(self._owners[match] for match in close))
        known = sorted(self._things)
        shown = name if len(name) <= 80 else f"{name[:80]}..."
        if nearest:
            hint = f"Did you mean {' or '.join(nearest[:3])}?"
        elif known:
            hint = f"There {'is' if len(known) == 1 else 'are'} {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}."
        else:
            hint = f"No plugin provides any {self._kind}; `gesso plugins list` shows what failed."
        return InvalidRequest(
            f"There is no {self._kind} called {shown!r}. {hint}",
            field=field or self._field,
            hint=hint,
            details={"nearest": nearest, "known": known},
        )
