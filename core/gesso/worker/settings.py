"""What the owner's config.toml says about plugins: the tables ``[plugins.NAME]``. It knows no plugin and no other part of the file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesso.errors import PluginError


def plugin_options(config: Path | None) -> dict[str, Mapping[str, Any]]:
    """Plugin name -> its settings; PluginError where the file cannot be read or a plugin's part is no table."""
    if config is None or not config.is_file():
        return {}
    try:
        tables = tomllib.loads(config.read_text(encoding="utf-8")).get("plugins", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise PluginError(f"The settings of plugins in {config} cannot be read: {fault}. Plugins run with their defaults.") from fault
    wrong = "plugins" if not isinstance(tables, dict) else next((n for n, part in tables.items() if not isinstance(part, dict)), None)
    if wrong is not None:
        raise PluginError(f"In {config}, {wrong!r} must be a table such as [plugins.filters]. Plugins run with their defaults.")
    return dict(tables)
