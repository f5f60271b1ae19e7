//! A signed bundle from its canonical form and from JSON: it reads back to itself, and unsigned it does not come into force.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::roster;
use quorate_types::canonical::Canonical as _;
use quorate_types::{SignedBundle, ValidRoster};

static ROSTER: LazyLock<ValidRoster> = LazyLock::new(roster);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = SignedBundle::from_canonical_bytes(bytes, SignedBundle::MAX_LEN) {
        assert_eq!(signed.canonical_bytes(), bytes);
        let _ = signed.bundle.check(&ROSTER);
        assert!(signed.follow(&ROSTER, None).is_err());
    }
    if let Ok(signed) = serde_json::from_slice::<SignedBundle>(bytes) {
        let again = signed.canonical_bytes();
        let read = SignedBundle::from_canonical_bytes(&again, usize::MAX);
        assert_eq!(read.as_ref(), Ok(&signed));
        assert!(signed.follow(&ROSTER, None).is_err());
    }
});
