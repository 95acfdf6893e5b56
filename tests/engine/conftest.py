"""One thread for toy tensors: two spinning ones beside other programs are ten times slower."""

import torch

torch.set_num_threads(1)
