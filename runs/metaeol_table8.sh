#!/usr/bin/env bash
# MetaEOL (ACL 2024), Table 8: transfer tasks.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval transfer --results "$results" --method prompteol --method metaeol "$@"
python "$here/beside.py" metaeol_table8 "$results"
