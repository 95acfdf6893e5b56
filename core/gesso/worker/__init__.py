"""The worker: one process that owns one device, runs the plugins and the engine, and talks to the front over `gesso.link`.

Nothing is imported here: the process tells the front that it is there before it imports torch.
"""
