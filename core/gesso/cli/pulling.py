"""`gesso models pull`: fetches a model from a hub and takes it into the list. It is the one command that asks the internet for anything."""

from __future__ import annotations

import argparse
import os
import sys

from gesso.cli import report
from gesso.cli.models import model_list, take_in
from gesso.cli.schema import Surface
from gesso.library import Layouts, examine, hashes, read_layouts
from gesso.library.recognition import Source
from gesso.manifest import first_party


def pull(args: argparse.Namespace, _surface: Surface) -> int:
    """Fetch one commit of a model, check every file, and list it."""
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # plain ranges, which can go on after a break
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from gesso.library.hub import Wish, pull

    listed = model_list()
    cache = hashes.Hashes(listed.path.with_name(hashes.CACHE_NAME))
    bars = sys.stderr.isatty() and not args.json
    layouts = read_layouts(first_party())
    if args.repo is None:
        return _sources(args, layouts)
    source = layouts.sources.get(args.repo.casefold(), Source(args.repo, args.repo))
    wish = Wish(source.repo, args.revision or source.revision, args.file or source.file, args.variant or source.variant)
    try:
        found = pull(wish, listed.path.with_name("hub"), cache, None if bars else report.note)
    except KeyboardInterrupt:
        report.note("stopped; the same command goes on where it was")
        raise
    entry, seen = take_in(examine(found.path, layouts), args.name or source.name.rpartition("/")[2], args.family)
    document = {"repo": found.repo, "revision": found.revision, "files": list(found.files), "fetched_bytes": found.fetched}
    if args.json:
        report.document({"name": entry.name, "kind": entry.kind, "path": str(found.path), **document})
    else:
        report.note(f"{entry.name}: {seen.title or entry.kind}, commit {found.revision[:12]}, {found.fetched / 2**20:.1f} MiB fetched")
    return 0


def _sources(args: argparse.Namespace, layouts: Layouts) -> int:
    """The names that stand for models of a hub."""
    if args.json:
        report.document({"names": [vars(source) for source in layouts.sources.values()]})
    else:
        report.table(
            [(s.name, s.repo, s.licence, s.title) for s in layouts.sources.values()], ("name", "on the hub", "licence", "what it is")
        )
    return 0
