"""Latent diffusion models as they lie on disk, run by Gesso's engine. diffusers and transformers supply the modules, not the pipelines."""
