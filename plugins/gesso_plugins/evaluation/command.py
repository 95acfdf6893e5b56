"""The command `gesso evaluate`: reads the data, has the pictures made and looked at by the daemon, and tells the figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import OutputError, UsageError

if TYPE_CHECKING:
    from gesso.plugin import Registry
    from gesso.plugin.judging import Judge
    from gesso_plugins.evaluation.data import Data, Picture
    from gesso_plugins.evaluation.inception import Inception
    from gesso_plugins.evaluation.making import Features, Made
    from gesso_plugins.evaluation.report import Figure

ABOUT = "Measure what a model of the daemon makes of the captions of a data set, against the pictures of that set."
MORE = "`gesso evaluate starter`, `clip` and `maps` without --data are the fixed evaluations of what Gesso trains itself."
RENDERED, COUNT, SEED = 128, 100, 1
"""Pixels a side, number of renders and first seed, where nothing else is said."""
Stage = Callable[[str, int], Callable[[int], None]]
"""Takes what is done and how many there are, and gives a function that takes how many are done."""


def run(argv: Sequence[str]) -> int:
    """Read, make, look, tell."""
    options = _options(argv)
    from gesso.manifest import first_party
    from gesso.plugin import build_plugins

    network = _inception(options.inception)
    data, judge = _data(options, build_plugins(first_party()))
    with _stages(options.quiet) as stage:
        made, seen, real = _looked(options, data, stage)
        figures = _figures(data, (made, seen, real), judge, _tile(options, data))
        if network is not None:
            figures = [*_by_inception(network, made.pictures, data.pictures, stage), *figures]
    out = options.out or Path("runs") / "evaluation" / "".join(c if c.isalnum() or c in "._-" else "-" for c in options.model)
    document = _document(options, data, made, seen, figures)
    _write(out, document, made, data)
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    from gesso_plugins.evaluation.report import print_table

    for warning in made.warnings:
        _note(warning)
    said = f"{len(made.pictures)} pictures against {len(data.pictures)} of {data.name}; report.json and sheet.webp lie in {out}"
    print_table(figures, (str(made.model["name"]), "data"), said)
    return 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gesso evaluate", description=ABOUT, epilog=MORE, allow_abbrev=False)
    option = parser.add_argument
    option("model", metavar="MODEL", help="any model of `gesso models list` that makes pictures from words")
    option("--data", required=True, metavar="FOLDER|NAME", help="a folder as for `gesso finetune`, or `procedural`: fresh renders")
    option("--prompt", metavar="WORDS", help="of a folder: the caption of every picture, whatever lies beside it")
    option("--materials", metavar="A,B,...", help="of renders: only these (default: those that the judge knows)")
    option("--twelve", action="store_true", help="of renders: only the twelve materials that small families learn")
    option("--fixed", action="store_true", help="ask by the fixed prompts and seeds of the judge of these renders, as bars do")
    option("--count", type=int, metavar="N", help=f"pictures to make (default: as many as the folder has, or {COUNT} renders)")
    option("--size", type=int, metavar="N", help=f"pixels a side (default: the model's own; against renders {RENDERED})")
    option("--steps", type=int, metavar="N", help="sampling steps (default: the model's own)")
    option("--guidance", type=float, metavar="G", help="guidance (default: the model's own)")
    option("--tile", choices=("none", "x", "y", "xy"), help="axes along which pictures wrap around (default: none; against renders xy)")
    option("--seed", type=int, default=SEED, help="seed of the first picture; the others follow (default: %(default)s)")
    option("--level", choices=("exact", "fast"), default="exact", help="exact: equal bytes every time; fast: may share work")
    option(
        "--inception", type=Path, metavar="FILE", help="the standard Inception weights as .safetensors: FID, KID, Inception Score as well"
    )
    option("--out", type=Path, metavar="FOLDER", help="where report and contact sheet go (default: runs/evaluation/MODEL)")
    option("--json", action="store_true", help="print the report instead of the table")
    option("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(argv)
    if options.count is not None and options.count < 2:
        raise UsageError(f"--count must be 2 or more, not {options.count}: one picture has no spread.", field="count")
    return options


def _data(options: argparse.Namespace, registry: Registry) -> tuple[Data, Judge | None]:
    """The data, and who can judge what is made of it."""
    from gesso_plugins.evaluation.data import from_folder, from_prompts, from_source

    if options.data not in [source.name for source in registry.datasets]:
        for name in ("materials", "twelve", "fixed"):
            if getattr(options, name):
                raise UsageError(f"--{name} chooses among renders; a folder is measured as it is.", field=name)
        return from_folder(Path(options.data), options.prompt, options.count), None
    if options.prompt is not None:
        raise UsageError("--prompt is for a folder; renders have their own captions.", field="prompt")
    source, judge = registry.dataset(options.data), registry.judge_of(options.data)
    known = tuple(getattr(source, "materials", ()) if judge is None else judge.labels["material"])
    materials = _materials(options, known)
    size = options.size or RENDERED
    able = judge is not None and set(materials) <= set(known) and size >= judge.smallest
    if not options.fixed:
        return from_source(source, materials, size, options.count or COUNT), judge if able else None
    if judge is None or not able:
        raise UsageError(f"No judge with fixed prompts knows these materials of {options.data!r} at {size} pixels.", field="fixed")
    if options.seed != SEED:
        raise UsageError("The fixed prompts have seeds of their own: leave out --seed.", field="seed")
    prompts = [each for each in judge.prompts if each.labels["material"] in materials]
    return from_prompts(source, prompts[: options.count], size), judge


def _materials(options: argparse.Namespace, known: tuple[str, ...]) -> tuple[str, ...]:
    """What is asked for, of all that are known where nothing is chosen."""
    if options.twelve:
        from gesso.training.materials import MATERIALS

        if options.materials is not None:
            raise UsageError("--twelve names its materials itself: leave out --materials.", field="materials")
        return MATERIALS
    return known if options.materials is None else tuple(name.strip() for name in options.materials.split(","))


def _tile(options: argparse.Namespace, data: Data) -> str:
    return str(options.tile or ("xy" if data.labels else "none"))


def _asked(options: argparse.Namespace, data: Data) -> dict[str, Any]:
    """What `generate` is asked for with every caption."""
    side = options.size or (RENDERED if data.labels else None)
    asked = {"width": side, "height": side, "steps": options.steps, "guidance": options.guidance, "tile": _tile(options, data)}
    return {name: value for name, value in asked.items() if value is not None}


def orders_of(options: argparse.Namespace, data: Data) -> list[dict[str, Any]]:
    """What `generate` is asked for, a picture each."""
    common = {"model": options.model, **_asked(options, data)}
    seeds = data.seeds or range(options.seed, options.seed + len(data.captions))
    return [{**common, "prompt": words, "seed": seed} for words, seed in zip(data.captions, seeds, strict=True)]


def _looked(options: argparse.Namespace, data: Data, stage: Stage) -> tuple[Made, Features, Features]:
    """The pictures, their features beside those of their words, and the data's."""
    from gesso.client import Client
    from gesso_plugins.evaluation.making import Maker

    orders = orders_of(options, data)
    with Client(name="gesso evaluate", on_start=_note) as client, Maker(client, options.level) as maker:
        made = maker.make(orders, stage("making pictures", len(orders)))
        seen = maker.look(made.hashes, data.captions, stage("looking at them", len(orders)))
        real = maker.look(data.pictures, data.captions[: len(data.pictures)], stage("looking at the data", len(data.pictures)))
    return made, seen, real


