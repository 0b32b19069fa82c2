"""Self-Select: an LLM is shown the prompts, and says which is best for a dataset (FUTE, section 5.2).

The request's words are ours.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oneword.errors import InputError, ModelError
from oneword.prompting.answer import without_thoughts
from oneword.tasks.asking import Calls, ask
from oneword.tasks.kept_answers import KeptAnswers
from oneword.tasks.label_prompt import LabelPrompt
from oneword.tasks.pool import Pool

MOST_PROMPTS = len(string.ascii_uppercase)
_SAMPLES = 5  # texts that are shown
_SAMPLE_LENGTH = 200  # characters of each

# A capital letter that stands alone: not the I of I'd, nor a letter of U.S.
_LETTER = re.compile(r"(?<![\w.'\u2019])[A-Z](?!['\u2019\w]|\.\w)")
# Ahead of a word, "A" and "I" are words themselves, unless something says that the letter is meant
_WORD_FOLLOWS = re.compile(r"\s+(?!is\b|and\b|or\b)[a-z]")
_LETTER_MEANT = re.compile(r"(?:prompt|option|letter|answer|choice|choose|pick|select)\W+(?:is\W+)?$", re.IGNORECASE)


@dataclass(frozen=True)
class SelfSelectRequest:
    """What an LLM is asked, so that a prompt of it is chosen.

    A predictor with :attr:`prompt` is asked about :attr:`text`; its probabilities are :func:`letter_scores`' input, or
    what it wrote :func:`written_scores`'.

    Args:
        text: the prompts, each with its letter, and some texts of the dataset. It ends with the texts, so that these
            are lost first where the model's window is too small.
        prompt: the question that follows it; its labels are the letters.
    """

    text: str
    prompt: LabelPrompt


def self_select_request(
    prompts: Sequence[LabelPrompt | str], texts: Sequence[str], text_pairs: Sequence[str] | None = None
) -> SelfSelectRequest:
    """The request that asks an LLM which prompt is best for a dataset.

    Args:
        prompts: or their wordings, shown with their slots; the first is A.
        texts: of the dataset; at most five of them are shown, spread evenly, and of each the first 200 characters.
        text_pairs: the second texts, where the dataset has pairs.

    Raises:
        InputError: fewer than two prompts, more than there are letters, no texts, or another number of second texts.
    """
    if not 2 <= len(prompts) <= MOST_PROMPTS:
        few = "there is nothing to choose from" if len(prompts) < 2 else "each needs a letter; leave some of them out"
        raise InputError(f"self-select is for 2 to {MOST_PROMPTS} prompts, not {len(prompts)}: {few}")
    if not texts:
        raise InputError("self-select shows some texts of the dataset, and there are none; give it at least one")
    if text_pairs is not None and len(text_pairs) != len(texts):
        raise InputError(f"{len(texts)} texts and {len(text_pairs)} second texts; each text of a pair needs its other")
    letters = string.ascii_uppercase[: len(prompts)]
    options = [f"{letter}. {_on_one_line(prompt)}" for letter, prompt in zip(letters, prompts)]
    shown = sorted({round(place) for place in np.linspace(0, len(texts) - 1, min(_SAMPLES, len(texts)))})
    samples = [
        f"{number}. {_cut(texts[row])}" + (f" / {_cut(text_pairs[row])}" if text_pairs is not None else "")
        for number, row in enumerate(shown, 1)
    ]
    lines = ["These prompts ask a language model for the label of a text:", *options, ""]
    lines += ["These are some texts of my dataset:", *samples]
    wording = (
        "{text}\n\nWith which of the prompts will a language model label the texts of this dataset best? Answer with "
        f"the letter of that prompt, without an explanation: {', '.join(letters)}."
    )
    asked = LabelPrompt(wording, {letter: (letter,) for letter in letters}, request=False, name="self-select")
    return SelfSelectRequest("\n".join(lines), asked)


def self_select(
    predictor: Any,
    prompts: Sequence[LabelPrompt | str],
    texts: Sequence[str],
    text_pairs: Sequence[str] | None = None,
    kept: KeptAnswers | None = None,
    calls: Calls | None = None,
) -> NDArray[np.float64]:
    """Ask an LLM which prompt is best for a dataset.

    Args:
        predictor: an LLM that takes another prompt by ``with_prompt``, and answers with probabilities of the letters or
            in writing.
        prompts: as for :func:`self_select_request`.
        texts: likewise.
        text_pairs: likewise.
        kept: as for :func:`~oneword.tasks.asking.ask`.
        calls: likewise.

    Returns:
        The prompts' scores (prompts,): the probabilities of their letters, or 1 for the one that was named.

    Raises:
        InputError: as for :func:`self_select_request`.
        ModelError: as for :func:`letter_scores` and :func:`written_scores`.
        OnewordError: what the predictor raises.
    """
    request = self_select_request(prompts, texts, text_pairs)
    asked = predictor.with_prompt(request.prompt)
    answers = ask(asked, Pool("self-select", (request.text,)), kept, calls=calls)
    if answers.kind == "strings":
        return written_scores(answers.values[0], len(prompts))
    return letter_scores(answers.values, len(prompts))


def letter_scores(probabilities: ArrayLike, prompts: int) -> NDArray[np.float64]:
    """The letters' probabilities as the prompts' scores.

    Args:
        probabilities: (1, prompts), as a predictor answers for the one text of a request.
        prompts: how many there are.

    Returns:
        (prompts,).

    Raises:
        ModelError: another shape, or what are no finite numbers.
    """
    array = np.asarray(probabilities, dtype=np.float64)
    if array.shape != (1, prompts) or not np.isfinite(array).all():
        raise ModelError(
            f"self-select needs a probability for each of {prompts} letters, and the model answered {array.tolist()}; "
            "use another model, or leave self-select out"
        )
    scores: NDArray[np.float64] = array[0]
    return scores


def written_scores(answer: str, prompts: int) -> NDArray[np.float64]:
    """A written answer as the prompts' scores: 1 for the prompt whose letter stands in it, else 0.

    Args:
        answer: what was written; a reasoning model's thoughts are left out. The first capital letter counts that stands
            alone and is one of the options; "A" and "I" where they are words only if nothing else is there.
        prompts: how many there are.

    Returns:
        (prompts,).

    Raises:
        ModelError: no such letter.
    """
    options = string.ascii_uppercase[:prompts]
    written = without_thoughts(answer)
    found = [match for match in _LETTER.finditer(written) if match[0] in options]
    if not found:
        raise ModelError(
            f"self-select asked for a letter from A to {options[-1]}, and the model wrote '{_cut(answer, 80)}'; use "
            "another model, or leave self-select out"
        )
    sure = [match for match in found if not _is_word(match, written)]
    scores: NDArray[np.float64] = np.zeros(prompts)
    scores[options.index((sure or found)[0][0])] = 1
    return scores


def _is_word(match: re.Match[str], written: str) -> bool:
    return (
        match[0] in "AI"
        and _WORD_FOLLOWS.match(written, match.end()) is not None
        and _LETTER_MEANT.search(written[: match.start()]) is None
    )


def _on_one_line(prompt: LabelPrompt | str) -> str:
    return " ".join((prompt if isinstance(prompt, str) else prompt.wording).split())


def _cut(text: str, length: int = _SAMPLE_LENGTH) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length].rstrip() + " \u2026"
