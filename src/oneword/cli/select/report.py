"""What `oneword select` says when it is done: the ranking, what was chosen, and what that took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from oneword.cli.tables import print_table, shortened
from oneword.tasks.selection.choices import Choice, best_prompts, choice_by_lot, make_choice

if TYPE_CHECKING:
    from oneword.tasks.asking import Calls
    from oneword.tasks.selection.candidates import Candidate


@dataclass(frozen=True)
class Selected:
    """What was found.

    Args:
        candidates: what was chosen among.
        scores: by method, of each candidate; the first method chooses.
        accuracies: of each candidate, 0 to 1, where the truth is known.
        calls: what was asked.
    """

    candidates: Sequence[Candidate]
    scores: Mapping[str, NDArray[np.float64]]
    accuracies: NDArray[np.float64] | None
    calls: Calls

    @property
    def method(self) -> str:
        """What chooses."""
        return next(iter(self.scores))

    @property
    def place(self) -> int:
        """Which candidate is chosen; of equal ones the first."""
        return best_prompts(self.scores[self.method])[0]

    @property
    def choices(self) -> list[Choice]:
        """How good each method's choice is; none where the truth is not known."""
        if self.accuracies is None:
            return []
        return [make_choice(method, scores, self.accuracies) for method, scores in self.scores.items()]

    def show(self) -> None:
        """Print the ranking, how good it is, and what is to be known about it."""
        several = len({one.model for one in self.candidates}) > 1
        best = {method: best_prompts(scores) for method, scores in self.scores.items()}
        rows = []
        for place in np.argsort(-self.scores[self.method], kind="stable").tolist():
            one = self.candidates[place]
            model = [one.model] if several else []
            truth = [] if self.accuracies is None else [_percent(self.accuracies[place])]
            scores = [
                f"{of_all[place]:.4g}{' *' if place in best[method] else ''}" for method, of_all in self.scores.items()
            ]
            rows.append([*model, _prompt_name(one), *truth, *scores])
        headers = [*(["model"] if several else []), "prompt", *([] if self.accuracies is None else ["accuracy"])]
        print_table(rows, [*headers, *self.scores])
        click.echo("\nscores: larger is better; * is chosen")
        if self.accuracies is not None:
            self._show_choices(self.accuracies)
        chosen = self.candidates[self.place]
        name, wording = _prompt_name(chosen), shortened(_wording(chosen), 50)
        click.echo(f"\n{self.method} chooses prompt {name} of {chosen.model}: {wording}")
        for note in self.notes:
            click.echo(note)

    def _show_choices(self, accuracies: NDArray[np.float64]) -> None:
        lot = choice_by_lot({"": accuracies})
        rows: list[list[str]] = [
            [
                one.method,
                ", ".join(self.candidates[place].name for place in one.chosen[:3])
                + (f" and {len(one.chosen) - 3} more" if len(one.chosen) > 3 else ""),
                *map(_percent, (one.performance, one.rate, one.ndcg)),
            ]
            for one in self.choices
        ]
        rows.append(["by lot", "", *map(_percent, (lot.performance, lot.rate, lot.ndcg))])
        click.echo()
        print_table(rows, ["chosen by", "prompt", "performance", "rate", "NDCG"])

    def as_fields(self) -> dict[str, Any]:
        """The same, for programs."""
        chosen = self.candidates[self.place]
        truth = self.accuracies
        methods: dict[str, dict[str, Any]] = {
            method: {"chosen": [self.candidates[place].name for place in best_prompts(scores)]}
            for method, scores in self.scores.items()
        }
        for one in self.choices:
            methods[one.method].update(performance=one.performance, rate=one.rate, ndcg=one.ndcg)
        return {
            "chosen": {"by": self.method, "name": chosen.name, "model": chosen.model, "wording": _wording(chosen)},
            "candidates": [
                {
                    "name": one.name,
                    "model": one.model,
                    "prompt": _prompt_name(one),
                    "wording": _wording(one),
                    "scores": {method: float(scores[place]) for method, scores in self.scores.items()},
                    **({} if truth is None else {"accuracy": float(truth[place])}),
                }
                for place, one in enumerate(self.candidates)
            ],
            "methods": methods,
            "model_calls": {"made": self.calls.made, "saved": self.calls.saved},
            "notes": self.notes,
        }

    @property
    def notes(self) -> list[str]:
        """What is to be known: what it took, and what could not be read as it is."""
        found = [f"model calls: {self.calls.made:,} made, {self.calls.saved:,} saved by answers that were kept"]
        cut = sum(getattr(one.predictor, "cut_texts", 0) for one in self.candidates)
        if cut:
            found.append(f"warning: {cut:,} times a text did not fit into the model's window and was cut at its end")
        unread = sum(getattr(one.predictor, "unread", 0) for one in self.candidates)
        if unread:
            found.append(f"warning: {unread:,} answers of an endpoint named no label word; all labels count the same")
        alike = dict.fromkeys(pair for one in self.candidates for pair in getattr(one.predictor, "alike", ()))
        found += [
            f"note: {' and '.join(map(repr, words))} begin with the same token, so these words are scored whole"
            for words in alike
        ]
        return found


def _prompt_name(candidate: Candidate) -> str:
    return candidate.prompt.name if candidate.prompt is not None else candidate.name


def _wording(candidate: Candidate) -> str:
    return candidate.prompt.wording if candidate.prompt is not None else candidate.name


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
