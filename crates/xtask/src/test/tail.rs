//! Output of which only the end is kept.

use std::collections::VecDeque;

const LIMIT: usize = 200 * 1024;

/// Last bytes of a stream.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

impl Tail {
    /// Appends, and forgets from the front what is too much.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(LIMIT);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    /// Text of what is kept; starts with a mark if something is missing.
    pub fn text(&self) -> String {
        let (front, back) = self.bytes.as_slices();
        let bytes = [front, back].concat();
        let text = String::from_utf8_lossy(&bytes);
        if self.is_cut {
            format!("[…]{text}")
        } else {
            text.into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, Tail};

    #[test]
    fn the_end_is_kept_and_the_cut_is_marked() {
        let mut tail = Tail::default();
        tail.push(b"begin");
        assert_eq!(tail.text(), "begin");
        tail.push(&vec![b'x'; LIMIT]);
        tail.push(b"end");
        let text = tail.text();
        assert!(text.starts_with("[…]x") && text.ends_with("xend"));
        assert_eq!(text.len(), LIMIT + "[…]".len());
    }
}
