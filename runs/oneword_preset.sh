#!/usr/bin/env bash
# The preset "oneword": prompts, layer and calibration that do best on development data, and their steering, for a model of
# your own, and what that scores on test sets beside PromptEOL and MetaEOL.
# Options are those of the search: --data DIR --model NAME --pairs N --device ...; the model's ones go to both.
# PRESET=DIR names the folder that is written.
set -euo pipefail
results=${RESULTS:-results}
preset=${PRESET:-oneword-preset}
for option in "$@"; do
  case $option in
    -o* | --output* | --name*) echo "$option: PRESET=DIR names the folder, and the method is called oneword" >&2; exit 2 ;;
  esac
done
oneword tune --preset --name oneword --results "$results" -o "$preset" "$@"
kept=()
# The search's own options are not the evaluation's
while [ $# -gt 0 ]; do
  case $1 in
    --pairs) shift 2 ;;
    --force | --json | --pairs=*) shift ;;
    *) kept+=("$1"); shift ;;
  esac
done
oneword eval sts --results "$results" --allow-missing --method prompteol --method metaeol --method "$preset/" ${kept[@]+"${kept[@]}"}
