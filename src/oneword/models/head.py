"""From hidden states to logits: the model's own final norm, projections and output head, and nothing of its blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from oneword.errors import ModelError
from oneword.models.backbone import depth_of, is_causal, read_config
from oneword.models.blocks import find_blocks, keep_blocks, text_config_of
from oneword.models.encoders import is_encoder
from oneword.models.loading import load_error, load_options
from oneword.models.quiet import quiet_transformers
from oneword.models.source import Source

_ROWS = 256  # whose logits of the whole vocabulary lie in memory together
_REMEDY = "use a decoder LLM, or a masked LM that was saved with its head"


class Head:
    """A language model used for its last step only: states are put where its last block, or its stack, leaves them.

    Whatever the model does from there on (final norm, projection, transform, bias, scaling, softcapping), it does by
    itself.

    Args:
        name: what messages call the model.
        model: the transformers model with its output head; its blocks run, but what they answer is replaced.
        stack: the module whose ``last_hidden_state`` the head is given.
        block: the last block of the stack.
        device: where the weights lie.
        causal: whether the model would keep a cache.

    Attributes:
        vocabulary: how many logits there are.
        end_token: the token with which the model ends what it writes, several, or None.

    Raises:
        ModelError: states put there do not give the logits that the model gives by itself.
    """

    def __init__(
        self, name: str, model: Any, stack: nn.Module, block: nn.Module, device: torch.device, causal: bool
    ) -> None:
        self._model = model
        self._stack = stack
        self._block = block
        self._device = device
        self._options: dict[str, Any] = {"use_cache": False} if causal else {}
        self._alone = threading.Lock()  # the hooks of one pass must not see another's
        self._cut: dict[tuple[int, ...], nn.Module | None] = {}
        self.end_token: int | list[int] | None = getattr(
            getattr(model, "generation_config", None), "eos_token_id", None
        )
        self.vocabulary = self._check(name)

    def logits(self, states: torch.Tensor, normed: bool, tokens: Sequence[int] | None = None) -> torch.Tensor:
        """The logits that follow from hidden states.

        Args:
            states: (n, d).
            normed: whether they are the model's last states, after its final norm; others pass through the norm first.
            tokens: the logits of these tokens alone. Only their rows of the output head are computed, and in float32:
                one step of a bfloat16 logit is as much as labels often differ by.

        Returns:
            float32 (n, vocabulary), or (n, tokens), on the CPU.
        """
        few = None if tokens is None else self._few_rows(tuple(tokens))
        # One token's states out of each row's are strided: a CPU's bfloat16 product of those takes 100 times as long
        logits = self._logits(states.contiguous(), normed, few)
        return logits if tokens is None or few is not None else logits[:, list(tokens)]

    def log_probabilities(self, states: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
        """Log-probabilities of some tokens among the whole vocabulary, behind the model's last states (n, d).

        Returns:
            float32 (n, tokens), on the CPU.
        """
        return torch.cat(
            [self.logits(some, True).log_softmax(-1)[:, list(tokens)] for some in torch.split(states, _ROWS)]
        )

    def losses(self, states: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Minus the log-probabilities of the tokens (n,) that follow the model's last states (n, d).

        Returns:
            float32 (n,), on the CPU.
        """
        pieces = zip(torch.split(states, _ROWS), torch.split(following.cpu(), _ROWS))
        return torch.cat([cross_entropy(self.logits(some, True), next_, reduction="none") for some, next_ in pieces])

    def likeliest(self, states: torch.Tensor) -> torch.Tensor:
        """The likeliest tokens (n,) behind the model's last states (n, d), on the CPU."""
        return torch.cat([self.logits(some, True).argmax(dim=-1) for some in torch.split(states, _ROWS)])

    def _few_rows(self, tokens: tuple[int, ...]) -> nn.Module | None:
        """The output head with the rows of these tokens alone; None where the model does more with it than call it."""
        if tokens not in self._cut:
            few = _FewRows.of(self._model.get_output_embeddings(), tokens)
            if few is not None:
                states = self._plain()[2]
                expected = self._logits(states, normed=True)
                difference = (self._logits(states, True, few) - expected[:, list(tokens)]).abs().max()
                few = few if difference <= 0.01 * expected.abs().max() else None
            self._cut[tokens] = few
        return self._cut[tokens]

    @torch.inference_mode()
    def _logits(self, states: torch.Tensor, normed: bool, few: nn.Module | None = None) -> torch.Tensor:
        with self._alone, self._hooked(normed, lambda found: states.to(found).view(found.shape)), self._with(few):
            return self._run(torch.zeros(len(states), dtype=torch.long))

    @contextmanager
    def _with(self, few: nn.Module | None) -> Iterator[None]:
        """Within the block the model's output head is this one, if any."""
        whole = self._model.get_output_embeddings() if few is not None else None
        if few is not None:
            self._model.set_output_embeddings(few)
        try:
            yield
        finally:
            if few is not None:
                self._model.set_output_embeddings(whole)

    def _run(self, tokens: torch.Tensor) -> torch.Tensor:
        """The logits of rows of one token each."""
        ids = tokens[:, None].to(self._device)
        logits: torch.Tensor = self._model(input_ids=ids, attention_mask=torch.ones_like(ids), **self._options).logits
        return logits[:, -1].float().cpu()

    @contextmanager
    def _hooked(self, normed: bool, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
        """Within the block, ``change`` sees the stack's (normed) or the last block's states, (n, 1, d), and answers."""

        def at_stack(module: nn.Module, args: Any, output: Any) -> Any:
            output.last_hidden_state = change(output.last_hidden_state)
            return output

        def at_block(module: nn.Module, args: Any, output: Any) -> Any:
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        handle = self._stack.register_forward_hook(at_stack) if normed else self._block.register_forward_hook(at_block)
        try:
            yield
        finally:
            handle.remove()

    def _check(self, name: str) -> int:
        """The states of some tokens, put where those of others stood, must give the logits of the former."""
        try:
            plain, after_block, after_stack = self._plain()
            found = [self.logits(after_block, normed=False), self.logits(after_stack, normed=True)]
        except Exception as error:  # a model may want anything besides tokens
            reason = f"{type(error).__name__}: {error}"
        else:
            differences = [float((logits - plain).abs().max() / plain.abs().max()) for logits in found]
            if all(difference <= 0.01 for difference in differences):  # nothing compares with what is not a number
                return plain.shape[-1]
            reason = "they depend on more than its last states"
        raise ModelError(
            f"{name} cannot be asked which tokens its vectors stand for: its logits cannot be had from its states "
            f"({reason}); {_REMEDY}".replace("\n", " ")
        )

    @torch.inference_mode()
    def _plain(self) -> list[torch.Tensor]:
        """The logits of some tokens, and the states after the last block and after the stack, (n, d), behind them."""
        kept: list[torch.Tensor] = []

        def keep(states: torch.Tensor) -> torch.Tensor:
            kept.append(states.flatten(0, -2))
            return states

        with self._hooked(False, keep), self._hooked(True, keep):
            logits = self._run(torch.arange(3, 6))
        return [logits, *kept]


class _FewRows(nn.Module):
    """Some rows of a linear output head, in float32."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    @classmethod
    def of(cls, head: Any, tokens: tuple[int, ...]) -> _FewRows | None:
        """These tokens' rows; None of a head that is no plain linear one."""
        if type(head) is not nn.Linear:
            return None
        rows = list(tokens)
        bias = None if head.bias is None else head.bias[rows].float()
        return cls(head.weight[rows].float(), bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (..., tokens)."""
        return nn.functional.linear(states.float(), self.weight, self.bias)


def load_head(
    source: Source,
    *,
    one_block: bool,
    dtype: torch.dtype,
    device: torch.device,
    quantize: str = "none",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> Head:
    """Load what a model does after its last block.

    Args:
        source: the model's files.
        one_block: load only the first block, whose answers are replaced all the same; of models that oneword knows to
            have nothing else that depends on their depth.
        dtype: number format of the weights.
        device: where they lie.
        quantize: as in :func:`~oneword.models.backbone.load_backbone`.
        trust_remote_code: let a model run code of its own.
        allow_pickle: load weights that are not safetensors.

    Raises:
        ModelError: a model without an output head, or without the weights of one.
    """
    config = read_config(source, trust_remote_code)
    auto_class = _loader(config, source, trust_remote_code)
    blocks = depth_of(config, source)
    if one_block:
        keep_blocks(text_config_of(config), blocks, 1)
        blocks = 1
    options = load_options(dtype, device, quantize, trust_remote_code, allow_pickle)
    try:
        with quiet_transformers():
            model, report = auto_class.from_pretrained(
                str(source.folder), config=config, output_loading_info=True, **options
            )
    except Exception as error:
        raise load_error(source, error, trust_remote_code) from None
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{source.name} has no output head, so nothing says which tokens its vectors stand for: {source.folder} "
            f"lacks '{missing[0]}'; {_REMEDY}"
        )
    if quantize == "none":
        model = model.to(device)
    model.eval().requires_grad_(False)
    stack = model.base_model if is_encoder(config) else model.get_decoder()
    block = find_blocks(stack, blocks, source.name)[-1]
    return Head(f"{source.name} ({config.model_type})", model, stack, block, device, is_causal(config))


def _loader(config: Any, source: Source, trust_remote_code: bool) -> Any:
    """The class of transformers that loads the model with its output head."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM
    from transformers.models.auto import modeling_auto

    if not is_encoder(config):
        loader, known = AutoModelForCausalLM, modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    else:
        loader, known = AutoModelForMaskedLM, modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
        halves = modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
        if config.is_encoder_decoder or config.model_type in halves:
            raise ModelError(
                f"{source.name} ({config.model_type}) has no output head on its encoder, so nothing says which tokens "
                f"its vectors stand for; {_REMEDY}"
            )
    if config.model_type not in known and not (trust_remote_code and hasattr(config, "auto_map")):
        raise ModelError(
            f"{source.name} ({config.model_type}) has no output head that transformers knows, so nothing says which "
            f"tokens its vectors stand for; {_REMEDY}"
        )
    return loader
