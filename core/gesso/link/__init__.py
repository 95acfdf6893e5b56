"""The link between front and worker: typed messages over a private ZeroMQ socket. It is not for clients; they speak `gesso.wire`."""

from gesso.link.blackbox import BlackBox
from gesso.link.worker_link import SECRET_VARIABLE, WorkerLink, die_with_parent, take_secret

__all__ = ["SECRET_VARIABLE", "BlackBox", "WorkerLink", "die_with_parent", "take_secret"]
