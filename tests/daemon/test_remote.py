"""Other machines come in by authorised keys only, see their own jobs only, and are out as soon as their key is revoked."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gesso.client import Client, Remote
from gesso.client.aio import AsyncClient
from gesso.errors import Unauthorised, UnknownJob, Unreachable, UsageError
from gesso.wire import keys
from gesso.wire.home import Home
from gesso.wire.transport import Curve

from .conftest import Make
from .talk import TERMINAL, Daemon, Talk

ANY_PORT = "tcp://127.0.0.1:0"


def let_in(home: Home, name: str) -> Curve:
    """A new key that is authorised."""
    pair = keys.new_pair(home, name)
    keys.authorise(home, name, pair.public)
    return Curve(keys.daemon_pair(home).public, pair.public, pair.secret)


@pytest.fixture
def laptop(home: Path) -> Curve:
    return let_in(Home.find(home), "laptop")


@pytest.fixture
def remote_daemon(laptop: Curve, make_daemon: Make) -> Daemon:
    """A front that listens for the laptop."""
    return make_daemon(settings={"daemon.listen": ANY_PORT}).start()


@pytest.fixture
def address(remote_daemon: Daemon) -> str:
    return str(remote_daemon.info().curve)


@pytest.fixture
def remote(remote_daemon: Daemon, address: str) -> Iterator[Client]:
    """The real client, as the laptop."""
    key = keys.daemon_pair(remote_daemon.home).public
    with Client(address=Remote(address, key, "laptop")) as client:
        yield client


def test_a_remote_client_has_all_that_a_local_one_has(remote: Client, remote_daemon: Daemon) -> None:
    picture = os.urandom(3 << 20)
    job = remote.submit("paint", prompt="progress:3 fetch", image=picture, seed=7)
    assert [type(event).__name__ for event in job][-1] == "Done"
    assert job.result().images[0].read() == picture
    assert remote.welcome["principal"] == keys.principal(keys.pairs(remote_daemon.home)["laptop"])
    assert not {"nonce_file", "nonce_sha256", "blobs", "proof"} & set(remote.welcome)
    assert "operations" in remote.describe()
    with pytest.raises(Unauthorised, match="own user"):
        remote.stop()
    assert remote_daemon.is_alive()


def test_the_asyncio_client_too(remote_daemon: Daemon, address: str) -> None:
    async def main() -> int:
        key = keys.daemon_pair(remote_daemon.home).public
        async with AsyncClient(address=Remote(address, key, "laptop")) as client:
            job = await client.submit("paint", prompt="image:64")
            return len((await job.result()).images)

    assert asyncio.run(main()) == 1


def test_the_environment_names_the_daemon_and_the_keys(remote_daemon: Daemon, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESSO_ADDRESS", address)
    with pytest.raises(UsageError, match="public key") as caught:
        Client()
    assert caught.value.field == "daemon_key"
    monkeypatch.setenv("GESSO_DAEMON_KEY", keys.daemon_pair(remote_daemon.home).public)
    with pytest.raises(UsageError, match=r"no key .*default\.pair"):
        Client()
    monkeypatch.setenv("GESSO_KEY", "laptop")
    with Client() as client:
        assert client.welcome["principal"].startswith("key-")
    with Client(home=remote_daemon.root, start=False) as client:
        assert client.welcome["principal"] == "owner", "who asks for the daemon here gets it"


def test_one_key_sees_no_job_of_another(remote_daemon: Daemon, laptop: Curve, address: str) -> None:
    phone = let_in(remote_daemon.home, "phone")
    with Talk(address, curve=laptop) as ours, Talk(address, curve=phone) as theirs, remote_daemon.talk() as owner:
        job = ours.submit("sleep:60", key="same")["job"]
        ours.event(job, "started")
        mine = owner.submit("image:64", key="same", watch=False)["job"]
        assert theirs.ask("list")["jobs"] == []
        assert theirs.ask("list")["total"] == 0
        for kind in ("attach", "cancel", "detach"):
            for other in (job, mine):
                with pytest.raises(UnknownJob):
                    theirs.ask(kind, job=other)
        with pytest.raises(UnknownJob):
            theirs.ask("list", job=job)
        assert job not in json.dumps(theirs.ask("status"))
        assert job in json.dumps(ours.ask("status"))
        assert theirs.submit("image:64", key="same")["duplicate"] is False, "keys of jobs belong to their principal too"
        assert {line["job"] for line in ours.ask("list")["jobs"]} == {job}
        assert {job, mine} <= {line["job"] for line in owner.ask("list")["jobs"]}
        owner.ask("cancel", job=job)
        assert ours.end(job)["type"] == "cancelled"


def test_no_file_of_the_daemon_is_offered_to_a_key(remote_daemon: Daemon, laptop: Curve, address: str) -> None:
    nonce = (remote_daemon.home.runtime / "nonce").read_text()
    with Talk(address, curve=laptop) as talk:
        assert talk.ask("blob.begin", size=5, sha256="0" * 64, nonce=nonce)["path"] is None


def test_a_revoked_key_is_out_and_its_connections_end(remote: Client, remote_daemon: Daemon, address: str) -> None:
    other = let_in(remote_daemon.home, "other")
    with Talk(address, curve=other) as staying, remote_daemon.talk() as owner:
        job = remote.submit("paint", prompt="progress:2 sleep:60")
        assert owner.ask("status")["metrics"]["remote_connections"] == 2
        keys.revoke(remote_daemon.home, "laptop")
        with pytest.raises(Unauthorised, match="not authorised there"):
            list(job)
        with pytest.raises(Unauthorised):
            remote.ping()
        while owner.ask("status")["metrics"]["remote_connections"] > 1:
            pass
        assert owner.ask("list", job=job.id)["jobs"][0]["state"] not in TERMINAL, "its job goes on"
        assert staying.ask("ping")["type"] == "pong", "nobody else is disturbed"
        with pytest.raises(Unauthorised):
            Client(address=Remote(address, keys.daemon_pair(remote_daemon.home).public, "laptop"))


def test_a_daemon_with_another_key_is_not_believed(remote_daemon: Daemon, address: str) -> None:
    with pytest.raises(Unreachable, match="another key"):
        Client(address=Remote(address, "1" * 64, "laptop"))


def test_a_key_authorised_while_the_daemon_runs_comes_in(remote_daemon: Daemon, address: str) -> None:
    with Talk(address, curve=let_in(remote_daemon.home, "late")) as talk:
        assert talk.run("image:64")["type"] == "done"


def test_a_remote_client_survives_a_kill_of_the_daemon(laptop: Curve, make_daemon: Make) -> None:
    daemon = make_daemon(settings={"daemon.listen": ANY_PORT}).start()
    address = str(daemon.info().curve)
    with Client(address=Remote(address, laptop.server_key, "laptop")) as client:
        job = client.submit("paint", prompt="sleep:0.5 image:64")
        daemon.kill()
        daemon.start(settings={"daemon.listen": address})
        assert len(job.result(60).images) == 1


def refused(home: Path, *words: str, **environment: str) -> dict[str, Any]:
    """What `gesso serve` says when it does not start."""
    command = [sys.executable, "-m", "gesso", "serve", "--json", *words]
    found = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 2, found.stderr
    assert not (home / "run/daemon.json").exists()
    error: dict[str, Any] = json.loads(found.stdout)["error"]
    return error


def test_without_an_authorised_key_it_refuses_to_listen_and_says_why(home: Path) -> None:
    for error in (refused(home, "--listen", "tcp://192.0.2.1:7421"), refused(home, GESSO_LISTEN=ANY_PORT)):
        assert error["field"] == "listen"
        assert "no key is authorised" in error["message"]
        assert "gesso keys authorize" in error["hint"]


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [("tcp:" + "//*:7421", "not an address"), ("ipc:///x", "not an address"), ("tcp://h", "not an address"), ("tcp://h:99999", "address")],
)
def test_addresses_that_are_none(home: Path, laptop: Curve, endpoint: str, says: str) -> None:
    assert says in refused(home, "--listen", endpoint)["message"]


def test_an_address_that_is_taken_is_said_so(tmp_path: Path) -> None:
    (other := tmp_path / "h").mkdir(mode=0o700)
    let_in(Home.find(other), "laptop")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = refused(other, "--listen", f"tcp://127.0.0.1:{taken.getsockname()[1]}", GESSO_HOME=str(other))
    assert "cannot listen" in error["message"]
    assert "in use" in error["message"]


def test_a_start_that_fails_lets_go_of_everything(tmp_path: Path) -> None:
    """A ZeroMQ context with open sockets waits for ever when it is collected, which once held up a refusal."""
    (other := tmp_path / "h").mkdir(mode=0o700)
    let_in(Home.find(other), "laptop")
    program = (
        "import gc, sys\nfrom gesso.daemon import ServeOptions, serve\nfrom gesso.errors import UsageError\n"
        "try: serve(ServeOptions(flags={'daemon.listen': sys.argv[1]}))\nexcept UsageError as fault: print(fault.message)\n"
        "gc.collect()\nprint('left')\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [sys.executable, "-c", program, f"tcp://127.0.0.1:{taken.getsockname()[1]}"]
        environ = {**os.environ, "GESSO_HOME": str(other)}
        found = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert "in use" in found.stdout
    assert found.stdout.endswith("left\n")


def test_without_pyzmq_the_client_says_so(home: Path, laptop: Curve) -> None:
    program = (
        "import sys; sys.modules['zmq'] = None\n"
        "from gesso.client import Client, Remote\nfrom gesso.errors import UsageError\n"
        "try: Client(address=Remote('tcp://127.0.0.1:1', '0' * 64, 'laptop'))\n"
        "except UsageError as fault: print(fault.message, fault.hint)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "CURVE needs pyzmq" in found.stdout
    assert "pip install pyzmq" in found.stdout
