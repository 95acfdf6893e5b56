"""Runs any operation of the schema file as a command. It knows no operation by name: what it sends was generated from the schema."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.cli import work
from gesso.cli.options import given
from gesso.cli.output import KINDS, Destination, Picture, asked
from gesso.cli.schema import OperationSchema, Surface
from gesso.errors import GessoError, InvalidRequest, UsageError
from gesso.naming import folded

if TYPE_CHECKING:
    from gesso.client import Result
    from gesso.recipe import Recipe

READ_ONLY = (".jpg", ".jpeg", ".gif", ".bmp")
"""Endings of files that no codec of ours writes, and which would otherwise name files of another kind."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".exr")


@dataclass(frozen=True)
class Request:
    """What to send. ``recipe`` is the one inside ``--from``, where that is a picture of ours."""

    params: dict[str, Any]
    level: str
    recipe: Recipe | None = None


def run(args: argparse.Namespace, surface: Surface) -> int:
    """Check what can be checked here, submit, follow, write."""
    operation = surface.operations[args.operation]
    asked = request(args, operation)
    params = _with_images(operation, asked.params)
    codec = _codec(args, surface)
    place = None if args.detach else _place(args, operation, params, codec["ending"])
    with work.connect(start=True) as client:
        job = client.submit(operation.name, params, level=asked.level, output=codec["name"])
        if place is None:
            return work.detached(job.id, as_json=args.json)
        with _typed_pictures(asked.params):
            result = work.follow(job, operation.name, quiet=args.quiet)
        outcome = work.save(job.id, operation.name, job.params, result, place)
    notes = (*outcome.notes, *_incomparable(asked.recipe, result))
    outcome = replace(outcome, notes=notes, inputs=_typed(operation, asked.params))
    return work.tell(outcome, as_json=args.json, quiet=args.quiet)


def request(args: argparse.Namespace, operation: OperationSchema) -> Request:
    """The job inside ``--from``, overlaid by what was typed."""
    base = Request({}, "exact") if args.source is None else _embedded(args.source, operation)
    typed = given(args)
    params = {**base.params, **typed}
    prompt = operation.prompt
    if prompt is not None and prompt not in params:
        needed = any(p.required for p in operation.properties if p.name == prompt)
        if needed:
            raise UsageError(
                f"`gesso {operation.name}` needs a {prompt.upper()}.", field=prompt, hint=f"See `gesso {operation.name} --help`."
            )
    if prompt is not None and _is_picture(typed.get(prompt)):
        in_order = f"`gesso {operation.name} --help` shows the order of words and pictures."
        hint = in_order if any(p.positional for p in operation.properties) else "A picture is given as --image FILE."
        raise UsageError(f"The {prompt} {typed[prompt]!r} is the name of a picture.", field=prompt, hint=hint)
    return Request(params, args.level or base.level, base.recipe)


def _is_picture(prompt: object) -> bool:
    """Whether what was typed as a prompt names a picture that is there: surely a slip."""
    return isinstance(prompt, str) and Path(prompt).suffix.lower() in PICTURES and Path(prompt).is_file()


def _embedded(source: str, operation: OperationSchema) -> Request:
    """The job that made a picture, ours or a peer's."""
    from gesso.recipe import read_params, read_recipe

    path = Path(source)
    recipe = read_recipe(path)
    if recipe is None:
        return Request(read_params(path), "exact")
    if recipe.operation != operation.name:
        raise UsageError(f"{source} was made by `gesso {recipe.operation}`, not by `gesso {operation.name}`.", field="from")
    return Request(dict(recipe.params), recipe.level, recipe)


def _incomparable(recipe: Recipe | None, result: Result) -> Iterator[str]:
    """Bytes are promised for one environment only: say so where the picture in ``--from`` was made in another."""
    differing = [] if recipe is None else differences(recipe, result)
    if differing:
        yield f"the picture in --from was made with another {', '.join(differing)}; the bytes of the two are not comparable"


