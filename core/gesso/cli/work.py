"""What every command that runs a job shares: reach the daemon, follow the job through Ctrl-C, write its pictures, tell the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.cli import report
from gesso.cli.output import Destination, Picture, slug
from gesso.cli.progress import Reporter, reporter
from gesso.errors import Cancelled, OutputError, UsageError

if TYPE_CHECKING:
    from gesso.client import Client, Job, Result
    from gesso.client.results import ResultImage


@dataclass(frozen=True)
class Outcome:
    """A finished job, and where its pictures lie. ``inputs``: the pictures that were typed, where an operation takes several."""

    job: str
    operation: str
    result: Result
    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What the daemon warned of, and what was found here."""
        return [*self.result.warnings, *self.notes]

    def scores(self) -> Iterator[str]:
        """A line for each picture that was scored, and one for each place of a ranking."""
        for path, image in zip(self.paths, self.result.images, strict=True):
            if image.info.get("scores") is not None and image.role in ("image", "base_color"):
                yield f"{path.name}: {_score(image.score, image.info['scores'])}"
            for place, entry in enumerate(image.info.get("ranking", ()), 1):
                name = self.inputs[entry["image"]] if entry["image"] < len(self.inputs) else f"picture {entry['image'] + 1}"
                yield f"{place}. {name}: {_score(entry['score'], entry['scores'])}"
            if lora := image.info.get("measured", {}).get("lora"):
                yield f"the LoRA {lora} is on the list: `--lora {lora}=1` puts it on"
            for entry in image.info.get("measured", {}).get("captions", ()):
                yield f"{entry['score']:.3f}  {entry['words']}"

    def document(self) -> dict[str, Any]:
        """The JSON object of the command."""
        images = self.result.images
        results = [
            {
                "path": str(path),
                "seed": image.seed,
                "sha256": image.sha256,
                "width": image.width,
                "height": image.height,
                "role": image.role,
                "score": image.score,
                **image.info,
            }
            for path, image in zip(self.paths, images, strict=True)
        ]
        return {
            "job": self.job,
            "operation": self.operation,
            "images": [str(path) for path in self.paths],
            "results": results,
            "seed": images[0].seed if images else None,
            "level": self.result.level,
            "seconds": self.result.seconds,
            "warnings": self.warnings,
        }


def _score(total: float | None, parts: Mapping[str, float]) -> str:
    said = "no score" if total is None else f"{total:.3f}"
    return said if len(parts) < 2 else f"{said} ({', '.join(f'{name} {part:.3f}' for name, part in parts.items())})"


def connect(*, start: bool) -> Client:
    """A client of the running daemon; with ``start`` it starts one where none runs, and says so."""
    from gesso.client import Client

    return Client(start=start, name="gesso", on_start=report.note)


def follow(job: Job, label: str, *, quiet: bool) -> Result:
    """Show a job until its end. The first Ctrl-C cancels it and waits for that, the second leaves and names the job."""
    with reporter(label, quiet=quiet) as shown:
        _until_the_end(job, shown)
    return job.result()


def _until_the_end(job: Job, shown: Reporter) -> None:
    asked = False
    while True:
        try:
            if asked:
                job.cancel()
            for event in job:
                shown.show(event)
            return
        except KeyboardInterrupt:
            if asked:
                raise Cancelled(
                    f"Left without waiting for job {job.id} to end.", hint=f"`gesso jobs show {job.id}` tells what became of it."
                ) from None
            asked = True
            report.note("cancelling (press Ctrl-C again to leave without waiting)")


def save(job: str, operation: str, params: Mapping[str, Any], result: Result, destination: Destination) -> Outcome:
    """Write every picture of a result, all names being checked before the first is written."""
    pictures = [Picture(image.seed, image.index + 1, image.role, image.ending) for image in result.images]
    try:
        paths = destination.paths(pictures, fields(operation, params))
        for path, image in zip(paths, result.images, strict=True):
            _write(image, path, destination)
    except (OutputError, UsageError) as fault:
        fault.field = fault.field or "output"
        fault.hint = f"{fault.hint or 'Choose another --output.'} The result is kept: `gesso jobs result {job} -o FOLDER/` writes it."
        raise
    misnamed = [path for path in paths if destination.file not in (None, path.name)]
    notes = tuple(f"the picture keeps its kind of file: it is called {path.name}, not {destination.file}" for path in misnamed)
    return Outcome(job, operation, result, tuple(paths), notes)


def _write(image: ResultImage, path: Path, destination: Destination) -> None:
    if not destination.credentials:
        image.save(path, overwrite=destination.force)
        return
    from gesso.cli import credentials
    from gesso.client.results import write_file

    write_file(path, credentials.signed(image.read(), path.name), overwrite=destination.force)


def fields(operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a file name may be made of, beside seed and number."""
    return {"slug": slug(str(params.get("prompt") or operation)), "operation": operation}


def tell(outcome: Outcome, *, as_json: bool, quiet: bool) -> int:
    """Print the outcome: the paths for a program, sentences about them for a person (the job's own warnings stood there while it ran)."""
    if as_json:
        report.document(outcome.document())
        return 0
    if not quiet:
        for note in outcome.notes:
            report.note(note)
        for line in outcome.scores():
            report.note(line)
        report.note(f"{len(outcome.paths)} file{'' if len(outcome.paths) == 1 else 's'} in {outcome.result.seconds:.1f} s")
    for path in outcome.paths:
        print(path)
    return 0


def detached(job: str, *, as_json: bool) -> int:
    """Print the id of a job that nobody waits for."""
    if as_json:
        report.document({"job": job})
    else:
        print(job)
    return 0
