"""The papers' way: transformers, every prompt in full, all hidden states kept, the last token read.

Left padding, batches sorted by length, the whole model with its logits and `output_hidden_states=True`. A steered job
runs the auxiliary prompt in full beside every prompt and changes the attention value output of its last token by a
hook on the output projection, in models that call it `self_attn.o_proj`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from serve import CannotError, Job, Peer, serve

if TYPE_CHECKING:
    import torch


def build(job: Job) -> Peer:
    """The loop for a job."""
    import torch

    torch.set_num_threads(job.threads)
    loop = PlainLoop(job)
    if not 0 <= job.layer <= loop.depth:
        raise CannotError(f"layer {job.layer} is not one of 0 to {loop.depth}")
    return Peer(job.layer, ("torch", "transformers", "numpy"), loop.encode)


class PlainLoop:
    """A causal language model with its tokenizer, and the job it does."""

    def __init__(self, job: Job) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.job = job
        self.tokenizer = AutoTokenizer.from_pretrained(job.folder, padding_side="left")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(job.folder, dtype=getattr(torch, job.dtype))
        self.model = model.to(job.device).eval()
        self.depth: int = model.config.get_text_config().num_hidden_layers
        self.takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        self.projection = None if job.steering is None else self.steered_projection()
        self.tokens = 0

    def steered_projection(self) -> torch.nn.Module:
        """The output projection whose input is steered."""
        steering = self.job.steering
        if steering["position"] != "attention_value_output":
            raise CannotError(f"steering at the {steering['position']} is not supported, only attention_value_output")
        try:
            return self.model.base_model.layers[steering["layer"] - 1].self_attn.o_proj
        except AttributeError:
            raise CannotError(f"steering of {type(self.model).__name__}: it has no self_attn.o_proj") from None

    def encode(self) -> tuple[np.ndarray, int]:
        """The mean over the prompts, and the tokens computed for it."""
        import torch

        self.tokens = 0
        with torch.inference_mode():
            total = sum(self.answers_to(wording) for wording in self.job.prompts)
        return (total / len(self.job.prompts)).cpu().numpy(), self.tokens

    def answers_to(self, wording: str) -> torch.Tensor:
        """One prompt's answers about all texts, in float32."""
        import torch

        prompts = self.job.rendered(wording)
        auxiliaries = None if self.job.steering is None else self.job.rendered(self.job.steering["auxiliary"])
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers: list[torch.Tensor] = [torch.empty(0)] * len(prompts)
        for start in range(0, len(order), self.job.batch_size):
            rows = order[start : start + self.job.batch_size]
            with contextlib.ExitStack() as hooks:
                if auxiliaries is not None:
                    hooks.enter_context(self.steered([auxiliaries[i] for i in rows]))
                states = self.states([prompts[i] for i in rows])
            for row, answer in zip(rows, states[self.job.layer][:, -1].float()):
                answers[row] = answer
        return torch.stack(answers)

    def states(self, prompts: list[str]) -> tuple[torch.Tensor, ...]:
        """All hidden states of one batch."""
        batch = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.job.device)
        inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        if self.takes_positions:  # else learned positions would count the padding
            inputs["position_ids"] = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        self.tokens += batch["input_ids"].numel()
        return self.model(**inputs, output_hidden_states=True).hidden_states

    @contextlib.contextmanager
    def steered(self, auxiliaries: list[str]) -> Iterator[None]:
        """Within it, the attention value output of each last token is that of its auxiliary prompt taken away."""
        steering = self.job.steering
        seen: list[torch.Tensor] = []
        with hooked(self.projection, lambda value: seen.append(value[:, -1].float())):
            self.states(auxiliaries)

        def steer(value: torch.Tensor) -> torch.Tensor:
            main, changed = value[:, -1].float(), value.clone()
            left = main - seen[0]
            recovering = main.norm(dim=-1, keepdim=True) / left.norm(dim=-1, keepdim=True)
            changed[:, -1] = ((steering["scale"] if steering["norm"] == "scale" else recovering) * left).to(value.dtype)
            return changed

        with hooked(self.projection, steer):
            yield


@contextlib.contextmanager
def hooked(module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """Within it, the module's input goes through ``change``, and is replaced by what that answers, if anything."""

    def hook(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        changed = change(args[0])
        return None if changed is None else (changed, *args[1:])

    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


if __name__ == "__main__":
    serve(build)