def differences(recipe: Recipe, result: Result) -> list[str]:
    """What the bytes depend on beside the job, and is not as it was."""
    here = dict(result.environment)
    differing = sorted(key for key in recipe.environment.keys() | here.keys() if recipe.environment.get(key) != here.get(key))
    if recipe.model_digest != result.model.get("digest") and recipe.model == result.model.get("name"):
        differing.append("model files")
    return differing


def _codec(args: argparse.Namespace, surface: Surface) -> Mapping[str, Any]:
    """The codec of --format, else the one whose files are called like --output's, else PNG."""
    known = surface.catalogues.get("codecs", ())
    if args.format is not None:
        found = [entry for entry in known if folded(args.format) in map(folded, (entry["name"], entry["title"], *entry["aliases"]))]
        if not found:
            names = ", ".join(entry["name"] for entry in known)
            raise UsageError(f"There is no format {args.format[:80]!r}. Known: {names}.", field="format")
        return found[0]
    suffix = Path(args.output or "").suffix.lower()
    ending = KINDS.get(suffix, suffix.removeprefix("."))
    endings = sorted(entry["ending"] for entry in known)
    if suffix in READ_ONLY and ending not in endings and not Path(args.output).is_dir():
        raise UsageError(f"Gesso writes no {suffix} files.", field="output", hint=f"End --output in .{', .'.join(endings)}.")
    usual = next((entry for entry in known if entry["name"] == "png"), {"name": "png", "ending": "png"})
    return next((entry for entry in known if entry["ending"] == ending), usual)


def _place(args: argparse.Namespace, operation: OperationSchema, params: dict[str, Any], ending: str) -> Destination:
    """The checked destination; files that a known seed will surely name are refused now, not after the work."""
    count = params.get("keep") or params.get("count", next((p.default for p in operation.properties if p.name == "count"), 1))
    place = asked(args, count)
    several = next((p for p in operation.properties if p.several and params.get(p.name, p.default)), None)
    if several is not None and place.file is not None:
        raise UsageError(
            f"`gesso {operation.name}` writes several files for each picture, but --output names one file, {place.file!r}.",
            field="output",
            hint=f"Give a folder: end it in a slash. --no-{several.name.replace('_', '-')} makes one file.",
        )
    seed = params.get("seed")
    fields = work.fields(operation.name, params)
    if isinstance(seed, int) and isinstance(count, int) and 0 < count <= 1000 and not params.get("best_of"):
        place.paths([Picture(seed + n, n + 1, "image", ending) for n in range(count)], fields)
    else:
        place.unchecked().paths([Picture(0, 1, "image")], fields)
    return place


def _with_images(operation: OperationSchema, params: dict[str, Any]) -> dict[str, Any]:
    """Paths that were typed become `Path`s, which the client uploads. An image out of a recipe is named by its hash already."""
    sent = dict(params)
    for name in operation.images:
        value = params.get(name)
        if isinstance(value, str):
            sent[name] = _image(name, value)
        elif isinstance(value, list):
            sent[name] = [_image(name, item) if isinstance(item, str) else item for item in value]
        elif isinstance(value, dict) and "sha256" not in value:
            sent[name] = {key: _image(name, item) if isinstance(item, str) else item for key, item in value.items()}
    return sent


def _typed(operation: OperationSchema, params: dict[str, Any]) -> tuple[str, ...]:
    """The pictures of the one parameter that takes several, as they were typed."""
    several = [params[name] for name in operation.images if isinstance(params.get(name), list)]
    return tuple(str(item) for item in several[0]) if several else ()


@contextmanager
def _typed_pictures(params: Mapping[str, Any]) -> Iterator[None]:
    """An error about one picture of several names its file."""
    try:
        yield
    except GessoError as fault:
        name, _, number = (fault.field or "").partition(".")
        typed = params.get(name)
        at = int(number) if number.isdecimal() else 0
        if number and isinstance(typed, list) and at < len(typed) and isinstance(typed[at], str):
            fault.hint = " ".join(filter(None, (f"That is {typed[at]}.", fault.hint)))
        raise


def _image(name: str, typed: str) -> Path:
    try:
        with open(typed, "rb"):
            return Path(typed)
    except OSError as fault:
        raise InvalidRequest(f"The file {typed} cannot be read: {(fault.strerror or str(fault)).lower()}.", field=name) from fault
