//! A policy's text: whatever it is, the answer is a bundle whose rules are checked, or an error.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use quorate_policy::{Header, check_rules, compile};
use quorate_types::{Admins, Hash32};

fuzz_target!(|text: &str| {
    let header = Header {
        cluster: Hash32::from_bytes([1; 32]),
        version: 1,
        previous: Hash32::from_bytes([0; 32]),
        issued_at: 0,
        admins: Admins {
            quorum: 1,
            members: Vec::new(),
        },
        lifts: Vec::new(),
    };
    let Ok(bundle) = compile(text, header) else {
        return;
    };
    let mut ids: BTreeMap<&str, u32> = BTreeMap::new();
    for rule in &bundle.rules {
        *ids.entry(rule.id.as_str()).or_default() += 1;
    }
    if check_rules(&bundle).is_ok() {
        // Cedar takes one policy for each id, so nothing hid behind another's name or inside another's text.
        assert!(ids.values().all(|count| *count == 1));
    }
});
