#!/usr/bin/env bash
# Runs commands one after the other, stops at the first that fails, and says at the end how long each took.
#   scripts/steps.sh 'cargo fmt --check' 'cargo test'
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

table=()
report() {
    printf '\n%-70s %8s\n' step time
    printf '%s\n' "${table[@]}"
}

for step in "$@"; do
    printf '\n==> %s\n' "$step"
    started=$SECONDS
    if bash -c "$step"; then
        table+=("$(printf '%-70s %6d s' "$step" $((SECONDS - started)))")
    else
        code=$?
        table+=("$(printf '%-70s %6d s   FAILED' "$step" $((SECONDS - started)))")
        report
        exit "$code"
    fi
done
report
