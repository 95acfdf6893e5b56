"""`gesso verify`: makes pictures again from their recipes, compares the bytes, and checks content credentials. It changes nothing."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    @property
    def word(self) -> str:
        """What is said of the picture."""
        return {True: "verified", False: "different", None: "not comparable"}[self.same]

    @property
    def good(self) -> bool:
        """Whether nothing speaks against it."""
        return bool(self.same) and (self.credentials is None or self.credentials.state != "broken")


@dataclass(frozen=True)
class Picture:
    """A file, its recipe, and what the content credentials in it are worth."""

    path: Path
    content: bytes
    recipe: Recipe | None
    credentials: Credentials | None


def run(args: argparse.Namespace, _surface: Surface) -> int:
    """Say "the same bytes" (exit code 0), or that they differ, or why they cannot be compared (1); broken credentials are 1 too.

    Every picture is read before the first is made again. Of several the worst decides the exit code.
    """
    pictures = [_read(Path(name)) for name in args.pictures]
    verdicts = []
    for picture in pictures:
        verdicts.append(_verdict(picture, quiet=args.quiet))
        if not args.json:
            _say(picture.path, verdicts[-1])
    if args.json:
        told = [_document(picture.path, verdict) for picture, verdict in zip(pictures, verdicts, strict=True)]
        report.document(told[0] if len(told) == 1 else {"pictures": told})
    return SAME if all(verdict.good for verdict in verdicts) else DIFFERENT


def _read(path: Path) -> Picture:
    """A picture that can be verified; InvalidRequest for one that carries nothing to verify."""
    recipe = read_recipe(path)
    content = path.read_bytes()
    found = credentials.checked(content)
    if recipe is None and found is None:
        raise InvalidRequest(
            f"{path} carries no recipe of Gesso, so it cannot be made again.", field="pictures", hint=f"See `gesso show {path}`."
        )
    return Picture(path, content, recipe, found)


def _verdict(picture: Picture, *, quiet: bool) -> Verdict:
    recipe, found = picture.recipe, picture.credentials
    if recipe is None:
        return Verdict(None if found is None or found.state == "unchecked" else found.state != "broken", "it carries no recipe", found)
    if recipe.level != "exact":
        return Verdict(None, f"it was made at the level {recipe.level!r}, which promises no bytes", found)
    mine = hashlib.sha256(credentials.without(picture.content)).hexdigest()
    output = "webp" if picture.content.startswith(b"RIFF") else "png"
    with work.connect(start=True) as client:
        job = client.submit(recipe.operation, dict(recipe.params), level=recipe.level, output=output)
        result = work.follow(job, f"verify {picture.path.name}", quiet=quiet)
    return Verdict(*_judged(recipe, result, mine), found)


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


def _say(path: Path, verdict: Verdict) -> None:
    print(f"{path}: {verdict.word}; {verdict.why}")
    if verdict.credentials is not None:
        print(f"{path}: credentials: {verdict.credentials.said}")


def _document(path: Path, verdict: Verdict) -> dict[str, Any]:
    found = verdict.credentials
    told = None if found is None else {"state": found.state, "reason": found.said}
    return {"picture": str(path), "verdict": verdict.word, "reason": verdict.why, "credentials": told}
