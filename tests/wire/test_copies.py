"""Wire, client and errors work when they are copied into another package, on Python 3.9, without any other package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gesso.wire.home import Home

from ..client.fake_front import FakeFront

CORE = Path(__file__).resolve().parents[2] / "core" / "gesso"
PARTS = ("errors.py", "wire", "client")

USE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from addon_gesso.client import Client, Done
from addon_gesso.client.aio import AsyncClient
from addon_gesso.errors import GessoError
with Client(start=False, home=sys.argv[2]) as client:
    job = client.submit("generate", prompt="moss", image=b"bytes")
    client.cancel(job.id)
    print([type(event).__name__ for event in job])
    client.download(client.upload(b"x" * 3000000))
    try:
        client.attach("nobody")
    except GessoError as fault:
        print(fault.code)

async def main():
    async with AsyncClient(start=False, home=sys.argv[2]) as client:
        job = await client.submit("generate", prompt="moss")
        await job.cancel()
        print([type(event).__name__ async for event in job])
asyncio.run(main())
foreign = sorted(name for name in sys.modules if name.split(".")[0] in ("gesso", "zmq", "numpy"))
print(foreign)
"""


def pythons() -> list[str]:
    """Old Pythons that this machine happens to have, and always our own."""
    found = [shutil.which("python3.9")]
    found += [str(path) for path in sorted((Path.home() / ".pyenv" / "versions").glob("3.9.*/bin/python3.9"))]
    return [*[path for path in found if path][-1:], sys.executable]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    package = tmp_path / "addon_gesso"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for part in PARTS:
        source = CORE / part
        if source.is_dir():
            shutil.copytree(source, package / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, package / part)
    return tmp_path


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).name)
def test_a_copy_serves_a_host(copied: Path, home: Path, python: str) -> None:
    front = FakeFront(Home.find(home))
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-W", "error", "-c", USE, str(copied), str(home)], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        front.close()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['Queued', 'Cancelled']", "unknown_job", "['Queued', 'Cancelled']", "[]"]


def test_nothing_in_a_copy_names_its_own_package() -> None:
    files = [CORE / "errors.py", *(CORE / "wire").glob("*.py"), *(CORE / "client").glob("*.py")]
    assert len(files) > 15
    named = [
        path.name for path in files for line in path.read_text().splitlines() if line.lstrip().startswith(("from gesso", "import gesso"))
    ]
    assert named == []


def test_vermin_finds_nothing_newer_than_3_9() -> None:
    command = [
        str(Path(sys.executable).with_name("vermin")),
        "-t=3.9-",
        "--eval-annotations",
        "--no-tips",
        "--violations",
        *(str(CORE / part) for part in PARTS),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
