#!/usr/bin/env bash
# MetaEOL (ACL 2024), Table 7: the last layer and the proportional one (the paper: with --quantize int4).
# All options of the command can be given: --data DIR --model NAME --layer L --allow-missing --keep-vectors ...
set -euo pipefail
here=$(dirname "$0")
results=${RESULTS:-results}
oneword eval sts --results "$results" --method metaeol --layer last,proportional "$@"
python "$here/beside.py" metaeol_table7 "$results"
