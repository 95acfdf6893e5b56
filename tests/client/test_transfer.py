"""Images on their way up and down."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from gesso.client import Client
from gesso.errors import BlobMissing, GessoError, InvalidRequest, StorageFull
from gesso.wire.message import LIMITS

from .fake_front import FakeFront

pytestmark = pytest.mark.usefixtures("both_wires")


def test_upload_in_parts_keeps_to_the_credit(front: FakeFront, client: Client, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 * 7 + b"tail"
    (tmp_path / "image.png").write_bytes(data)
    sha256 = client.upload(tmp_path / "image.png")
    assert front.blobs[sha256] == data
    assert [header["offset"] for header in front.seen("blob.part")] == list(range(0, len(data), LIMITS["payload_bytes"]))
    assert client.upload(data) == sha256
    assert len(front.seen("blob.begin")) == 2
    assert len(front.seen("blob.part")) == 8
    assert client.download(sha256) == data


@pytest.mark.parametrize("data", [b"", b"x", b"y" * LIMITS["payload_bytes"], b"z" * (LIMITS["payload_bytes"] + 1)])
@pytest.mark.parametrize("same_files", [False, True])
def test_blobs_of_every_size_go_there_and_back(front: FakeFront, data: bytes, same_files: bool) -> None:
    front.same_files = same_files
    with Client(start=False) as client:
        sha256 = client.upload(data)
        assert sha256 == hashlib.sha256(data).hexdigest()
        assert front.blobs[sha256] == data
        if same_files:
            assert (front.seen("blob.begin")[0].get("sha256") is None) == (len(data) > LIMITS["payload_bytes"]), "only one of us hashes"
            assert [header["offset"] for header in front.seen("blob.part")] == [len(data)]
        assert client.download(sha256) == data


def test_download_from_the_blob_s_own_file(front: FakeFront) -> None:
    front.same_files = True
    sha256 = hashlib.sha256(b"on disk").hexdigest()
    place = front.home.blobs / sha256[:2] / sha256
    place.parent.mkdir()
    place.write_bytes(b"on disk")
    with Client(start=False) as client:
        assert client.download(sha256) == b"on disk"
    assert front.seen("blob.get") == []


def test_a_nonce_file_that_differs_is_another_file_system(front: FakeFront) -> None:
    front.same_files = True
    (front.home.runtime / "nonce").write_text("somebody else's")
    with Client(start=False) as client:
        client.upload(b"abc")
    assert front.seen("blob.begin")[0].get("nonce") is None


def test_other_bytes_than_asked_for_are_refused(front: FakeFront, client: Client) -> None:
    front.blobs["ab" * 32] = b"forged"
    with pytest.raises(GessoError, match="other bytes"):
        client.download("ab" * 32)
    with pytest.raises(BlobMissing):
        client.download("cd" * 32)
    with pytest.raises(InvalidRequest, match="64"):
        client.download("../../secret")


def test_an_upload_begins_anew_after_a_lost_connection(front: FakeFront, client: Client) -> None:
    fired = threading.Event()

    def break_once(message: object) -> None:
        if getattr(message, "type", "") == "blob.part" and not fired.is_set():
            fired.set()
            threading.Thread(target=front.restart).start()

    front.on_request = break_once
    front.swallow["blob.part"] = 1
    data = b"image" * 1_000_000
    assert front.blobs[client.upload(data)] == data
    assert len({header["id"] for header in front.seen("blob.begin")}) == 2


def test_images_among_the_parameters_are_uploaded(front: FakeFront, client: Client, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"\x89PNG\r\n\x1a\nmask")
    client.submit("edit", image=b"bytes", mask=tmp_path / "mask.png", nested={"all": [b"bytes", 1, "text"]})
    params = front.seen("submit")[0]["params"]
    image, mask = hashlib.sha256(b"bytes").hexdigest(), hashlib.sha256(b"\x89PNG\r\n\x1a\nmask").hexdigest()
    assert params == {"image": {"sha256": image}, "mask": {"sha256": mask}, "nested": {"all": [{"sha256": image}, 1, "text"]}}
    assert [header["media_type"] for header in front.seen("blob.begin")][1] == "image/png"


def test_an_image_that_was_evicted_meanwhile_is_sent_again(front: FakeFront, client: Client) -> None:
    def evict_once(message: object) -> None:
        if getattr(message, "type", "") == "submit" and len(front.seen("submit")) == 1:
            front.blobs.clear()

    front.on_request = evict_once
    job = client.submit("edit", image=b"an image")
    assert front.jobs[job.id].header["params"]["image"]["sha256"] in front.blobs
    with pytest.raises(BlobMissing):
        client.submit("edit", image={"sha256": "00" * 32})


def test_files_that_cannot_be_read_or_handed_over(front: FakeFront, tmp_path: Path) -> None:
    front.same_files = True
    with Client(start=False) as client:
        with pytest.raises(InvalidRequest, match=r"absent\.png"):
            client.upload(tmp_path / "absent.png")
        front.home.incoming.rmdir()
        with pytest.raises(StorageFull, match="handed over"):
            client.upload(b"data")
