"""`gesso verify`: makes a picture again from the recipe inside it and compares the bytes. It changes nothing."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.cli import report, work
from gesso.cli.generate import differences
from gesso.cli.schema import Surface
from gesso.errors import InvalidRequest
from gesso.recipe import read_recipe

if TYPE_CHECKING:
    from gesso.client import Result
    from gesso.recipe import Recipe

SAME, DIFFERENT = 0, 1


def run(args: argparse.Namespace, _surface: Surface) -> int:
    """Say "the same bytes" (exit code 0), or that they differ, or why they cannot be compared (1)."""
    path = Path(args.picture)
    recipe = read_recipe(path)
    if recipe is None:
        raise InvalidRequest(
            f"{path} carries no recipe of Gesso, so it cannot be made again.", field="picture", hint=f"See `gesso show {path}`."
        )
    mine = hashlib.sha256(path.read_bytes()).hexdigest()
    if recipe.level != "exact":
        return _tell(args, path, None, f"it was made at the level {recipe.level!r}, which promises no bytes")
    with work.connect(start=True) as client:
        job = client.submit(recipe.operation, dict(recipe.params), level=recipe.level)
        result = work.follow(job, f"verify {path.name}", quiet=args.quiet)
    return _tell(args, path, *_judged(recipe, result, mine))


def _judged(recipe: Recipe, result: Result, mine: str) -> tuple[bool | None, str]:
    """Whether the bytes are the same, None where they cannot be compared, and why."""
    if any(image.sha256 == mine for image in result.images):
        return True, "made again from its recipe, it has the same bytes"
    differing = differences(recipe, result)
    if differing:
        return None, f"it was made with another {', '.join(differing)}"
    if not any(image.role == recipe.role for image in result.images):
        return None, f"the recipe makes no {recipe.role!r} any more"
    return False, "made again from its recipe, it has other bytes: the file was changed, or is not what its recipe says"


def _tell(args: argparse.Namespace, path: Path, same: bool | None, why: str) -> int:
    word = {True: "verified", False: "different", None: "not comparable"}[same]
    if args.json:
        report.document({"picture": str(path), "verdict": word, "reason": why})
    else:
        print(f"{path}: {word}; {why}")
    return SAME if same else DIFFERENT
