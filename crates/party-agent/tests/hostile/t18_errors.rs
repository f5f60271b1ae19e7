//! T18: a rule that errs denies; Cedar alone would skip it.

use crate::expect::{Broken, denied};
use crate::target::Target;
use crate::weakness::none;

/// Speaks against nothing; from 2 policy units on it overflows. Strict validation cannot see that.
const OVERFLOWS: &str = r#"
[[cedar]]
id = "overflows"
policy = 'forbid(principal, action in Action::"sign", resource) when { context.moved * 9223372036854775807 < 0 };'
"#;

async fn attack_with_an_amount_that_overflows(target: &Target) -> Result<(), Broken> {
    let ask = target.approved_payment(1_000);
    for number in [1, 2, 3] {
        let ask = ask.clone().by(&[number, number % 3 + 1]);
        let reply = target.asked(number, &ask).await;
        let expected = denied(&["evaluation-error"]);
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t18_i09_a_rule_that_errs_denies_everywhere() {
    let target = Target::honest(OVERFLOWS).await;
    holds!(&target, attack_with_an_amount_that_overflows);
    let weak = Target::weak("", none).await;
    breaks!(&weak, attack_with_an_amount_that_overflows);
}
