"""llama.cpp through llama-cpp-python: the model as a GGUF, pooling of the last token, all texts in one call.

The vector is the last token's state after the final norm, so the layer is always the last, whatever layer the job
names; it is asked for without normalization to length 1. Texts are packed into batches without padding, and flash
attention is on, which is faster. Several prompts are the average of several calls.

The weights stay as the GGUF has them, and are computed with in llama.cpp's own way: the job's number format is not
obeyed. For some types of 4-bit weights, Q4_1 among them, llama.cpp has no fast matrix product; `--rewrite` has it write
the GGUF in the job's number format first (not timed), more than twice as fast in bfloat16 where the processor has it.
"""

from __future__ import annotations

import argparse
import ctypes
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from serve import CannotError, Job, Peer, serve

BATCH_TOKENS = 512  # llama.cpp's own default


def build(job: Job, rewrite: bool = False) -> Peer:
    """The model with a context that holds the longest prompt of a job."""
    if job.steering is not None:
        raise CannotError("llama.cpp has no steering of this kind")
    if job.gguf is None:
        raise CannotError("llama.cpp needs the model as a GGUF file")
    import llama_cpp

    if job.device != "cpu" and not llama_cpp.llama_supports_gpu_offload():
        raise CannotError("llama.cpp is built without a GPU here")
    words = llama_cpp.Llama(job.gguf, vocab_only=True, verbose=False)
    prompts = [prompt for wording in job.prompts for prompt in job.rendered(wording)]
    longest = max(len(words.tokenize(prompt.encode())) for prompt in prompts)
    words.close()
    tokens = max(BATCH_TOKENS, longest)  # a longer prompt would be cut without a word
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        model = llama_cpp.Llama(
            rewritten(job, Path(folder)) if rewrite else job.gguf,
            embedding=True,
            pooling_type=llama_cpp.LLAMA_POOLING_TYPE_LAST,
            n_ctx=tokens,
            n_batch=tokens,
            n_ubatch=tokens,
            n_threads=job.threads,
            n_threads_batch=job.threads,
            n_gpu_layers=0 if job.device == "cpu" else -1,
            flash_attn=True,
            verbose=False,
        )

    def encode() -> tuple[np.ndarray, int]:
        batches = (job.rendered(wording) for wording in job.prompts)
        answers, counts = zip(*(model.embed(batch, normalize=False, return_count=True) for batch in batches))
        return np.mean(np.array(answers, dtype=np.float32), axis=0), sum(counts)

    depth = int(model.metadata[f"{model.metadata['general.architecture']}.block_count"])
    return Peer(depth, ("llama_cpp_python", "numpy"), encode)


def rewritten(job: Job, folder: Path) -> str:
    """The job's GGUF, its weights in the job's number format, as a file in ``folder``."""
    import llama_cpp

    kinds = {
        "float32": llama_cpp.LLAMA_FTYPE_ALL_F32,
        "float16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
        "bfloat16": llama_cpp.LLAMA_FTYPE_MOSTLY_BF16,
    }
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype, options.allow_requantize, options.nthread = kinds[job.dtype], True, job.threads
    path = str(folder / "model.gguf")
    if llama_cpp.llama_model_quantize(str(job.gguf).encode(), path.encode(), ctypes.byref(options)) != 0:
        raise CannotError(f"llama.cpp could not write the GGUF in {job.dtype}")
    return path


def main() -> None:
    """Serve with the GGUF as it is, or rewritten."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewrite", action="store_true", help="write the GGUF in the job's number format first")
    serve(partial(build, rewrite=parser.parse_args().rewrite))


if __name__ == "__main__":
    main()
