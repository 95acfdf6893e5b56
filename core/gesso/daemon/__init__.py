"""The daemon's front: sockets, authentication, journal, queue, blobs, workers. It never imports torch, a plugin or
anything that decodes an image.
"""

from gesso.daemon.main import ServeOptions, serve

__all__ = ["ServeOptions", "serve"]
