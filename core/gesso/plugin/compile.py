"""`python -m gesso.plugin.compile`: writes operations.json of the first-party plugins; what `gesso plugins compile` runs."""

from __future__ import annotations

import sys
from pathlib import Path

from gesso.errors import PluginError
from gesso.manifest import first_party
from gesso.plugin.build import build_plugins
from gesso.plugin.schemas import compile_to


def compile_first_party() -> tuple[Path, bool]:
    """Compile where the manifest says; the path, and whether the file changed."""
    manifest = first_party()
    return manifest.operations_file, compile_to(manifest.operations_file, build_plugins(manifest))


def main() -> int:
    """Compile and say what happened; 1 where a plugin is at fault."""
    try:
        path, changed = compile_first_party()
    except PluginError as fault:
        print(f"gesso: {fault.message}", file=sys.stderr)
        return 1
    print(f"{'Wrote' if changed else 'Nothing changed in'} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
