//! A signed approval: one canonical form, and JSON means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_types::canonical::Canonical as _;
use quorate_types::{SignedApproval, SignedFreeze};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = SignedApproval::from_canonical_bytes(bytes, SignedApproval::MAX_LEN) {
        assert_eq!(signed.canonical_bytes(), bytes);
        let json = serde_json::to_vec(&signed).expect("it has a JSON form");
        let read: SignedApproval = serde_json::from_slice(&json).expect("which is read");
        assert_eq!(read, signed);
    }
    if let Ok(signed) = SignedFreeze::from_canonical_bytes(bytes, SignedApproval::MAX_LEN) {
        assert_eq!(signed.canonical_bytes(), bytes);
    }
    if let Ok(signed) = serde_json::from_slice::<SignedApproval>(bytes) {
        let again = signed.canonical_bytes();
        let read = SignedApproval::from_canonical_bytes(&again, usize::MAX);
        assert_eq!(read.as_ref(), Ok(&signed));
    }
});
