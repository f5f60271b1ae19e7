#!/usr/bin/env bash
# What takes too long for `make test`, by hand: make test-long, or some of it: make test-long STAGES="seeds deny".
# Each stage that ends writes its row into docs/test-long.md; the first that fails ends the run.
#   SEED=N        what random choices follow from; the time in seconds if not given
#   TIMES=N       how many times as many simulated runs as `make test` has; 20 if not given
#   MUTANTS=K/N   the shard of mutants to test, K from 0; one of 200 if not given
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export SEED=${SEED:-$(date +%s)}
features=quorate/tpm,quorate/kms
document=docs/test-long.md
all=(seeds soak demo fuzz coverage deny mutants)

need() { # need COMMAND CRATE: a cargo subcommand, installed if it is missing
    cargo "$1" --version >/dev/null 2>&1 || cargo install --locked "$2"
}

record() { # record STAGE SECONDS RESULT: replaces the stage's row in the document
    local dirty='' row
    [ -z "$(git status --porcelain --untracked-files=no -- crates Cargo.lock)" ] || dirty=' and changes'
    row="| $1 | $(git rev-parse --short HEAD)$dirty | $(date -u +%F) | $SEED | $2 s | $3 |"
    # Rows of results have a commit in their second cell; the description of the stage has not.
    grep -vE "^\| $1 \| [0-9a-f]{7,}" "$document" >"$document.new"
    printf '%s\n' "$row" >>"$document.new"
    mv "$document.new" "$document"
}

# Every simulated ceremony under thousands of schedules, from a seed of this run.
seeds() {
    QUORATE_TEST_SEED=$SEED QUORATE_TEST_TIMES=${TIMES:-20} \
        cargo xtask test --features "$features" --only 'testkit simulation' --only 'testkit oversize' --only 'policy policy'
    result="${TIMES:-20} times the runs of make test: no two results, false blame, stall or limit exceeded"
}

# Half an hour of mixed load on a real cluster while custodians are killed.
soak() {
    scripts/tools.sh
    cargo build --release --locked -p quorate
    cargo run --release --locked -p quorate-bench -- --soak "${MINUTES:-30}" --seed "$SEED"
    result="${MINUTES:-30} minutes, [soak.md](soak.md)"
}

# The whole demo as a user runs it.
demo() {
    cargo run --release --locked -p quorate -- demo
    result='every step'
}

fuzz() {
    scripts/fuzz-smoke.sh "${SECONDS_EACH:-600}"
    result="${SECONDS_EACH:-600} s for each target, no crash"
}

coverage() {
    need llvm-cov cargo-llvm-cov
    rustup component add llvm-tools
    mkdir -p target/coverage
    # Only a nightly compiler counts branches.
    local cargo=(cargo) branches=()
    if rustup component add llvm-tools --toolchain nightly 2>/dev/null; then
        cargo=(cargo +nightly) branches=(--branch)
    fi
    "${cargo[@]}" llvm-cov --workspace --locked --features "$features" "${branches[@]}" --no-report
    "${cargo[@]}" llvm-cov report "${branches[@]}" --json --summary-only --output-path target/coverage/summary.json
    result=$(scripts/coverage.py target/coverage/summary.json docs/coverage.md)
}

deny() {
    need deny cargo-deny
    cargo deny --all-features check bans licenses sources
    result='bans, licences, sources'
}

# What a wrong line in the policy engine or in the facts of a payload would do: some test must fail.
mutants() {
    need mutants cargo-mutants
    cargo mutants --shard "${MUTANTS:-0/200}" --package quorate-policy --package quorate-chain \
        --file 'crates/policy/src/**' --file 'crates/chain/src/facts/**' --file 'crates/chain/src/effects/**' \
        --output target/mutants
    result="shard ${MUTANTS:-0/200}: no survivor"
}

for stage in "${@:-${all[@]}}"; do
    printf '\n==> %s (seed %s)\n' "$stage" "$SEED"
    began=$SECONDS
    result=''
    "$stage"
    record "$stage" $((SECONDS - began)) "$result"
done
