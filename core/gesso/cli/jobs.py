"""`gesso jobs ...`: looks after jobs of the running daemon. It never starts one: without a daemon there is nobody to ask."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gesso.cli import report, work
from gesso.cli.output import destination
from gesso.cli.schema import Surface
from gesso.errors import UsageError

if TYPE_CHECKING:
    from gesso.client import Job


def listing(args: argparse.Namespace, _surface: Surface) -> int:
    """The newest jobs."""
    with work.connect(start=False) as client:
        found = client.jobs(limit=args.limit, states=args.state or ())
    if args.json:
        report.document({"jobs": [dict(job) for job in found]})
        return 0
    rows = [(str(job["job"]), str(job["state"]), str(job["operation"]), _when(job), str(job.get("client", ""))) for job in found]
    report.table(rows, ("job", "state", "operation", "created", "by"))
    return 0


def _when(job: Mapping[str, Any]) -> str:
    created = job.get("created")
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(created)) if isinstance(created, (int, float)) else ""


def show(args: argparse.Namespace, _surface: Surface) -> int:
    """One job with all that the daemon tells of it."""
    with work.connect(start=False) as client:
        job = dict(client.job(args.job))
    if args.json:
        report.document(job)
        return 0
    params = job.pop("params", {})
    error = job.pop("error", None)
    shown = {**job, "created": _when(job), **params, **({"error": error["message"]} if isinstance(error, Mapping) else {})}
    width = max(map(len, shown))
    for key, value in shown.items():
        print(f"{key.ljust(width)}  {value}")
    return 0


def cancel(args: argparse.Namespace, _surface: Surface) -> int:
    """Cancel a job; one that has ended stays as it is."""
    with work.connect(start=False) as client:
        client.cancel(args.job)
    if args.json:
        report.document({"job": args.job})
    else:
        report.note(f"asked for the end of job {args.job}")
    return 0


def wait(args: argparse.Namespace, _surface: Surface) -> int:
    """Follow a job to its end. Its pictures are written only where ``-o`` says so."""
    return _collect(args, write=args.output is not None, running=True)


def fetch(args: argparse.Namespace, _surface: Surface) -> int:
    """Write the pictures of a job that is done."""
    return _collect(args, write=True, running=False)


def _collect(args: argparse.Namespace, *, write: bool, running: bool) -> int:
    place = destination(args.output, pattern=args.pattern, force=args.force) if write else None
    with work.connect(start=False) as client:
        summary = client.job(args.job)
        if not running and summary["state"] not in ("done", "failed", "cancelled"):
            raise UsageError(
                f"Job {args.job} is {summary['state']}.", field="job", hint=f"`gesso jobs wait {args.job} -o FOLDER/` waits for it."
            )
        job = client.attach(args.job)
        result = work.follow(job, str(summary["operation"]), quiet=args.quiet or not running)
        if place is None:
            return _tell_without_files(args, job)
        outcome = work.save(job.id, str(summary["operation"]), dict(summary.get("params", {})), result, place)
    return work.tell(outcome, as_json=args.json, quiet=args.quiet)


def _tell_without_files(args: argparse.Namespace, job: Job) -> int:
    result = job.result()
    if args.json:
        report.document({"job": job.id, "images": [], "level": result.level, "seconds": result.seconds, "warnings": list(result.warnings)})
    else:
        report.note(f"done; `gesso jobs fetch {job.id} -o FOLDER/` writes its files")
    return 0
