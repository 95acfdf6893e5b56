"""`python -m gesso.plugin.compile`: writes operations.json of the first-party plugins, and in a checkout docs/operations.md; what
`gesso plugins compile` runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gesso.errors import PluginError
from gesso.manifest import first_party
from gesso.plugin.build import build_plugins
from gesso.plugin.document import operations_page
from gesso.plugin.schemas import compile_operations, compile_to, replace_text


def compile_first_party() -> tuple[Path, bool]:
    """Compile where the manifest says; the path, and whether the file changed."""
    manifest = first_party()
    registry = build_plugins(manifest)
    changed = compile_to(manifest.operations_file, registry)
    docs = Path(manifest.path).parent / "docs"
    if docs.is_dir() and Path(manifest.path).is_absolute():
        replace_text(docs / "operations.md", operations_page(compile_operations(registry)))
    return manifest.operations_file, changed


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
