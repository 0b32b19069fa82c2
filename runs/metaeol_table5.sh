#!/usr/bin/env bash
# MetaEOL (ACL 2024), Table 5: the review rating prompt and its four published perturbations.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval perturb --results "$results" --method sentiment_1 --perturbed sentiment_perturbed_1 \
  --perturbed sentiment_perturbed_2 --perturbed sentiment_perturbed_3 --perturbed sentiment_perturbed_4 "$@"
