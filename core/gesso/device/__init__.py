"""The device a worker owns: which weights are on it, how many threads serve it, and the environment that fixes a result's bytes.

Nothing is imported here, because `gesso.device.threads` has to be read before torch.
"""
