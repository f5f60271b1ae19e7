.DEFAULT_GOAL := help
.PHONY: help demo build tools check test test-long bench bench-cluster fuzz-smoke

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

LINTS := 'cargo fmt --all --check' \
	'cargo clippy --workspace --all-targets --locked --features $(EVERYTHING) -- -D warnings' \
	'cargo xtask deps' \
	'cargo xtask licences'

# A run in a fresh clone, whose build folder may be an earlier clone's.
ifdef CI
FORGET := 'scripts/forget-workspace.sh'
endif

check: ## format, lints, dependency rules, and the unit tests: what to run while working, a few minutes
	@scripts/steps.sh $(LINTS) \
		'cargo test --workspace --locked --features $(EVERYTHING) --lib --bins --test codes --test wire --test chain --test policy'

test: ## tools, then every check: format, lints, dependency rules, all tests; ends with where the time went
	@scripts/steps.sh 'scripts/tools.sh' $(FORGET) $(LINTS) \
		'cargo check -p quorate --locked' \
		'cargo xtask test --features $(EVERYTHING)'

test-long: ## what takes hours: seeds, soak, fuzzing, coverage, mutants (STAGES="seeds deny" for some); see docs/test-long.md
	scripts/test-long.sh $(STAGES)

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
