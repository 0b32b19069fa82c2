"""oneword itself, run like its peers, with the floor of the machine measured beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from serve import Job, Peer, serve


def build(job: Job) -> Peer:
    """An embedder for the job; ``options`` say what only oneword understands: model, method, engine and the rest."""
    import torch

    from oneword import Embedder, Method, Steering
    from oneword.benchmark.floor import floor_of, measure_rates
    from oneword.engine.options import EngineOptions

    torch.set_num_threads(job.threads)
    steering = None
    if job.steering is not None:
        fields = {**job.steering}
        steering = Steering(fields.pop("auxiliary"), **fields)
    options = dict(job.options)
    method = Method("benchmark", job.prompts, layer=job.layer, steering=steering, **options.pop("method"))
    engine = EngineOptions(**options.pop("engine"))
    embedder = Embedder(
        options.pop("model"), method=method, dtype=job.dtype, device=job.device, engine=engine, **options
    )

    def encode() -> tuple[np.ndarray, Callable[[], int]]:
        return embedder.encode(job.texts), lambda: sum(work.tokens for work in embedder.work(job.texts))

    def floor() -> dict[str, Any]:
        rates = measure_rates(embedder._backbone)
        seconds = floor_of(embedder, job.texts, rates)
        return {"seconds": seconds, "operations_per_second": rates.operations, "bytes_per_second": rates.bytes}

    return Peer(job.layer, ("oneword", "torch", "transformers", "numpy"), encode, {"floor": floor})


if __name__ == "__main__":
    serve(build)
