"""Texts to vectors: the public face of the engine."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oneword.answering import Answering, Answers
from oneword.asked import Asked, Layers, resolve_asked
from oneword.calibrated import find_calibration, fit_calibration
from oneword.calibration.fitting import rounds
from oneword.calibration.recipe import DEFAULT_STEPS, Calibration, Fitted, StepLike
from oneword.calibration.statistics import Statistics
from oneword.combination import Combination
from oneword.engine.cost import PromptWork
from oneword.engine.options import EVERYTHING, EngineOptions
from oneword.errors import InputError, MethodError, ModelError
from oneword.fingerprint import check_same_fingerprint, make_fingerprint
from oneword.inspect import TokenReader
from oneword.loaded import find_model
from oneword.method import Method, resolve_layer
from oneword.models.backbone import Backbone
from oneword.models.device import dtype_name
from oneword.precision import check_precision, decoded, packed
from oneword.progress import Progress, progress_bar
from oneword.registry import find_method
from oneword.shipped_pool import texts_digest
from oneword.similarity import cosine_similarity
from oneword.steering import Steering
from oneword.text import listed_texts

Array = NDArray[np.float32]


class Embedder:
    """A language model asked for one word about a text; its state behind the answer is the text's vector.

    Args:
        model: a model of ``oneword models`` (default: SmolLM2-135M-Instruct), a local folder, a ``.gguf`` file, or a
            Hub id of a decoder, an encoder (BERT and the like), or an encoder-decoder, whose encoder is used.
        method: name of a published method, a TOML file of your own, or a :class:`~oneword.Method`; None means
            ``"prompteol"``, and ``"average"`` for models that look both ways.
        layer: where the answer is read, instead of the method's own layer: an index into Hugging Face's
            ``hidden_states``, ``"last"``, ``"proportional"``, a list of those, or ``"all"``; blocks after the deepest
            are not loaded.
        steering: contrastive steering put on the method: a :class:`~oneword.Steering` instead of its own, or some of
            its fields, as in ``{"layer": 4, "norm": "recover"}``, the others staying as they are.
        demonstrations: pairs of sentence and word that stand before the method's prompts, answered, instead of its own.
        weights: how much each of the method's prompts counts, instead of its own weights, as in
            :class:`~oneword.Method`.
        dtype: ``"auto"`` (bfloat16 where the device has it natively, else float32), ``"float32"``, ``"bfloat16"`` or
            ``"float16"``.
        device: ``"auto"`` (CUDA, MPS, CPU, the first that is there), a torch device, or ``"all"``: a large model's
            blocks are spread over all GPUs.
        quantize: ``"none"``, ``"int8"`` or ``"int4"`` (bitsandbytes; needs the extra ``quantize``).
        revision: branch, tag or commit of a Hub model.
        trust_remote_code: let a model run code of its own.
        allow_pickle: load weights that are not safetensors, which can run code too.
        precision: what vectors are made of: ``"float32"``; ``"int8"`` (each vector scaled to its largest number);
            ``"ubinary"`` (signs, eight a byte) or ``"binary"`` (the same bytes less 128). Calibrated vectors
            lose least.
        engine: which of the engine's ideas are in use; all, unless what each of them brings is to be measured.

    Attributes:
        method: the :class:`~oneword.Method`, its steering in numbers for this model.
        layer: the layer that is read as an index from 0, or a list of them.
        dimension: size of one vector, which is packed into an eighth as many bytes where it is binary.
        width: the same before calibration.
        fingerprint: names method, layer, number formats and weights; vectors are comparable only within one.
        window: the longest prompt in tokens, text included; None where the model has no limit.
        loaded: the model itself, which embedders of other methods share.
        cut_texts: how many texts were longer than the model's window so far, and were cut to it.

    Raises:
        OnewordError: a model or method that cannot be used; the message says why and what to do.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        method: str | Path | Method | None = None,
        layer: Layers | None = None,
        steering: Steering | Mapping[str, Any] | None = None,
        demonstrations: Sequence[tuple[str, str]] | None = None,
        weights: Sequence[float] | None = None,
        dtype: str = "auto",
        device: str | torch.device = "auto",
        quantize: str = "none",
        revision: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
        precision: str = "float32",
        engine: EngineOptions = EVERYTHING,
    ) -> None:
        chosen = find_method(method) if method is not None else None
        # What is wrong is told before any model is fetched
        (chosen or find_method("prompteol")).changed(steering, demonstrations, weights)
        found = find_model(
            model,
            dtype=dtype,
            device=device,
            quantize=quantize,
            revision=revision,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
            engine=engine,
        )
        asked = resolve_asked(chosen, layer, steering, demonstrations, found.depth, found.causal, found.name, weights)
        self.loaded = found.load(asked.layers)
        self.model = self.loaded.name
        self.precision = precision
        self._ask(asked)

    def with_method(
        self,
        method: str | Path | Method | None = None,
        *,
        layer: Layers | None = None,
        steering: Steering | Mapping[str, Any] | None = None,
        demonstrations: Sequence[tuple[str, str]] | None = None,
        weights: Sequence[float] | None = None,
        precision: str | None = None,
    ) -> Embedder:
        """An embedder that asks another method of the same weights, which are not loaded again.

        Args:
            method: as for the class.
            layer: likewise.
            steering: likewise.
            demonstrations: likewise.
            weights: likewise.
            precision: likewise; None keeps this one's.

        Raises:
            ModelError: a layer deeper than the blocks that were loaded.
        """
        backbone, found = self._backbone, self.loaded.found
        chosen = find_method(method) if method is not None else None
        asked = resolve_asked(chosen, layer, steering, demonstrations, found.depth, found.causal, found.name, weights)
        if found.verified and max(asked.layers) > len(backbone.blocks):
            raise ModelError(
                f"{self.model} was loaded with {len(backbone.blocks)} of its {backbone.depth} blocks; layer "
                f"{max(asked.layers)} needs more: load it with that layer"
            )
        other = copy(self)
        for made in ("_token_reader", "_combination", "statistics"):
            other.__dict__.pop(made, None)
        other.precision = self.precision if precision is None else precision
        other._ask(asked)
        return other

    def save_method(self, folder: str | Path, name: str | None = None, overwrite: bool = False) -> None:
        """Write the method, with its calibration's statistics, into a folder that is taken wherever methods are.

        Args:
            folder: it appears whole, with ``method.toml`` and, of a calibrated method, ``calibration.safetensors``.
            name: what the method is called from then on; None keeps its name.
            overwrite: replace a folder that holds a method.

        Raises:
            OutputError: the folder cannot be written, or is there already.
        """
        from oneword.prompting.method_folder import write_method_folder

        layer = self.method.layer
        try:
            read = resolve_layer(layer, self.loaded.found.depth) in self._layers
        except MethodError:  # a layer that this model does not have; another one was asked for
            read = False
        method = replace(self.method, name=name or self.method.name, layer=layer if read else self._layers[0])
        statistics = None if method.calibration is None else self.statistics
        write_method_folder(Path(folder), method, statistics, overwrite)

    def _ask(self, asked: Asked) -> None:
        """Put the method to the loaded model."""
        backbone = self._backbone
        self.method, self.layer, self._layers = asked.method, asked.layer, asked.layers
        self.window = backbone.window
        self._answering = Answering(self.loaded, self.method, self._layers)
        self.width = self._answering.width
        calibration = self.method.calibration
        self.dimension = self.width if calibration is None else calibration.dimension(self.width)
        check_precision(self.precision, self.dimension)
        self.fingerprint = self.fingerprint_of(self._layers)
        if calibration is not None and not (calibration.on_pool and calibration.statistics is None):
            self.statistics  # noqa: B018 - those of something else are refused now
        self.cut_texts = 0

    @property
    def _backbone(self) -> Backbone:
        return self.loaded.backbone

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are read, as indices from 0."""
        return tuple(self._layers)

    @property
    def device(self) -> torch.device:
        """Where the model computes; of one that is spread over several GPUs, where tokens go in."""
        return self._backbone.device

    def fingerprint_of(self, layers: Sequence[int], method: Method | None = None) -> str:
        """The fingerprint of vectors of these layers alone, or of another method's on this model, in float32."""
        loaded = self.loaded
        precision = "float32" if method else self.precision
        dtype = dtype_name(loaded.dtype)
        return make_fingerprint(method or self.method, layers, dtype, loaded.quantize, loaded.weights, precision)

    def __repr__(self) -> str:
        return f"Embedder({self.model}, {self.fingerprint})"

    def encode(
        self,
        texts: str | Sequence[str],
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        normalize_embeddings: bool = False,
        convert_to_tensor: bool = False,
    ) -> Any:
        """Embed texts.

        Args:
            texts: a list of texts, or one text.
            batch_size: texts a batch; None takes as many as fit a token budget chosen from the model and the device.
            show_progress_bar: draw a bar with texts/s and the time left.
            normalize_embeddings: scale every vector to length 1; codes of another precision than float32 stay codes.
            convert_to_tensor: return a torch tensor instead of a numpy array.

        Returns:
            float32 array (n, d) in input order; (n, layers, d) for a list of layers; without the first axis for one
            text. Codes of the embedder's precision instead: int8, or bytes (n, d / 8).

        Raises:
            InputError: no texts, or one that is empty or not a string.

        Warns:
            UserWarning: some texts were longer than the model's window; they were cut at their end.
        """
        one = isinstance(texts, str)
        wanted = listed_texts(texts, "encode")
        cut_before = self.cut_texts
        with progress_bar(len(wanted), show_progress_bar) as on_texts:
            vectors = self.compute(wanted, batch_size, on_texts)
        self._warn_of_cut(self.cut_texts - cut_before, len(wanted))
        if not isinstance(self.layer, list):
            vectors = vectors[:, 0]
        if self.precision != "float32":
            vectors = torch.from_numpy(packed(vectors.numpy(), self.precision))
        elif normalize_embeddings:
            vectors = torch.nn.functional.normalize(vectors, dim=-1)
        if one:
            vectors = vectors[0]
        return vectors if convert_to_tensor else vectors.numpy()

    def compute(
        self,
        texts: Sequence[str],
        batch_size: int | None = None,
        on_texts: Callable[[int], object] = lambda texts: None,
    ) -> torch.Tensor:
        """What :meth:`encode` computes, for callers with a progress report of their own.

        Equal texts are computed once, so their vectors are equal to the bit.

        Args:
            texts: texts that are not empty.
            batch_size: as in :meth:`encode`.
            on_texts: called now and then with how many more texts are done.

        Returns:
            float32 tensor (n, layers, d), on the CPU; of another precision, the numbers that its codes stand for.
        """
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}")
        copies = Counter(texts)
        unique = sorted(copies, key=len, reverse=True)
        vectors = torch.empty(len(unique), len(self._layers), self.dimension)
        done = Progress(len(unique) * self._answering.passes, len(texts), on_texts)
        start = 0
        for section, answers in self._answering.sections(unique, batch_size, done.add):
            vectors[start : start + len(section)], cut = self._combined(answers)
            self.cut_texts += sum(copies[section[index]] for index in cut)
            start += len(section)
        if len(unique) == len(texts) and unique == list(texts):
            return vectors
        places = {text: place for place, text in enumerate(unique)}
        return vectors[[places[text] for text in texts]]

    def answers(
        self, texts: Sequence[str], on_texts: Callable[[int], object] = lambda texts: None
    ) -> Iterator[Iterator[torch.Tensor]]:
        """What each prompt that counts answers, before calibration and combination, for one section after the other.

        Args:
            texts: different texts that are not empty, best the longest first.
            on_texts: as in :meth:`compute`.

        Yields:
            For some of the texts, in their order: each prompt's answers, float32 (n, layers, d).

        Raises:
            ModelError: answers that are not finite numbers.
        """
        done = Progress(len(texts) * self._answering.passes, len(texts), on_texts)
        for _, answers in self._answering.sections(texts, on_rows=done.add):
            cut: set[int] = set()
            yield self._noted(answers, cut)
            self.cut_texts += len(cut)

    def combination(self, layers: Sequence[int]) -> Combination:
        """What makes vectors of the prompts' answers at some of the layers that are read."""
        calibration = self.method.calibration
        if calibration is None:
            return Combination(self.method, self.precision)
        return Combination(self.method, self.precision, self.statistics.of_layers(layers))

    def calibrate(
        self,
        texts: str | Sequence[str],
        steps: Sequence[StepLike] = DEFAULT_STEPS,
        fitted: Fitted = "prompts",
        show_progress_bar: bool = False,
    ) -> Embedder:
        """An embedder of the same weights and method, calibrated on unlabeled texts.

        Args:
            texts: some hundred, best of the kind that is to be embedded; equal ones count once.
            steps: as in :class:`~oneword.calibration.recipe.Calibration`; another calibration is replaced.
            fitted: whether steps are fitted on each ``"prompts"``' vectors or on ``"combined"`` ones.
            show_progress_bar: draw a bar with texts/s and the time left.

        Raises:
            InputError: too few texts, with how many are needed.
            MethodError: a step that there is not.

        Warns:
            UserWarning: some texts were longer than the model's window; they were cut at their end.
        """
        wanted = list(dict.fromkeys(listed_texts(texts, "calibrate")))
        calibration = Calibration(steps, fitted, texts_digest(wanted))
        check_precision(self.precision, calibration.dimension(self.width))
        cut_before = self.cut_texts
        with progress_bar(len(wanted) * rounds(calibration, self.method), show_progress_bar) as on_texts:
            statistics = fit_calibration(self, calibration, wanted, on_texts)
        self._warn_of_cut(self.cut_texts - cut_before, len(wanted))
        method = replace(self.method, calibration=replace(calibration, statistics=statistics))
        return self.with_method(method, layer=self.layer)

    def compute_grid(self, texts: Sequence[str], steerings: Sequence[Steering]) -> torch.Tensor:
        """The method's vectors without steering and under each of many steerings, at little more than the cost of one.

        Args:
            texts: some hundred texts that are not empty; their vectors lie in memory all together.
            steerings: the grid; the method's own steering is left out.

        Returns:
            float32 tensor (1 + steerings, n, layers, d), on the CPU, first without steering.

        Raises:
            OnewordError: as :meth:`encode`, and of a steering that the model does not take, or a calibrated method.
        """
        if self.method.calibration is not None:
            raise MethodError(
                f"method '{self.method.name}' is calibrated, with statistics of its own steering; steer it otherwise "
                "without calibration, and calibrate what is found"
            )
        vectors, cut = self._combined(self._answering.grid(texts, steerings))
        self.cut_texts += len(cut)
        return vectors

    def work(self, texts: Sequence[str], batch_size: int | None = None) -> list[PromptWork]:
        """What embedding these texts takes, prompt by prompt; they are tokenized, and nothing is computed.

        Args:
            texts: texts that are not empty, of which equal ones count once.
            batch_size: as in :meth:`encode`.
        """
        return self._answering.work(list(dict.fromkeys(texts)), batch_size)

    def top_tokens(self, texts: str | Sequence[str], k: int = 10, steered: bool = True) -> Any:
        """The tokens that the vectors decode to (MetaEOL, Table 2; Contrastive Prompting, Table 7).

        Each prompt's answer is read where :meth:`encode` reads it, before the prompts are combined, and given to the
        model's own final norm and output head; these are loaded when this is first called.

        Args:
            texts: a list of texts, or one text.
            k: how many tokens.
            steered: False leaves the method's steering out.

        Returns:
            For each text a list with a :class:`~oneword.inspect.TopTokens` a prompt; for a list of layers, a list with
            one a layer in its place. For one text, its list alone.

        Raises:
            InputError: no texts, or one that is empty or not a string; ``k`` less than 1 or more than the vocabulary.
            ModelError: a model that has no output head, as many encoders do not.

        Warns:
            UserWarning: some texts were longer than the model's window; they were cut at their end.
        """
        wanted = listed_texts(texts, "top_tokens")
        reader = self._token_reader
        reader.check_count(k)
        found: list[list[Any]] = []
        cut_before = self.cut_texts
        for section, answers in self._answering.sections(wanted, steered=steered):
            rows: list[list[Any]] = [[] for _ in section]
            cut: set[int] = set()
            for prompt, (answer, cut_here) in zip(self.method.counting, answers):
                cut.update(cut_here)
                for row, tokens in zip(rows, reader.top_tokens(answer, self._layers, prompt.name or prompt.wording, k)):
                    row.append(tokens if isinstance(self.layer, list) else tokens[0])
            found += rows
            self.cut_texts += len(cut)
        self._warn_of_cut(self.cut_texts - cut_before, len(wanted))
        return found[0] if isinstance(texts, str) else found

    def similarity(self, a: Any, b: Any) -> Any:
        """Cosine similarity of every vector of ``a`` with every vector of ``b``.

        Args:
            a: array or tensor (n, d) or (d,), as :meth:`encode` gives them, or
                :class:`~oneword.io.vectors.Vectors` read from a file.
            b: likewise (m, d) or (d,).

        Returns:
            float32 (n, m): a tensor when both are tensors, else a numpy array. A zero vector is similar to nothing: 0.

        Raises:
            FingerprintError: vectors from a file that were made with another fingerprint than this embedder's.
            InputError: sizes that differ, or vectors of several layers at once.
        """
        a, b = decoded(a, self.precision), decoded(b, self.precision)
        for given in (a, b):
            stated = getattr(given, "fingerprint", None)
            if stated is not None:
                check_same_fingerprint(stated, str(given), self.fingerprint, "this embedder")
        return cosine_similarity(a, b)

    @cached_property
    def _token_reader(self) -> TokenReader:
        return TokenReader(self.loaded.head, self._backbone.tokenizer, self._backbone.depth)

    def _warn_of_cut(self, cut: int, texts: int) -> None:
        if cut:
            warnings.warn(
                f"{cut} of {texts} texts were longer than the model's window of {self.window} tokens and "
                "were cut at their end",
                stacklevel=3,
            )

    @cached_property
    def statistics(self) -> Statistics:
        """Of a calibrated method: what it brings, or was fitted to the shipped pool before, or is fitted to it now."""
        return find_calibration(self)

    @cached_property
    def _combination(self) -> Combination:
        return self.combination(self._layers)

    def _combined(self, answers: Answers) -> tuple[torch.Tensor, set[int]]:
        """Prompts' answers as the method's vectors, and which texts were cut."""
        cut: set[int] = set()
        return self._combination(self._noted(answers, cut)), cut

    def _noted(self, answers: Answers, cut: set[int]) -> Iterator[torch.Tensor]:
        """Answers alone, which must be finite; which texts were cut is added to ``cut``."""
        for answer, cut_here in answers:
            if not torch.isfinite(answer).all():
                raise ModelError(
                    f"{self.model} gives vectors that are not finite numbers ({self.fingerprint}); try dtype float32"
                )
            cut.update(cut_here)
            yield answer
