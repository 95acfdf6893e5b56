"""`python -m gesso.daemon`: the daemon without the command line client; what starts it in the background uses this."""

from __future__ import annotations

import argparse
import sys

from gesso.config import flags
from gesso.daemon.main import on_demand, serve
from gesso.daemon.options import ServeOptions
from gesso.errors import GessoError


def main(arguments: list[str] | None = None) -> int:
    """Exit statuses: 0 left in peace, 1 could not run, 2 usage."""
    parser = argparse.ArgumentParser("python -m gesso.daemon", allow_abbrev=False)
    parser.add_argument("--tcp", action="store_true", help="listen on loopback tcp too")
    parser.add_argument("--no-prewarm", action="store_true", help="start the worker with the first job only")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting that goes over environment and file")
    found = parser.parse_args(arguments)
    try:
        return serve(ServeOptions(tcp=found.tcp, prewarm=not found.no_prewarm, on_demand=on_demand(), flags=flags(found.set)))
    except GessoError as fault:
        print(f"{fault.message} {fault.hint or ''}".strip(), file=sys.stderr)
        return fault.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
