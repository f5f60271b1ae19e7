//! Whether bytes lie as the contract ABI writes them: heads, then tails in the heads' order, nothing between.

use std::iter::repeat_n;

use alloy_dyn_abi::DynSolType;

const WORD: usize = 32;

/// How many bytes the strict encoding of `types` takes at the beginning of `data`; `None` where an offset or a length says otherwise.
/// Looks at every byte at most once.
pub(super) fn used(types: &[DynSolType], data: &[u8]) -> Option<usize> {
    sequence(types.iter(), data)
}

fn sequence<'a>(types: impl Iterator<Item = &'a DynSolType> + Clone, data: &[u8]) -> Option<usize> {
    let heads = types
        .clone()
        .try_fold(0usize, |sum, t| sum.checked_add(head_len(t)?))?;
    data.get(..heads)?;
    let (mut head, mut tail) = (0usize, heads);
    for t in types {
        if t.is_dynamic() {
            if number(data.get(head..)?)? != tail {
                return None;
            }
            tail = tail.checked_add(dynamic(t, data.get(tail..)?)?)?;
        }
        head = head.checked_add(head_len(t)?)?;
    }
    Some(tail)
}

fn head_len(t: &DynSolType) -> Option<usize> {
    match t {
        _ if t.is_dynamic() => Some(WORD),
        DynSolType::Tuple(items) => items
            .iter()
            .try_fold(0usize, |sum, item| sum.checked_add(head_len(item)?)),
        DynSolType::FixedArray(item, n) => head_len(item)?.checked_mul(*n),
        _ => Some(WORD),
    }
}

fn dynamic(t: &DynSolType, data: &[u8]) -> Option<usize> {
    match t {
        DynSolType::Bytes | DynSolType::String => {
            let padded = number(data)?.checked_next_multiple_of(WORD)?;
            let total = padded.checked_add(WORD)?;
            (total <= data.len()).then_some(total)
        }
        DynSolType::Array(item) => {
            let count = number(data)?;
            let rest = data.get(WORD..)?;
            // Every element takes a word at least.
            if count > rest.len() / WORD {
                return None;
            }
            sequence(repeat_n(item.as_ref(), count), rest)?.checked_add(WORD)
        }
        DynSolType::FixedArray(item, n) => sequence(repeat_n(item.as_ref(), *n), data),
        DynSolType::Tuple(items) => sequence(items.iter(), data),
        _ => None,
    }
}

/// The word at the beginning, where it is a size.
fn number(data: &[u8]) -> Option<usize> {
    let (high, low) = data.first_chunk::<WORD>()?.split_at(WORD - 8);
    let low = u64::from_be_bytes(low.try_into().ok()?);
    high.iter()
        .all(|byte| *byte == 0)
        .then(|| usize::try_from(low).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(text: &str) -> Vec<DynSolType> {
        match DynSolType::parse(text).unwrap() {
            DynSolType::Tuple(types) => types,
            other => vec![other],
        }
    }

    fn words(values: &[u64]) -> Vec<u8> {
        let word = |v: &u64| [[0u8; 24].as_slice(), &v.to_be_bytes()].concat();
        values.iter().flat_map(word).collect()
    }

    #[test]
    fn tails_must_follow_each_other() {
        let two = types("(bytes,bytes)");
        assert_eq!(used(&two, &words(&[64, 96, 0, 0])), Some(128));
        // Both tails in the same place, in the other order, with a gap.
        assert_eq!(used(&two, &words(&[64, 64, 0])), None);
        assert_eq!(used(&two, &words(&[96, 64, 0, 0])), None);
        assert_eq!(used(&two, &words(&[64, 128, 0, 0, 0])), None);
    }

    #[test]
    fn sizes_beyond_the_data_are_refused() {
        let array = types("(uint256[],bool)");
        assert_eq!(used(&array, &words(&[64, 1, 2, 7, 7])), Some(160));
        assert_eq!(used(&array, &words(&[64, 1, 3, 7, 7])), None);
        assert_eq!(used(&array, &words(&[64, 1, u64::MAX])), None);
        let bytes = types("(bytes,bool)");
        assert_eq!(used(&bytes, &words(&[64, 1, u64::MAX])), None);
        assert_eq!(used(&bytes, &words(&[64])), None);
    }
}
