//! Formats of what is stored. Each kind of file has a version: an older program refuses a newer
//! one. Within a version a file may also name **needs**: what a program must know to use it,
//! because of something that not every file of the version has. A program refuses a file with a
//! need that it does not know, rather than damage what it does not understand.

/// A file's need that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it needs {0:?}, which this program does not know; use the newer program that wrote it")]
pub struct UnknownNeed(pub String);

/// A backup that has its party's whole policy, freeze orders, bans and spend records: a program
/// that does not know them would restore a custodian without.
pub(crate) const AUTHORITY: &str = "authority";

/// Every need that this program knows.
const KNOWN: [&str; 1] = [AUTHORITY];

/// The kinds of files this program writes, each with the version of its format.
pub const FORMATS: [(&str, u32); 4] = [
    ("store", crate::store::VERSION),
    ("ledger", crate::ledger::FORMAT_VERSION),
    ("backup", crate::backup::Manifest::FORMAT),
    ("escrow", crate::escrow::FORMAT),
];

/// Checks the needs that a file names.
///
/// # Errors
/// The first that this program does not know.
pub(crate) fn check<'a>(needs: impl IntoIterator<Item = &'a str>) -> Result<(), UnknownNeed> {
    match needs.into_iter().find(|need| !KNOWN.contains(need)) {
        Some(need) => Err(UnknownNeed(need.to_owned())),
        None => Ok(()),
    }
}
