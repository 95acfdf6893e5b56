"""`gesso jobs ...`: looks after jobs of the running daemon. It never starts one: without a daemon there is nobody to ask."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gesso.cli import report, work
from gesso.cli.output import asked
from gesso.cli.schema import Surface
from gesso.config.units import size
from gesso.errors import GessoError, UsageError

if TYPE_CHECKING:
    from gesso.client import Client, Job


def listing(args: argparse.Namespace, _surface: Surface) -> int:
    """The newest jobs."""
    with work.connect(start=False) as client:
        found = client.jobs(limit=args.limit, states=args.state or ())
    if args.json:
        report.document({"jobs": [dict(job) for job in found]})
        return 0
    rows = [(str(job["job"]), _state(job), str(job["operation"]), _when(job["created"]), str(job["client"]), _fault(job)) for job in found]
    report.table(rows, ("job", "state", "operation", "created", "by", ""))
    return 0


def _state(job: Mapping[str, Any]) -> str:
    return ", ".join([str(job["state"]), *(word for word in ("paused", "pinned") if job.get(word))])


def _fault(job: Mapping[str, Any]) -> str:
    error = job.get("error") or {}
    return str(error.get("message", ""))[:80]


def _when(seconds: object) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if isinstance(seconds, (int, float)) else ""


def show(args: argparse.Namespace, _surface: Surface) -> int:
    """One job with all that the daemon tells of it."""
    with work.connect(start=False) as client:
        job = dict(client.job(args.job))
    if args.json:
        report.document(job)
        return 0
    params, error = job.pop("params", {}), job.pop("error", None)
    told = {**job, "created": _when(job["created"]), "updated": _when(job["updated"])}
    if "bytes" in told:
        told["pictures"] = f"{told['pictures']}, {size(told.pop('bytes'))}{'' if told.pop('stored') else ', gone to make room'}"
    if isinstance(error, Mapping):
        told["error"] = report.one_line(GessoError.from_wire(error)).removeprefix("gesso: ")
    told.update({f"  {name}": value if isinstance(value, str) else json.dumps(value) for name, value in params.items()})
    told = {name: ("no", "yes")[value] if isinstance(value, bool) else value for name, value in told.items()}
    width = max(map(len, told))
    for name, value in told.items():
        print(f"{name.ljust(width)}  {value}")
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


def result(args: argparse.Namespace, _surface: Surface) -> int:
    """Write the pictures of a job that is done."""
    return _collect(args, write=True, running=False)


def retry(args: argparse.Namespace, _surface: Surface) -> int:
    """Make a new job from the request of one that has ended, then follow it or leave."""
    place = None if args.detach else asked(args)
    with work.connect(start=False) as client:
        operation = str(client.job(args.job)["operation"])
        job = client.retry(args.job)
        if place is None:
            return work.detached(job.id, as_json=args.json)
        outcome = work.save(job.id, operation, job.params, work.follow(job, operation, quiet=args.quiet), place)
    return work.tell(outcome, as_json=args.json, quiet=args.quiet)


def forget(args: argparse.Namespace, _surface: Surface) -> int:
    """Remove jobs that have ended, with the pictures that no other job names."""
    return _each(args, lambda client, job: client.forget(job), "forgotten", "forgot")


def pause(args: argparse.Namespace, _surface: Surface) -> int:
    """Let jobs stand from their next step on."""
    return _each(args, lambda client, job: client.pause(job), "paused", "paused")


def resume(args: argparse.Namespace, _surface: Surface) -> int:
    """Let paused jobs go on where they stand."""
    return _each(args, lambda client, job: client.pause(job, False), "resumed", "resumed")


def priority(args: argparse.Namespace, _surface: Surface) -> int:
    """Let a job go before others, or after them, from its next step on."""
    with work.connect(start=False) as client:
        client.prioritise(args.job, args.priority)
    if args.json:
        report.document({"job": args.job, "priority": args.priority})
    else:
        report.note(f"job {args.job} is {args.priority} now")
    return 0


def pin(args: argparse.Namespace, _surface: Surface) -> int:
    """Keep jobs and their pictures whatever their age and the room they take."""
    return _each(args, lambda client, job: client.pin(job), "pinned", "pinned")


def unpin(args: argparse.Namespace, _surface: Surface) -> int:
    """Let jobs and their pictures go when their time has come."""
    return _each(args, lambda client, job: client.pin(job, False), "unpinned", "unpinned")


def _each(args: argparse.Namespace, act: Callable[[Client, str], None], name: str, said: str) -> int:
    with work.connect(start=False) as client:
        for job in args.jobs:
            act(client, job)
    if args.json:
        report.document({name: args.jobs})
    else:
        report.note(f"{said} {len(args.jobs)} job{'' if len(args.jobs) == 1 else 's'}")
    return 0


def _collect(args: argparse.Namespace, *, write: bool, running: bool) -> int:
    place = asked(args) if write else None
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
        report.note(f"done; `gesso jobs result {job.id} -o FOLDER/` writes its files")
    return 0
