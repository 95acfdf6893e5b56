# SPDX-License-Identifier: GPL-3.0-or-later
"""What the second Blender of `aside` is started with: it finds the add-on it belongs to, and does the work in the folder it is given."""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    package = Path(__file__).resolve().parents[1]
    sys.path.append(str(package.parent))
    importlib.import_module(f"{package.name}.blender.aside").work_in(Path(sys.argv[-1]))
