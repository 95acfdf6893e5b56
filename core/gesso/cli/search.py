"""`gesso search`: the pictures of the history that are nearest to words or to a picture. What it needs is loaded when it runs."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.cli import report, work
from gesso.cli.output import destination, slug
from gesso.cli.schema import Surface
from gesso.errors import BlobMissing, OutputError, UsageError
from gesso.statefiles import locked
from gesso.wire.home import Home

if TYPE_CHECKING:
    from gesso.client import Client
    from gesso.searching import Hit, Index


def run(args: argparse.Namespace, _surface: Surface) -> int:
    """Print the nearest pictures, the nearest first; with --output write them."""
    words = " ".join(args.words).strip()
    if bool(words) == bool(args.like):
        hint = 'For example `gesso search "rusty metal"`, or `gesso search --like a.png`.'
        raise UsageError("Search for words, or for what is like a picture.", field="words", hint=hint)
    if args.limit < 1:
        raise UsageError("At least one picture must be looked for.", field="limit")
    if args.like and not Path(args.like).is_file():
        raise UsageError(f"There is no picture {args.like}.", field="like")
    place = None if args.output is None else destination(args.output.rstrip("/") + "/", force=args.force)
    from gesso.searching import embed

    with work.connect(start=True) as client:
        asked = embed(client, [Path(args.like)] if args.like else [], [words] if words else [], args.model)
        if not all(map(math.isfinite, asked.rows[0].tolist())):
            raise UsageError(f"{args.like} is no picture, or too small to be compared.", field="like")
        index = _index(client, asked.model, args)
        hits = index.search(asked.rows[0], args.limit)
        paths = [] if place is None else _write(client, place.folder, hits, force=args.force)
    return _tell(args, hits, paths, len(index))


def _index(client: Client, model: str, args: argparse.Namespace) -> Index:
    from gesso.searching import Index, synchronise

    folder = Home.find().state / "search"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def told(done: int, known: int) -> None:
        if not args.quiet and known > 64:
            report.note(f"looked at {done} of {known} pictures")

    with locked(folder):
        return synchronise(client, Index(folder), model, args.model, told)


def _write(client: Client, folder: Path, hits: list[Hit], *, force: bool) -> list[str | None]:
    """Each picture under its place and its words; None where its file is gone."""
    from gesso.client.results import write_file

    paths: list[str | None] = []
    for number, hit in enumerate(hits, 1):
        path = folder / f"{number:02d}-{slug(hit.picture.prompt)}.{hit.picture.ending}"
        try:
            content = client.download(hit.picture.sha256)
        except BlobMissing:
            paths.append(None)
            continue
        try:
            write_file(path, content, overwrite=force)
        except OutputError as fault:
            fault.field = "output"
            fault.hint = "Use --force to overwrite it, or another --output."
            raise
        paths.append(str(path))
    return paths


def _tell(args: argparse.Namespace, hits: list[Hit], paths: list[str | None], known: int) -> int:
    if args.json:
        found: list[dict[str, Any]] = [
            {
                "job": hit.picture.job,
                "index": hit.picture.index,
                "sha256": hit.picture.sha256,
                "prompt": hit.picture.prompt,
                "score": round(hit.score, 4),
                **({"path": paths[place]} if paths else {}),
            }
            for place, hit in enumerate(hits)
        ]
        report.document({"pictures": known, "found": found})
        return 0
    if not hits:
        report.note("nothing has been made yet that could be found")
    for place, hit in enumerate(hits):
        where = (paths[place] or "its file is gone") if paths else f"{hit.picture.job} {hit.picture.index + 1}"
        sys.stdout.write(f"{hit.score:.3f}  {where}  {hit.picture.prompt}\n")
    return 0
