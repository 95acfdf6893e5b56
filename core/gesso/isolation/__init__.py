"""Isolated plugins: samplers, schedules and operations that run in a process and a virtual environment of their own. It installs nothing.

`server` is the worker's side, `process` the plugin's; `codec` turns what crosses into messages of `gesso.link`.
"""
