.DEFAULT_GOAL := help
.PHONY: help demo build tools test bench

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

demo: ## everything once, on this machine: keys, real transactions, a custodian stopped half-way
	@cargo run --release --locked --quiet -p quorate -- demo

build: ## release binaries in target/release
	cargo build --release --locked

tools: ## nats-server, anvil and LiteSVM for the tests, below this directory
	@scripts/tools.sh

test: ## tools, then every check: format, lints, dependency rules, all tests
	@scripts/steps.sh \
		'scripts/tools.sh' \
		'cargo fmt --all --check' \
		'cargo clippy --workspace --all-targets --locked -- -D warnings' \
		'cargo xtask deps' \
		'cargo xtask licences' \
		'cargo test --workspace --locked'

bench: ## how long ceremonies take
	cargo bench --workspace --locked
