"""llemb's Encoder, asked with our wordings at the layer of the job.

llemb 0.3 has three templates of its own (`prompteol`, `pcoteol`, `ke`) and takes no others; its wordings differ from
the papers' in a letter or a space. So the prompts are put around the texts beforehand and encoded without a template,
with the pooling `last_token`, which is all that its own templates do besides. It runs the whole model with its logits
and all hidden states, pads left without position ids (wrong for learned positions, such as GPT-2's) and takes the texts
as they come, unsorted. Several prompts are the average of several encodes.
"""

from __future__ import annotations

import numpy as np
from serve import CannotError, Job, Peer, serve


def build(job: Job) -> Peer:
    """The encoder for a job."""
    if job.steering is not None:
        raise CannotError("llemb has no steering")
    import torch
    from llemb import Encoder

    torch.set_num_threads(job.threads)
    encoder = Encoder(job.folder, device=job.device, dtype=getattr(torch, job.dtype))
    model = encoder.backend_instance.model
    depth = model.config.get_text_config().num_hidden_layers
    if not 0 <= job.layer <= depth:
        raise CannotError(f"layer {job.layer} is not one of 0 to {depth}")
    tokens = 0

    def count(module: torch.nn.Module, args: tuple[torch.Tensor, ...], inputs: dict[str, torch.Tensor]) -> None:
        nonlocal tokens
        tokens += inputs["input_ids"].numel()

    model.register_forward_pre_hook(count, with_kwargs=True)

    def encode() -> tuple[np.ndarray, int]:
        nonlocal tokens
        tokens = 0
        answers = [
            encoder.encode(
                job.rendered(wording), pooling_method="last_token", layer_index=job.layer, batch_size=job.batch_size
            )
            for wording in job.prompts
        ]
        return torch.stack([answer.float() for answer in answers]).mean(dim=0).numpy(), tokens

    return Peer(job.layer, ("llemb", "torch", "transformers", "numpy"), encode)


if __name__ == "__main__":
    serve(build)
