"""Installed distributions that offer a plugin: found by their entry point in the group `gesso`, read by their metadata. Nothing of them
is imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from gesso import manifest
from gesso.errors import PluginError
from gesso.manifest import Manifest

GROUP = "gesso"
_UNHASHED = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""Files that installers write about the installation itself."""


@dataclass(frozen=True)
class Offer:
    """A plugin that is installed: its name, its module, and the distribution that brought it."""

    name: str
    module: str
    distribution: str
    version: str


def offers() -> list[Offer]:
    """Everything that is installed and offers a plugin, by name."""
    from importlib import metadata  # costs more than all the rest of a command that looks at no distribution

    found = []
    for point in metadata.entry_points(group=GROUP):
        if point.dist is not None:
            found.append(Offer(point.name, point.value.partition(":")[0].strip(), point.dist.name, point.dist.version))
    return sorted(found, key=lambda offer: (offer.name, offer.distribution))


def find(name: str, distribution: str | None = None) -> Offer:
    """The offer of that name; PluginError where there is none or more than one."""
    found = [offer for offer in offers() if offer.name == name and distribution in (None, "", offer.distribution)]
    if not found:
        raise PluginError(f"No installed distribution offers the plugin {name!r}.", details={"plugin": name})
    if len(found) > 1:
        both = " and ".join(sorted(offer.distribution for offer in found))
        raise PluginError(f"{both} both offer a plugin called {name!r}.", hint="Uninstall one of them.", details={"plugin": name})
    return found[0]


def declaration(offer: Offer) -> Manifest:
    """The distribution's own manifest: one plugin, of the entry point's name and module."""
    path = next((path for path in _files(offer.distribution) if path.name == manifest.FILE_NAME), None)
    if path is None:
        raise PluginError(
            f"The distribution {offer.distribution!r} has no {manifest.FILE_NAME}.",
            hint="Its author has to ship one inside the package.",
            details={"plugin": offer.name},
        )
    found = manifest.read(path)
    if [(entry.name, entry.module) for entry in found.plugins] != [(offer.name, offer.module)]:
        raise PluginError(
            f"{path} must declare exactly one plugin, {offer.name!r} with the module {offer.module!r}, as the entry point says.",
            details={"plugin": offer.name, "path": str(path)},
        )
    if found.bridges:
        raise PluginError(f"{path} declares bridges, which only Gesso's own plugins may.", details={"plugin": offer.name})
    return found


def content_hash(offer: Offer) -> str:
    """SHA-256 over names and bytes of all files of the distribution and of the plugin's package."""
    total = hashlib.sha256()
    for path in sorted({*_files(offer.distribution), *_package(offer.module)}):
        if path.suffix == ".pyc" or path.name in _UNHASHED:
            continue
        try:
            content = path.read_bytes()
        except OSError as fault:
            raise PluginError(f"{path} of the plugin {offer.name!r} cannot be read: {fault.strerror}.") from fault
        total.update(f"{path.name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def _files(distribution: str) -> list[Path]:
    from importlib import metadata

    try:
        found = metadata.distribution(distribution).files
    except metadata.PackageNotFoundError:
        found = None
    return [Path(str(path.locate())).resolve() for path in found or ()]


def _package(module: str) -> list[Path]:
    """The files of the top package, which an editable installation does not list; a namespace that others share is left out."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        return []
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    return [path.resolve() for path in files or [Path(spec.origin)]]
