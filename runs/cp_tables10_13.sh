#!/usr/bin/env bash
# Contrastive Prompting (ACL 2025), Tables 10 to 13: nine tasks of MTEB.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval mteb --results "$results" --tasks cp-paper --method prompteol --method prompteol_cp "$@"
python "$here/beside.py" cp_tables10_13 "$results"
