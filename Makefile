.DEFAULT_GOAL := help
.PHONY: help demo build tools test bench bench-cluster fuzz-smoke

# What is off by default: a TPM needs libtss2 to build, KMS brings Amazon's client.
EVERYTHING := quorate/tpm,quorate/kms

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

demo: ## everything once, on this machine: keys, real transactions, a custodian stopped half-way
	@cargo run --release --locked --quiet -p quorate -- demo

build: ## release binaries in target/release
	cargo build --release --locked

tools: ## what the tests run against: servers and chains below this directory, tokens and TPMs from apt
	@scripts/tools.sh

test: ## tools, then every check: format, lints, dependency rules, all tests
	@scripts/steps.sh \
		'scripts/tools.sh' \
		'cargo fmt --all --check' \
		'cargo check -p quorate --locked' \
		'cargo clippy --workspace --all-targets --locked --features $(EVERYTHING) -- -D warnings' \
		'cargo xtask deps' \
		'cargo xtask licences' \
		'cargo test --workspace --locked --features $(EVERYTHING)'

bench: bench-cluster ## what a whole cluster does (docs/benchmarks.md, a quarter of an hour), then what single parts cost
	cargo bench --workspace --locked --features $(EVERYTHING)

bench-cluster:
	@test -x .venv/bin/nats-server || scripts/tools.sh
	@# By themselves: together with the tests' crates they would be built with the tests' features.
	cargo build --release --locked -p quorate
	cargo run --release --locked -p quorate-bench

SECONDS_EACH ?= 60
fuzz-smoke: ## every decoder of untrusted bytes under fuzzing, a minute each; needs a nightly toolchain and cargo-fuzz
	scripts/fuzz-smoke.sh $(SECONDS_EACH)
