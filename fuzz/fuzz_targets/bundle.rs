//! A signed bundle from its canonical form and from JSON: it reads back to itself, and unsigned it does not come into force.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Admin, Admins, PartyEntry, PartyId, PersonId, Roster, SignedBundle, Threshold, ValidRoster,
};

/// RFC 8032, tests 1 and 2: keys of somebody who signs nothing here.
const KEYS: [[u8; 32]; 2] = [
    [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ],
    [
        0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e,
        0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4,
        0x66, 0x0c,
    ],
];

static ROSTER: LazyLock<ValidRoster> = LazyLock::new(|| {
    let parties = KEYS.iter().zip(["party-1", "party-2"]);
    let parties = parties.map(|(key, name)| PartyEntry {
        id: PartyId::new(name).expect("a name"),
        identity: *key,
        channel: *key,
    });
    let admin = Admin {
        id: PersonId::new("root").expect("a name"),
        key: KEYS[0],
    };
    let roster = Roster {
        cluster: "fuzz".to_owned(),
        threshold: Threshold::new(2, 2).expect("2 of 2"),
        parties: parties.collect(),
        operators: Vec::new(),
        admins: Admins {
            quorum: 1,
            members: vec![admin],
        },
    };
    roster.try_into().expect("a roster")
});

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
