"""Commands that print what is declared: samplers, schedules, guidances, the recipe in a picture. They need no daemon."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.errors import InvalidRequest


def compile_schemas(args: argparse.Namespace, _surface: Surface) -> int:
    """Write the schema file from the plugins' parameter models; the one listing that imports plugins."""
    from gesso.plugin.compile import compile_first_party

    path, changed = compile_first_party()
    if args.json:
        report.document({"path": str(path), "changed": changed})
    else:
        print(f"{'wrote' if changed else 'nothing changed in'} {path}")
    return 0


def samplers(args: argparse.Namespace, surface: Surface) -> int:
    """Every sampler with its paper, order, cost and aliases."""
    return _catalogue(
        args,
        surface,
        "samplers",
        lambda entry: (
            entry["name"],
            str(entry["order"]),
            str(entry["evaluations"]) if entry["evaluations"] else "varies",
            "yes" if entry["stochastic"] else "no",
            entry["paper"],
            ", ".join(entry["aliases"]),
        ),
        ("sampler", "order", "evaluations", "stochastic", "paper", "aliases"),
    )


def schedules(args: argparse.Namespace, surface: Surface) -> int:
    """Every schedule with its paper and aliases."""
    return _catalogue(
        args,
        surface,
        "schedules",
        lambda entry: (entry["name"], entry["paper"], ", ".join(entry["aliases"])),
        ("schedule", "paper", "aliases"),
    )


def guidances(args: argparse.Namespace, surface: Surface) -> int:
    """Every guidance with its options and paper."""
    return _catalogue(
        args,
        surface,
        "guidances",
        lambda entry: (entry["name"], ", ".join(entry["options"]), entry["paper"], ", ".join(entry["aliases"])),
        ("guidance", "options", "paper", "aliases"),
    )


def scorers(args: argparse.Namespace, surface: Surface) -> int:
    """Every scorer, and whether it compares with a prompt."""
    return _catalogue(
        args,
        surface,
        "scorers",
        lambda entry: (entry["name"], "yes" if entry["prompted"] else "no", entry["paper"], ", ".join(entry["aliases"])),
        ("scorer", "needs a prompt", "paper", "aliases"),
    )


def upscalers(args: argparse.Namespace, surface: Surface) -> int:
    """Every upscaler with its paper."""
    return _catalogue(
        args,
        surface,
        "upscalers",
        lambda entry: (entry["name"], entry["paper"], ", ".join(entry["aliases"])),
        ("upscaler", "paper", "aliases"),
    )


def filters(args: argparse.Namespace, surface: Surface) -> int:
    """Every filter, and when it is heard."""
    return _catalogue(
        args,
        surface,
        "filters",
        lambda entry: (entry["name"], f"{entry['when']} generation", entry["title"]),
        ("filter", "when", "what it is"),
    )


def styles(args: argparse.Namespace, surface: Surface) -> int:
    """Every style with its words."""
    return _catalogue(
        args,
        surface,
        "styles",
        lambda entry: (entry["name"], entry["prompt"], entry["negative"], ", ".join(f"{k}={v}" for k, v in entry["params"].items())),
        ("style", "prompt", "negative", "settings"),
    )


def _catalogue(args: argparse.Namespace, surface: Surface, kind: str, row: Any, header: Sequence[str]) -> int:
    if surface.fault is not None:
        raise surface.fault
    entries = surface.catalogues.get(kind, ())
    if args.json:
        report.document({kind: [dict(entry) for entry in entries]})
    else:
        report.table([row(entry) for entry in entries], header)
    return 0


def show(args: argparse.Namespace, _surface: Surface) -> int:
    """How pictures were made: our own recipe, or what a peer wrote into them."""
    paths = [Path(picture) for picture in args.pictures]
    if args.json:
        found = [_document(path) for path in paths]
        report.document(found[0] if len(found) == 1 else {"pictures": found})
        return 0
    for i, path in enumerate(paths):
        if len(paths) > 1:
            print(path if i == 0 else f"\n{path}")
        _print_recipe(path)
    return 0


def _document(path: Path) -> dict[str, Any]:
    from gesso.recipe import infotext, read_params, read_recipe

    recipe = read_recipe(path)
    if recipe is None:
        return {"recipe": None, "params": read_params(path)}
    return {"recipe": asdict(recipe), "parameters": infotext(recipe)}


def _print_recipe(path: Path) -> None:
    from gesso.recipe import read_params, read_recipe

    recipe = read_recipe(path)
    if recipe is None:
        params = read_params(path)
        report.note(f"{path} was not made by Gesso; this much can be read from it")
        _print_fields(params)
        return
    head = {"operation": recipe.operation, "role": recipe.role, "level": recipe.level, "gesso": recipe.version}
    digest = {"model": f"{recipe.model} ({recipe.model_digest[:16] or 'no weights'})"}
    _print_fields({**head, **recipe.params, **digest, **{f"environment {key}": value for key, value in recipe.environment.items()}})


def _print_fields(fields: Mapping[str, Any]) -> None:
    shown = {key: value for key, value in fields.items() if value not in (None, "", {}, [])}
    if not shown:
        raise InvalidRequest("The picture's recipe is empty.")
    width = max(map(len, shown))
    for key, value in shown.items():
        print(f"{key.ljust(width)}  {value}")
