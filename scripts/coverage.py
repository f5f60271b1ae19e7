#!/usr/bin/env python3
"""Writes docs/coverage.md from the summary of `cargo llvm-cov report --json --summary-only`, and prints one line about it.

    scripts/coverage.py target/coverage/summary.json docs/coverage.md
"""

import json
import os
import sys
from collections import defaultdict

# Shares of lines and branches that are aimed at, for all crates and for those that decide what is signed.
AIM = {"lines": 90.0, "branches": 85.0}
STRICT = 95.0
STRICT_PLACES = ("crates/policy/", "crates/chain/", "crates/mpc-protocol/", "crates/storage/src/ledger/")


def aim(path, what):
    return STRICT if path.startswith(STRICT_PLACES) else AIM[what]


def share(counts):
    return 100.0 * counts["covered"] / counts["count"] if counts["count"] else 100.0


def add(total, summary):
    for what in ("lines", "branches"):
        for key in ("covered", "count"):
            total[what][key] += summary.get(what, {}).get(key, 0)


def cells(total):
    lines = f"{share(total['lines']):.1f} %"
    branches = f"{share(total['branches']):.1f} %" if total["branches"]["count"] else "-"
    return f"{lines} | {branches}"


def main(source, target):
    with open(source, encoding="utf-8") as file:
        files = json.load(file)["data"][0]["files"]
    empty = lambda: {"lines": defaultdict(int), "branches": defaultdict(int)}
    crates, below, everything = defaultdict(empty), [], empty()
    for entry in files:
        path = os.path.relpath(entry["filename"])
        if not path.startswith("crates/") or "/src/" not in path:
            continue
        summary = entry["summary"]
        add(crates[path.split("/")[1]], summary)
        add(everything, summary)
        one = empty()
        add(one, summary)
        short = [w for w in ("lines", "branches") if one[w]["count"] and share(one[w]) < aim(path, w)]
        if short:
            below.append(f"| `{path}` | {cells(one)} |")
    rows = [f"| {name} | {cells(total)} |" for name, total in sorted(crates.items())]
    text = f"""# Coverage

    make test-long STAGES=coverage

Written by that command, from what all tests run. Aims: {AIM['lines']:.0f} % of lines and {AIM['branches']:.0f} % of branches; {STRICT:.0f} % in
`policy`, `chain`, `mpc-protocol` and the ledger. Processes that tests kill do not count what they ran. Branches are counted by a
nightly compiler alone; without one there is a dash.

| crate | lines | branches |
|---|---|---|
{chr(10).join(rows)}
| **all** | {cells(everything)} |

## Files below the aim

| file | lines | branches |
|---|---|---|
{chr(10).join(sorted(below))}
"""
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{share(everything['lines']):.1f} % of lines, {len(below)} files below their aim ([coverage.md](coverage.md))")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
