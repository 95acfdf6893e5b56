"""``python -m gesso.worker --link ENDPOINT --device cpu --black-box PATH``; the link's secret comes in the environment.

It says Ready first and imports torch and the plugins then, so that a daemon is up at once and the first job finds a warm worker.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesso import __version__, logs, telemetry
from gesso.device.threads import alternatives, prepare, thread_count
from gesso.link import BlackBox, WorkerLink, die_with_parent, take_secret
from gesso.link.messages import Bye, Ready

if TYPE_CHECKING:
    from gesso.plugin import Registry

SLOTS = 4
"""Jobs leased at once: enough to fill a forward and to prepare the next, few enough that a lost worker costs little."""
LOG_AFTER = 10.0
"""Seconds of device time after which a job's replies are worth logging: what is shorter is as quickly run again."""
_LAST_WORDS = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one worker until the front shuts it down or is gone."""
    die_with_parent()
    options = parsed(arguments)
    telemetry.switch_off()
    logs.to_stream()
    sys.unraisablehook = _log_unraisable
    work(options, WorkerLink(options.link, take_secret(), on_lost=_leave_soon))
    return 0


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m gesso.worker", allow_abbrev=False)
    parser.add_argument("--link", required=True, help="the front's endpoint")
    parser.add_argument("--device", default="auto", help="auto (the first GPU, else cpu), cpu, cuda or cuda:N")
    parser.add_argument("--black-box", required=True, type=Path, help="the file that names the jobs being computed")
    parser.add_argument("--slots", type=int, default=SLOTS, help="jobs leased at once")
    parser.add_argument("--replay", type=Path, default=None, help="a folder for replay logs; none are kept without it")
    parser.add_argument("--log-after", type=float, default=LOG_AFTER, help="seconds of device time after which replies are logged")
    parser.add_argument("--models", type=Path, default=None, help="the owner's models.json")
    parser.add_argument("--plugins", type=Path, default=None, help="the folder of the owner's plugins")
    parser.add_argument("--threads", type=int, default=0, help="threads for computing; 0: all cores but one")
    parser.add_argument("--memory", type=int, default=0, help="bytes that weights may take on the device; 0: as measured")
    parser.add_argument("--thrift", type=json.loads, default={}, help="how weights are held: the fields of gesso.model.Thrift, as JSON")
    parser.add_argument("--idle-weights", type=float, default=600.0, help="seconds after which idle weights leave; 0: never")
    parser.add_argument("--previews", type=float, default=10.0, help="previews of a job in a second, at most")
    parser.add_argument("--config", type=Path, default=None, help="the owner's config.toml, for the settings of plugins")
    return parser.parse_args(arguments)


def work(options: argparse.Namespace, link: WorkerLink, registry: Registry | None = None) -> None:
    """Serve on a link, which is closed at the end. ``registry``: the plugins, those that ship with Gesso where it is None."""
    threads = options.threads or thread_count()
    prepare(threads)
    box = BlackBox(options.black_box)
    info = {"device": options.device, "threads": threads, "versions": {"gesso": __version__}, "resident": []}
    link.send(Ready(worker=f"{options.device}-{os.getpid()}", pid=os.getpid(), slots=options.slots, info=info))

    from gesso.worker.service import Habits, Replay, Setup, serve

    others = () if options.threads else alternatives()
    habits = Habits(options.idle_weights, options.previews, options.memory, options.thrift)
    replay = Replay(options.replay, options.log_after)
    try:
        setup = Setup(options.device, threads, options.models, replay, info, habits, options.plugins, options.config, others)
        serve(link, box, setup, registry)
        box.clear()
        link.send(Bye())
    finally:
        link.close()
        box.close()


def _leave_soon() -> None:
    """The front is gone: whatever a forward or a plugin still does, this process must not outlive it for long."""
    timer = threading.Timer(_LAST_WORDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    fault = unraisable.exc_value
    logging.getLogger("gesso.worker").error("%s", unraisable.err_msg or "an exception was ignored", exc_info=fault)


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    os._exit(status)  # a host function on the thread pool may still run, and nobody waits for it
