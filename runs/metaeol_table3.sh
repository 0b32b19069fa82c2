#!/usr/bin/env bash
# MetaEOL (ACL 2024), Table 3: paraphrases instead of meta-tasks, one meta-task at a time, other combinations.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval sts --results "$results" --method prompteol --method prompteol_paraphrases --method metaeol \
  --method metaeol_tc --method metaeol_sa --method metaeol_pi --method metaeol_ie \
  --method metaeol_concat --method metaeol_max "$@"
python "$here/beside.py" metaeol_table3 "$results"
