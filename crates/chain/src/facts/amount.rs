//! Exact decimal amounts, as JSON strings and for people.

/// Integers as decimal strings in JSON.
pub(crate) mod decimal {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A count of smallest units as a decimal number of whole ones, exact, without trailing zeros.
pub(super) fn scaled(digits: &str, decimals: usize) -> String {
    let padded = format!("{digits:0>width$}", width = decimals.saturating_add(1));
    let (whole, fraction) = padded.split_at(padded.len().saturating_sub(decimals));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        assert_eq!(scaled("0", 8), "0");
        assert_eq!(scaled("1", 8), "0.00000001");
        assert_eq!(scaled("150000000", 8), "1.5");
        assert_eq!(scaled("2100000000000000", 8), "21000000");
        assert_eq!(scaled("7", 0), "7");
    }
}
