"""The names that requests may use: samplers, schedules, models, with aliases and titles. It knows what is called so, never what it does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from gesso.errors import InvalidRequest
from gesso.naming import folded, readings

_LISTINGS = {
    "models": "gesso models list",
    "samplers": "gesso samplers",
    "schedules": "gesso schedules",
    "styles": "gesso styles list",
    "scorers": "gesso scorers",
    "upscalers": "gesso upscalers",
    "image_encoders": "gesso models list --kind image_encoder",
    "style_networks": "gesso models list --kind style_network",
    "ip_adapters": "gesso models list --kind ip_adapter",
}
_SINGULAR = {kind: kind.removesuffix("s").replace("_", " ") for kind in (*_LISTINGS, "operations", "codecs")}
_SHOWN = 80
_FEW = 12
"""As many names as a sentence can list."""


class Catalogue:
    """One list of names. ``kind`` is its plural, as in ``x-choices`` and as the command that lists it."""

    def __init__(self, kind: str, entries: Iterable[Mapping[str, Any]]) -> None:
        self.kind = kind
        self.entries = [dict(entry) for entry in entries]
        self._owners: dict[str, str] = {}
        for entry in self.entries:
            self._owners.setdefault(folded(entry["name"]), entry["name"])
        for entry in self.entries:
            for name in (entry.get("title", entry["name"]), *entry.get("aliases", ())):
                self._owners.setdefault(folded(name), entry["name"])

    def canonical(self, name: str) -> str | None:
        """The name that stands first, or None."""
        return self._owners.get(folded(name))

    def unknown(self, name: str, field: str) -> InvalidRequest:
        """The refusal of a name that nothing has, with the nearest ones."""
        singular = _SINGULAR.get(self.kind, self.kind)
        close = difflib.get_close_matches(folded(name)[:_SHOWN], self._owners, n=5, cutoff=0.5)
        nearest = list(dict.fromkeys(self._owners[match] for match in close))[:3]
        meant = f" Did you mean {' or '.join(repr(match) for match in nearest)}?" if nearest else ""
        if not nearest and 0 < len(self.entries) <= _FEW:
            meant = f" Known: {', '.join(entry['name'] for entry in self.entries)}."
        listed = f" `{_LISTINGS[self.kind]}` lists them." if self.kind in _LISTINGS else ""
        return InvalidRequest(f"There is no {singular} {name[:_SHOWN]!r}.{meant}{listed}", field=field, details={"nearest": nearest})


def check_name(catalogues: Mapping[str, Catalogue], kind: str, name: str, field: str) -> None:
    """Refuse an unknown name. A sampler may also be a label that names the schedule too ("DPM++ 2M Karras", "dpmpp_2m_k")."""
    catalogue = catalogues.get(kind)
    if catalogue is None or catalogue.canonical(name) is not None:
        return
    schedules = catalogues.get("schedules")
    if kind == "samplers" and schedules is not None:
        pairs = ((catalogue.canonical(sampler), schedules.canonical(schedule)) for sampler, schedule in readings(name))
        if any(all(pair) for pair in pairs):
            return
    raise catalogue.unknown(name, field)
