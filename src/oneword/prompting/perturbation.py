"""A method's prompts with some of their words replaced by WordNet synonyms (MetaEOL, Appendix A.5)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from oneword.errors import InputError, MethodError
from oneword.method import Method, check_prompts_can_change
from oneword.prompt import SLOT, Prompt
from oneword.prompting.answer import ENDING

Synonyms = Callable[[Iterable[str]], Mapping[str, Sequence[str]]]

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_MARK = re.compile(rf"{re.escape(SLOT)}|\[[^\]\s]*\]|<[^>\s]*>")  # the slot, [MASK] and other tokens
_CLAUSE = re.compile(r"[,;.?!]\s|[\n]")
_SENTENCE = re.compile(r"[.?!][\"']?\s|[\n]")
_DRAWS = 100

# Words of grammar. WordNet knows some of them, but as nouns: in as an inch, a as an angstrom, it as computing.
_GRAMMAR_WORDS = """
a about above across after against all along although am among an and another any are as at be because been before
being below between both but by can cannot could did do does doing down during each either else every few for from
had has have having he her here hers him his how i if in into is it its itself just least less many may me might
more most much must my neither no nor not of off on once one only onto or other our out over own per same shall she
should since so some such than that the their theirs them then there these they this those though through thus to
too toward towards under until up upon us very was we were what when where whether which while who whom whose why
will with within without would yet you your yours
"""
_GRAMMAR = frozenset(_GRAMMAR_WORDS.split())


@dataclass(frozen=True)
class Perturbed:
    """A perturbed method, and in how far that could be done.

    Args:
        method: the method with its prompts perturbed.
        replaced: how many words were replaced.
        asked: how many the rate asks for.
    """

    method: Method
    replaced: int
    asked: int


def perturb_method(
    method: Method, synonyms: Synonyms, *, rate: float = 0.1, seed: int = 1, count: int = 4
) -> list[Perturbed]:
    """Replace a share of the words of a method's prompts by synonyms (MetaEOL, Appendix A.5), ``count`` times over.

    The slot stays, and so does the one-word ending: of a prompt that ends in ``:"``, the clause with the slot, from the
    comma or the full stop before it, and the last sentence behind the slot. Tokens such as ``[MASK]`` and words of
    grammar stay too. A word that stands several times gets the same synonym everywhere. The rest of the method (layer,
    combination, cleaning ...) is the same.

    Args:
        method: the method.
        synonyms: what gives words their synonyms, as :func:`oneword.prompting.wordnet.find_synonyms` does.
        rate: the share of each prompt's words, above 0 up to 1; the number is rounded, and at least one.
        seed: the same seed gives the same methods everywhere; the first of them whatever ``count``.
        count: how many methods.

    Raises:
        InputError: a rate or a count out of range.
        MethodError: a prompt in which no word can be replaced, fewer different methods than asked for, or a calibration
            that was fitted on the method's own prompts.
    """
    if not 0 < rate <= 1:
        raise InputError(f"rate {rate:g} is no share of words; give one above 0 up to 1, as in 0.1")
    if count < 1:
        raise InputError(f"{count} perturbed methods cannot be made; give 1 or more")
    check_prompts_can_change(method)
    generator = random.Random(seed)
    sources = [_Words.of(prompt, rate, synonyms) for prompt in method.prompts]
    found: list[Perturbed] = []
    seen = {tuple(prompt.wording for prompt in method.prompts)}
    while len(found) < count:
        for _ in range(_DRAWS):
            wordings, replaced = zip(*(source.perturbed(generator) for source in sources))
            if wordings not in seen:
                break
        else:
            raise MethodError(
                f"method '{method.name}' has only {len(found)} different perturbations at rate {rate:g}; "
                f"ask for fewer than {count}, or raise the rate"
            )
        seen.add(wordings)
        asked = sum(source.asked for source in sources)
        number = len(found) + 1
        found.append(Perturbed(_renamed(method, wordings, number, rate, seed), sum(replaced), asked))
    return found


@dataclass(frozen=True)
class _Words:
    """A prompt's wording and the words in it that can be replaced."""

    wording: str
    places: Mapping[str, list[tuple[int, int]]]  # of each word in lower case, in the order of the text
    synonyms: Mapping[str, Sequence[str]]
    asked: int

    @classmethod
    def of(cls, prompt: Prompt, rate: float, synonyms: Synonyms) -> _Words:
        wording = prompt.wording
        marks = [match.span() for match in _MARK.finditer(wording)]
        words = [match for match in _WORD.finditer(wording) if not _touches(match.span(), marks)]
        kept = [*marks, *_ending(wording)]
        places: dict[str, list[tuple[int, int]]] = {}
        for word in words:
            if not _touches(word.span(), kept) and word[0].lower() not in _GRAMMAR:
                places.setdefault(word[0].lower(), []).append(word.span())
        known = synonyms(places)
        places = {word: spans for word, spans in places.items() if word in known}
        if not places:
            raise MethodError(
                f"{prompt} has no word that can be replaced outside its slot and its ending; "
                "perturb a method with a longer instruction"
            )
        return cls(wording, places, known, asked=max(1, round(rate * len(words))))

    def perturbed(self, generator: random.Random) -> tuple[str, int]:
        """A wording with as many words replaced as asked for, where that is possible, and their number."""
        order = list(self.places)
        generator.shuffle(order)
        chosen: list[str] = []
        left = self.asked
        for word in order:
            if len(self.places[word]) <= left:
                chosen.append(word)
                left -= len(self.places[word])
        chosen = chosen or order[:1]  # every word stands more often than asked for
        spans = []
        for word in chosen:
            synonym = generator.choice(self.synonyms[word])
            spans += [(start, end, synonym) for start, end in self.places[word]]
        wording = self.wording
        for start, end, synonym in sorted(spans, reverse=True):
            wording = wording[:start] + _cased_like(synonym, wording[start:end]) + wording[end:]
        return wording, len(spans)


def _ending(wording: str) -> list[tuple[int, int]]:
    """The spans of the one-word ending: of the slot's clause up to the slot, and of the last sentence behind it."""
    if not wording.endswith(ENDING):
        return []
    first, last = wording.index(SLOT), wording.rindex(SLOT) + len(SLOT)
    before = max((match.end() for match in _CLAUSE.finditer(wording, 0, first)), default=0)
    behind = max((match.end() for match in _SENTENCE.finditer(wording, last)), default=last)
    return [(before, first), (behind, len(wording))]


def _touches(span: tuple[int, int], others: Sequence[tuple[int, int]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)


def _cased_like(synonym: str, word: str) -> str:
    if len(word) > 1 and word.isupper():
        return synonym.upper()
    return synonym[:1].upper() + synonym[1:] if word[:1].isupper() else synonym


def _renamed(method: Method, wordings: Sequence[str], number: int, rate: float, seed: int) -> Method:
    how = f"{rate * 100:g}% of the words replaced by WordNet synonyms, seed {seed} (as in MetaEOL, Appendix A.5)"
    prompts = [
        replace(
            prompt,
            wording=wording,
            name=f"{prompt.name or f'{method.name}_{place}'}_perturbed_{number}",
            source=f"{prompt.source}; {how}" if prompt.source else how,
        )
        for place, (prompt, wording) in enumerate(zip(method.prompts, wordings), 1)
    ]
    return replace(
        method,
        name=f"{method.name}_perturbed_{number}",
        prompts=prompts,
        summary=f"{method.name} with {rate * 100:g}% of its words replaced",
        source=f"{method.source}; {how}" if method.source else how,
    )
