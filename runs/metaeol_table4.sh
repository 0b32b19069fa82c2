#!/usr/bin/env bash
# MetaEOL (ACL 2024), Table 4: meta-tasks added one at a time.
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval tasks --results "$results" --method metaeol "$@"
python "$here/beside.py" metaeol_table4 "$results"
