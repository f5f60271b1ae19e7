#!/usr/bin/env bash
# Removes what earlier checkouts left of the workspace's own crates in a build folder that outlives them. Every checkout compiles
# these again, so they would pile up; compiled dependencies stay.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=()
for manifest in crates/*/Cargo.toml; do
    packages+=(--package "$(sed -n 's/^name = "\(.*\)"$/\1/p' "$manifest" | head -n 1)")
done
cargo clean --quiet --locked "${packages[@]}"
