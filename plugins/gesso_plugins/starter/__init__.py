"""The starter: a small text-to-texture diffusion model, the code that trains it and the fixed evaluation that judges it.

Nothing is imported here: listing plugins costs nothing, and training pays for torch when it runs.
"""
