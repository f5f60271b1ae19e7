#!/usr/bin/env bash
# Runs every fuzz target for a while, beginning with its seeds; stops at the first crash, which is then in fuzz/artifacts.
#   scripts/fuzz-smoke.sh [SECONDS_PER_TARGET]
# Needs a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz --locked).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}

cargo +nightly fuzz build
for target in $(cargo +nightly fuzz list); do
    printf '\n==> %s for %s s\n' "$target" "$seconds"
    mkdir -p "fuzz/corpus/$target"
    # Some begin from nothing.
    seeds=()
    if [ -d "fuzz/seeds/$target" ]; then seeds=("fuzz/seeds/$target"); fi
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "${seeds[@]}" -- \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
printf '\nno target crashed\n'
