"""`gesso verify`: makes a picture again from the recipe inside it and compares the bytes, and checks its content credentials. It changes
nothing.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.cli import credentials, report, work
from gesso.cli.credentials import Credentials
from gesso.cli.generate import differences
from gesso.cli.schema import Surface
from gesso.errors import InvalidRequest
from gesso.recipe import read_recipe

if TYPE_CHECKING:
    from gesso.client import Result
    from gesso.recipe import Recipe

SAME, DIFFERENT = 0, 1


@dataclass(frozen=True)
class Verdict:
    """Whether the bytes are the same (None: not comparable) and why, and what the content credentials in the file are worth."""

    same: bool | None
    why: str
    credentials: Credentials | None


def run(args: argparse.Namespace, _surface: Surface) -> int:
    """Say "the same bytes" (exit code 0), or that they differ, or why they cannot be compared (1); broken credentials are 1 too."""
    path = Path(args.picture)
    recipe = read_recipe(path)
    content = path.read_bytes()
    found = credentials.checked(content)
    if recipe is None and found is not None:
        return _tell(args, path, Verdict(None if found.state == "unchecked" else found.state != "broken", "it carries no recipe", found))
    if recipe is None:
        raise InvalidRequest(
            f"{path} carries no recipe of Gesso, so it cannot be made again.", field="picture", hint=f"See `gesso show {path}`."
        )
    unsigned = credentials.without(content)
    mine, output = hashlib.sha256(unsigned).hexdigest(), "webp" if content.startswith(b"RIFF") else "png"
    if recipe.level != "exact":
        return _tell(args, path, Verdict(None, f"it was made at the level {recipe.level!r}, which promises no bytes", found))
    with work.connect(start=True) as client:
        job = client.submit(recipe.operation, dict(recipe.params), level=recipe.level, output=output)
        result = work.follow(job, f"verify {path.name}", quiet=args.quiet)
    return _tell(args, path, Verdict(*_judged(recipe, result, mine), found))


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


def _tell(args: argparse.Namespace, path: Path, verdict: Verdict) -> int:
    word = {True: "verified", False: "different", None: "not comparable"}[verdict.same]
    found = verdict.credentials
    if args.json:
        told = None if found is None else {"state": found.state, "reason": found.said}
        report.document({"picture": str(path), "verdict": word, "reason": verdict.why, "credentials": told})
    else:
        print(f"{path}: {word}; {verdict.why}")
        if found is not None:
            print(f"{path}: credentials: {found.said}")
    return SAME if verdict.same and (found is None or found.state != "broken") else DIFFERENT
