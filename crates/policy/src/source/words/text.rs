//! Pieces of sentences. Values that people chose are written so that no value looks like the words
//! around it, or like another value.

/// A value as it is, where it is plain; otherwise quoted, with everything escaped that is not a
/// visible ASCII character.
pub(super) fn value(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-:/#+".contains(&b);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// A text in quotes. One with letters that are not ASCII, which may look like others, is followed
/// by its escaped form.
pub(super) fn quoted(text: &str) -> String {
    if text.is_ascii() {
        return format!("{text:?}");
    }
    format!("{text:?} (exactly \"{}\")", text.escape_default())
}

/// Lines of a program text for a terminal, indented but for the first: only visible ASCII
/// characters stay as they are.
#[must_use]
pub fn lines(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => "\n    ".to_owned(),
        ' '..='~' => c.to_string(),
        other => other.escape_default().to_string(),
    };
    text.chars().map(shown).collect()
}

fn sorted<T: ToString>(items: &[T]) -> Vec<String> {
    let mut items: Vec<String> = items.iter().map(|i| value(&i.to_string())).collect();
    items.sort();
    items.dedup();
    items
}

fn joined(mut items: Vec<String>, with: &str) -> String {
    match items.pop() {
        None => "nothing".to_owned(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} {with} {last}", items.join(", ")),
    }
}

/// `a, b or c`: a set of which one is enough. Nothing of an empty one.
pub(super) fn either<T: ToString>(items: &[T]) -> String {
    joined(sorted(items), "or")
}

/// `a, b and c`: a set. Nothing of an empty one.
pub(super) fn every<T: ToString>(items: &[T]) -> String {
    joined(sorted(items), "and")
}

/// One thing, or so many.
pub(super) fn count(number: impl Into<u64>, one: &str, many: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}
