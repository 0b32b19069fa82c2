#!/usr/bin/env bash
# The preset "oneword": prompts, layer, calibration and steering that do best on development data, for a model of your own,
# and what that scores on test sets beside PromptEOL and MetaEOL.
# Options go to the search: --data DIR --model NAME --pairs N --device ...; the model's ones to both.
set -euo pipefail
results=${RESULTS:-results}
preset=${PRESET:-oneword-preset}
oneword tune --preset --name oneword --results "$results" -o "$preset" "$@"
kept=()
# The search's own options are not the evaluation's
while [ $# -gt 0 ]; do
  case $1 in
    --pairs | --name) shift 2 ;;
    --force | --json) shift ;;
    *) kept+=("$1"); shift ;;
  esac
done
oneword eval sts --results "$results" --allow-missing --method prompteol --method metaeol --method "$preset/" ${kept[@]+"${kept[@]}"}