def _figures(data: Data, looked: tuple[Made, Features, Features], judge: Judge | None, tile: str) -> list[Figure]:
    """All figures."""
    from gesso import fidelity
    from gesso_plugins.evaluation.report import Figure, distances, judged, seam_error

    made, seen, real = looked
    names = ("Frechet distance over CLIP features", "kernel distance over CLIP features")
    figures = distances("clip", "CLIP", (seen.pictures, real.pictures), names)
    score = fidelity.agreement(seen.pictures, seen.texts), fidelity.agreement(real.pictures, real.texts)
    figures.append(Figure("clip_score", "CLIP score: cosine of picture and words", *score))
    if judge is not None:
        figures += judged(judge, made.pictures, data.pictures, data.labels)
    figures += seam_error(made.pictures, data.pictures, tile)
    return [*figures, Figure("images_per_second", "pictures a second", made.rate)]


def _inception(path: Path | None) -> Inception | None:
    if path is None:
        return None
    from gesso_plugins.evaluation.inception import load

    return load(path)


def _by_inception(network: Inception, made: Sequence[Picture], data: Sequence[Picture], stage: Stage) -> list[Figure]:
    """FID, KID and Inception Score, by their right names."""
    from gesso import fidelity
    from gesso_plugins.evaluation.report import Figure, distances

    seen, certain = network.look(made, stage("Inception looks at them", len(made)))
    real, known = network.look(data, stage("Inception looks at the data", len(data)))
    scores = fidelity.inception_score(certain).mean, fidelity.inception_score(known).mean
    return [*distances("inception", "Inception", (seen, real), ("FID", "KID")), Figure("inception_score", "Inception Score", *scores)]


def _document(options: argparse.Namespace, data: Data, made: Made, seen: Features, figures: Sequence[Figure]) -> dict[str, Any]:
    """The report: what was asked, and every figure."""
    return {
        "model": dict(made.model),
        "data": {"name": data.name, "pictures": len(data.pictures)},
        "pictures": len(made.pictures),
        "parameters": {**_asked(options, data), "seed": options.seed, "level": options.level},
        "features": dict(seen.model),
        "figures": {figure.key: {"title": figure.title, "made": figure.made, "data": figure.data} for figure in figures},
        "warnings": list(made.warnings),
    }


def _write(out: Path, document: dict[str, Any], made: Made, data: Data) -> None:
    from gesso.training.files import write_json
    from gesso_plugins.evaluation.report import write_sheet

    try:
        write_json(out / "report.json", document)
        write_sheet(out / "sheet.webp", made.pictures, data.captions)
    except OSError as fault:
        raise OutputError(f"{out} cannot be written: {fault.strerror or fault}.", field="out", hint="Choose another --out.") from fault


@contextmanager
def _stages(quiet: bool) -> Iterator[Stage]:
    """Progress on standard error: bars on a terminal, a line for each stage elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda title, total: _line(title, total, quiet)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:

        def bar(title: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(title, total=total)
            return lambda done: progress.update(task, completed=done)

        yield bar


def _line(title: str, total: int, quiet: bool) -> Callable[[int], None]:
    if not quiet:
        _note(f"{title}: {total}")

    def silent(_done: int) -> None:
        """Lines are not told more."""

    return silent


def _note(text: str) -> None:
    print(f"gesso: {text}", file=sys.stderr, flush=True)
