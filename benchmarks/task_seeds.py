"""Is a task nearer to itself under another seed than to any other task?

python benchmarks/task_seeds.py --data DIR [--datasets A,B] [--form tupate] [--examples 1000] -o FOLDER

Vectors are kept in FOLDER, and found again; `oneword tasks map FOLDER -o map.html` draws them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from oneword.evaluation.results import digest_of
from oneword.tasks import TaskEmbedder, TaskEmbedding
from oneword.tasks.collection import read_collection
from oneword.tasks.trainable import TrainableModel

SEEDS = (0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--datasets", default="")
    parser.add_argument("--surrogate", default="minilm")
    parser.add_argument("--form", default="tupate")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--other-examples", action="store_true", help="each seed draws examples of its own")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    collection = read_collection(options.data)
    names = options.datasets.split(",") if options.datasets else list(collection)
    if unknown := set(names) - set(collection):
        parser.error(f"{options.data} holds no dataset {', '.join(sorted(unknown))}")
    tuning = {"max_length": options.max_length, "steps": options.steps}
    model = TrainableModel(options.surrogate)
    options.output.mkdir(parents=True, exist_ok=True)
    found: list[TaskEmbedding] = []
    for name in names:
        whole = collection[name]().train
        for seed in SEEDS:
            embedder = TaskEmbedder(model, options.form, seed=seed, tuning=tuning)
            sample = whole.sample(options.examples, seed if options.other_examples else 0)
            key = digest_of(embedder.space, sample.digest, tuning)
            path = options.output / f"{options.form}-{name}-{seed}-{key}.safetensors"
            if not path.is_file():
                embedder.embed_dataset(sample).save(path)
            found.append(TaskEmbedding.load(path))
            print(path, flush=True)
    vectors = np.stack([one.vector for one in found])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    print("\n| task | to itself, other seed | to the nearest other task | which |\n| --- | --- | --- | --- |")
    right = 0
    for place, name in enumerate(names):
        first, second = 2 * place, 2 * place + 1
        others = [np.delete(cosines[row], [first, second]) for row in (first, second)]
        nearest = max(others, key=np.max)
        other = np.delete(np.repeat(names, len(SEEDS)), [first, second])[nearest.argmax()]
        right += cosines[first, second] > nearest.max()
        print(f"| {name} | {cosines[first, second]:.2f} | {nearest.max():.2f} | {other} |")
    print(f"\nnearer to itself than to any other task, under both seeds: {right} of {len(names)}")


if __name__ == "__main__":
    main()
