"""Gesso reports nothing to anybody, and switches off what its libraries would report. This is the whole list."""

from __future__ import annotations

import os
from collections.abc import Mapping

OFF: Mapping[str, str] = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Variables that the libraries we use read: huggingface_hub (the first three), and Ray."""


def switch_off() -> None:
    """For this process and all that it starts; before any such library is imported."""
    os.environ.update(OFF)
