"""The pipe between a worker and an isolated plugin: whole messages of any size, files, silence, and the end."""

from __future__ import annotations

import os
import threading

import pytest

from gesso.errors import ProtocolError
from gesso.link.isolated import ISOLATED, Answer, Fork, Work, Yielded
from gesso.link.pipe import Pipe, PipeClosed, pair


def both() -> tuple[Pipe, Pipe]:
    ours, theirs = pair(ISOLATED)
    return ours, Pipe(theirs, ISOLATED)


def test_messages_arrive_whole_and_in_order() -> None:
    here, there = both()
    sent = [Yielded(1, {"v": "ä"}, blobs=(os.urandom(3 << 20), b"")), Work(2, 3), Answer({})]
    sender = threading.Thread(target=lambda: [here.send(message) for message in sent])
    sender.start()
    assert [there.receive(20) for _ in sent] == sent
    sender.join()
    here.close()
    with pytest.raises(PipeClosed):
        there.receive(20)
    with pytest.raises(PipeClosed):
        there.send(Answer({}))
    there.close()


def test_a_socket_travels_with_its_message() -> None:
    here, there = both()
    inner, handed = pair(ISOLATED)
    here.send(Fork(7), file=handed)
    handed.close()
    message, end = there.receive_with_file()
    assert message == Fork(7)
    assert end is not None
    Pipe(end, ISOLATED).send(Work(1, 1))
    assert inner.receive(20) == Work(1, 1)
    here.send(Fork(8))
    assert there.receive_with_file() == (Fork(8), None)
    end.close()
    for pipe in (here, there, inner):
        pipe.close()


def test_silence_and_nonsense_are_noticed() -> None:
    ours, theirs = pair(ISOLATED)
    with pytest.raises(TimeoutError):
        ours.receive(0.05)
    theirs.sendall(b"\xff" * 64)
    with pytest.raises(ProtocolError):
        ours.receive(5)
    ours.close()
    theirs.close()
