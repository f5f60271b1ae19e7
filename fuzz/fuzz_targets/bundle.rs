//! A signed bundle from its canonical form and from JSON: it reads back to itself, and unsigned it does not come into force.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Admin, Admins, Hash32, OperatorEntry, OperatorId, PartyEntry, PartyId, PersonId, Roster,
    SignedBundle, Threshold, ValidRoster,
};

static ROSTER: LazyLock<ValidRoster> = LazyLock::new(|| {
    // RFC 8032, tests 1 to 3.
    let keys = [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    ];
    let key = |text: &Hash32| *text.as_bytes();
    let keys = keys.map(|text| key(&text.parse().expect("64 digits")));
    let parties = keys.iter().zip(["party-1", "party-2"]);
    let parties = parties.map(|(key, name)| PartyEntry {
        id: PartyId::new(name).expect("a name"),
        identity: *key,
        // Not used here, but everybody's own.
        channel: key.map(|byte| !byte),
    });
    let admin = Admin {
        id: PersonId::new("root").expect("a name"),
        key: keys[0],
    };
    let roster = Roster {
        cluster: "fuzz".to_owned(),
        threshold: Threshold::new(2, 2).expect("2 of 2"),
        parties: parties.collect(),
        operators: vec![OperatorEntry {
            id: OperatorId::new("operator").expect("a name"),
            key: keys[2],
        }],
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
