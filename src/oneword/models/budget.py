"""How many tokens a batch may hold, from the model's width and the device."""

from __future__ import annotations

import torch

_STATES_A_TOKEN = 40  # upper bound on the d-sized activations of one token alive at once in a block


def token_budget(width: int, dtype: torch.dtype, device: torch.device, packed: bool) -> int:
    """The most tokens of one batch; of padded rows, padding and attended prefix count.

    On a CPU about a thousand tokens already fill the caches and more only cost memory; a GPU takes what fits a quarter
    of its free memory.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(min(262_144, max(4096, free // 4 // (_STATES_A_TOKEN * width * dtype.itemsize))))
    return 1024 if packed else min(8192, max(1024, 8_388_608 // width))
