"""Sizes and durations as people write them: ``20 GiB``, ``10 min``. It knows no key."""

from __future__ import annotations

import re
from collections.abc import Mapping

SIZES: Mapping[str, int] = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
DURATIONS: Mapping[str, int] = {"s": 1, "min": 60, "h": 3600, "d": 86400}
NEVER = "never"


def number_of(text: str, units: Mapping[str, int]) -> float | None:
    """``1.5 GiB`` -> 1610612736; a bare number counts in the smallest unit; None for what is neither."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None:
        return None
    by_name = {name.lower(): worth for name, worth in units.items()}
    worth = by_name.get(found[2].lower()) if found[2] else 1
    return None if worth is None else float(found[1]) * worth


def size(count: float) -> str:
    """Bytes for people: ``20 GiB``, ``1.5 MiB``."""
    return _shown(count, {name: SIZES[name] for name in ("B", "KiB", "MiB", "GiB", "TiB")})


def duration(seconds: float) -> str:
    """Seconds for people: ``10 min``."""
    return _shown(seconds, DURATIONS)


def _shown(count: float, units: Mapping[str, int]) -> str:
    name, worth = next(((name, worth) for name, worth in reversed(tuple(units.items())) if count >= worth), next(iter(units.items())))
    text = f"{count / worth:.1f}".removesuffix(".0")
    return f"{text} {name}"
