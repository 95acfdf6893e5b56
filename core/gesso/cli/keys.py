"""`gesso keys`: who may reach the daemon from another machine, and as whom this user reaches others. It touches key files only."""

from __future__ import annotations

import argparse

from gesso.cli import report
from gesso.cli.schema import Surface
from gesso.wire import keys
from gesso.wire.home import Home


def new(args: argparse.Namespace, _surface: Surface) -> int:
    """Make a pair; its public half is what the owner of a daemon authorises."""
    home = Home.find()
    pair = keys.new_pair(home, args.name)
    path = keys.pair_path(home, args.name)
    if args.json:
        report.document({"name": args.name, "public": pair.public, "path": str(path)})
        return 0
    report.note(f"the secret half stays in {path}; this is the public one, for `gesso keys authorize` on the daemon's machine")
    print(pair.public)
    return 0


def authorize(args: argparse.Namespace, _surface: Surface) -> int:
    """Let a key in; a running daemon that listens notices at once."""
    home = Home.find()
    added = keys.authorise(home, args.name, args.key)
    daemon = keys.daemon_pair(home).public
    if args.json:
        report.document({"name": added.name, "public": added.public, "principal": added.principal, "daemon_key": daemon})
        return 0
    report.note(f"{added.name} may come in; on its machine set GESSO_ADDRESS=tcp://HOST:PORT and GESSO_DAEMON_KEY to this daemon's key:")
    print(daemon)
    return 0


def listing(args: argparse.Namespace, _surface: Surface) -> int:
    """The daemon's key, our pairs and the keys that may come in."""
    home = Home.find()
    ours = keys.pairs(home)
    daemon = ours.pop(keys.DAEMON, None)
    known = keys.authorised(home)
    if args.json:
        report.document(
            {
                "daemon_key": daemon,
                "pairs": [{"name": name, "public": public} for name, public in ours.items()],
                "authorised": [{"name": key.name, "public": key.public, "principal": key.principal} for key in known],
            }
        )
        return 0
    rows = [("daemon", "", daemon or "none yet: `gesso keys authorize` makes it")]
    rows += [("ours", name, public) for name, public in ours.items()]
    rows += [("authorised", key.name, key.public) for key in known]
    report.table(rows, ("kind", "name", "public key"))
    return 0


def revoke(args: argparse.Namespace, _surface: Surface) -> int:
    """Let a key in no more; a running daemon ends its connections within a second. Its jobs stay."""
    name = keys.revoke(Home.find(), args.name)
    if args.json:
        report.document({"revoked": name})
    else:
        report.note(f"{name} is let in no more; its connections end within a second")
    return 0
