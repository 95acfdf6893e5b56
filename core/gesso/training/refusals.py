"""What no training begins with: materials that nobody draws, a checkpoint of another recipe. It ends a run before anything is written."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesso.errors import InvalidRequest
from gesso.plugin.datasets import CaptionedSource
from gesso.training.files import read_json


def refuse_unknown(source: CaptionedSource, materials: Sequence[str]) -> None:
    """InvalidRequest for a material that the source does not draw."""
    known = getattr(source, "materials", materials)
    unknown = next((name for name in materials if name not in known), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, known, 3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"It draws {', '.join(known)}."
        raise InvalidRequest(f"The renders of {source.name!r} have no material {unknown!r}.", field="materials", hint=hint)


def refuse_other(folder: Path, identity: Mapping[str, Any]) -> None:
    """InvalidRequest where the folder's run was begun with other numbers than these (``identity`` of its facts)."""
    begun, now = (flat(values) for values in (read_json(folder / "checkpoint" / "state.json").get("identity", {}), identity))
    other = next((name for name in now if begun.get(name) != now[name]), None)
    if other is not None:
        was, wanted = (json.dumps(values.get(other)) for values in (begun, now))
        raise InvalidRequest(
            f"The run in {folder} was begun with another {other} ({was}, not {wanted}): it cannot go on with this one.",
            field=other,
            hint="Say what it was begun with, or choose another --out for a new one.",
        )


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested numbers by their path: ``network.words``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= {f"{name}.{inner}": v for inner, v in flat(value).items()} if isinstance(value, dict) else {name: value}
    return found
