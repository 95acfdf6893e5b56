"""unCLIP: pictures by way of their CLIP embedding (Ramesh et al. 2022): serving and training."""
