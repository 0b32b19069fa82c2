"""PromptEOL as a sentence-transformers pipeline: a Transformer module, then Pooling of the last token.

The prompts are put around the texts beforehand, for a prompt of sentence-transformers is a prefix only. Padding is on
the right, which is exact for causal models, learned positions included; Pooling looks the last token up in the mask.
The pipeline always reads the last layer, after the final norm, whatever layer the job names. It computes no logits, and
sorts by length itself. Several prompts are the average of several encodes. Texts are pinned to be plain text: left to
itself, sentence-transformers 6 wraps every text in the chat template of a model that has one, which is another prompt.
"""

from __future__ import annotations

import numpy as np
from serve import CannotError, Job, Peer, serve

PLAIN_TEXT = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}


def build(job: Job) -> Peer:
    """The pipeline for a job."""
    if job.steering is not None:
        raise CannotError("sentence-transformers has no steering")
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.set_num_threads(job.threads)
    transformer = Transformer(
        job.folder,
        model_kwargs={"dtype": getattr(torch, job.dtype)},
        processor_kwargs={"padding_side": "right"},
        modality_config=PLAIN_TEXT,
        module_output_name="token_embeddings",
    )
    if transformer.tokenizer.pad_token is None:
        transformer.tokenizer.pad_token = transformer.tokenizer.eos_token
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="lasttoken")
    pipeline = SentenceTransformer(modules=[transformer, pooling], device=job.device).eval()
    tokens = 0

    def count(module: torch.nn.Module, args: tuple[dict[str, torch.Tensor], ...]) -> None:
        nonlocal tokens
        tokens += args[0]["input_ids"].numel()

    transformer.register_forward_pre_hook(count)

    def encode() -> tuple[np.ndarray, int]:
        nonlocal tokens
        tokens = 0
        answers = [
            pipeline.encode(job.rendered(wording), batch_size=job.batch_size, show_progress_bar=False)
            for wording in job.prompts
        ]
        return np.mean(answers, axis=0), tokens

    depth = transformer.model.config.get_text_config().num_hidden_layers
    return Peer(depth, ("sentence-transformers", "torch", "transformers", "numpy"), encode)


if __name__ == "__main__":
    serve(build)
