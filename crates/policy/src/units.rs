//! Amounts as policies see them: 64-bit integers, rounded up.

use quorate_chain::U256;
use quorate_types::Asset;

/// An amount in policy units, rounded up; [`i64::MAX`] when it is out of range, which no limit admits.
#[must_use]
pub fn to_units(amount: U256, asset: &Asset) -> i64 {
    let dropped = asset.decimals.saturating_sub(asset.precision);
    let divisor = U256::from(10u8).saturating_pow(U256::from(dropped));
    let (whole, rest) = amount.div_rem(divisor);
    let units = whole.saturating_add(U256::from(u8::from(!rest.is_zero())));
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// Why a text is not an amount of an asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an amount of {asset}: a decimal number with at most {precision} digits after the point, below {max}"
)]
pub struct AmountError {
    text: String,
    asset: String,
    precision: u8,
    max: i64,
}

/// A decimal number of whole units as policy units, exact.
///
/// # Errors
/// Not a number, more digits than the asset's precision, or out of range.
pub fn parse_units(text: &str, asset: &Asset) -> Result<i64, AmountError> {
    let error = || AmountError {
        text: text.to_owned(),
        asset: asset.id.clone(),
        precision: asset.precision,
        max: i64::MAX / 10i64.saturating_pow(u32::from(asset.precision)),
    };
    let units = digits(text, asset.precision).and_then(|units| i64::try_from(units).ok());
    let units = units.ok_or_else(error)?;
    // The largest value stands for "out of range".
    if units == i64::MAX {
        Err(error())
    } else {
        Ok(units)
    }
}

/// A decimal number with at most so many digits after the point, times 10 to their number.
pub(crate) fn digits(text: &str, after_point: u8) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let numeric = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let width = usize::from(after_point);
    let misshapen = whole.is_empty() || text.ends_with('.') || fraction.len() > width;
    if misshapen || !numeric(whole) || !numeric(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<width$}").parse().ok()
}

/// Policy units as a decimal number of whole units.
#[must_use]
pub fn show_units(units: i64, asset: &Asset) -> String {
    show_digits(u128::from(units.unsigned_abs()), asset.precision)
}

/// A number divided by 10 to the number of digits after the point, as decimal text.
pub(crate) fn show_digits(number: u128, after_point: u8) -> String {
    let width = usize::from(after_point);
    let digits = format!("{number:0>min$}", min = width + 1);
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(width));
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_types::Network;

    fn ether(precision: u8) -> Asset {
        Asset {
            id: "ETH".to_owned(),
            network: Network::Evm { chain_id: 1 },
            contract: None,
            decimals: 18,
            precision,
        }
    }

    #[test]
    fn amounts_are_rounded_up_and_never_wrap() {
        let asset = ether(8);
        assert_eq!(to_units(U256::ZERO, &asset), 0);
        assert_eq!(to_units(U256::from(1u8), &asset), 1);
        assert_eq!(to_units(U256::from(10_000_000_000u64), &asset), 1);
        assert_eq!(to_units(U256::from(10_000_000_001u64), &asset), 2);
        assert_eq!(to_units(U256::MAX, &asset), i64::MAX);
        assert_eq!(to_units(U256::MAX, &ether(18)), i64::MAX);
    }

    #[test]
    fn texts_are_exact() {
        let asset = ether(8);
        assert_eq!(parse_units("1.5", &asset), Ok(150_000_000));
        assert_eq!(show_units(150_000_000, &asset), "1.5");
        assert_eq!(show_units(7, &asset), "0.00000007");
        for bad in [
            "",
            ".",
            "1.",
            "-1",
            "1e3",
            "1.123456789",
            "92233720368547758080",
            " 1",
            "1_0",
        ] {
            assert!(parse_units(bad, &asset).is_err(), "{bad:?}");
        }
    }
}
