//! Generated cases that repeat: `QUORATE_TEST_SEED` and `QUORATE_TEST_RUNS` choose which and how many.

use proptest::prelude::ProptestConfig;
use proptest::strategy::Strategy;
use proptest::test_runner::{RngSeed, TestCaseResult, TestRunner};

const SEED: u64 = 0x0071_756f_7261_7465;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value} is not a number")),
    )
}

/// The first seed.
pub fn seed() -> u64 {
    number("QUORATE_TEST_SEED").unwrap_or(SEED)
}

/// How many cases, where `usual` is the default.
pub fn runs(usual: u64) -> u64 {
    let times = number("QUORATE_TEST_TIMES").unwrap_or(1);
    number("QUORATE_TEST_RUNS").unwrap_or(usual * times)
}

/// Runs `test` on so many generated values; the panic names the seed and the smallest value that fails.
pub fn check<S: Strategy>(
    name: &str,
    usual: u64,
    strategy: &S,
    test: impl Fn(S::Value) -> TestCaseResult,
) {
    let (seed, cases) = (seed(), runs(usual));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: u32::try_from(cases).unwrap(),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 1000,
        ..ProptestConfig::default()
    });
    if let Err(error) = runner.run(strategy, test) {
        panic!(
            "{error}\nrepeat: QUORATE_TEST_SEED={seed} QUORATE_TEST_RUNS={cases} cargo test -p quorate-policy --test policy {name}"
        );
    }
}
