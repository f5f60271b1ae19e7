//! A peer's report of what it spent: whatever it sends, nothing that others recorded stops counting, and what is taken was signed by it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_policy::{History, Place, SignedSpendRecord, SpendBook, SpendEntry};
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Admin, Admins, Bundle, Hash32, OperatorEntry, OperatorId, PartyEntry, PartyId, PersonId,
    Roster, Threshold, ValidRoster,
};

const NOW: u64 = 1_900_000_000_000;

fn roster() -> ValidRoster {
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
}

fn bundle(roster: &ValidRoster) -> Bundle {
    let text = "[[rule]]\nid = \"often\"\ntype = \"velocity\"\nmax = 3\nwindow = \"24h\"\nper = [\"destination\"]";
    let header = quorate_policy::Header {
        cluster: roster.cluster_id(),
        version: 1,
        previous: Hash32::from_bytes([0; 32]),
        issued_at: 0,
        admins: roster.roster().admins.clone(),
        lifts: Vec::new(),
    };
    quorate_policy::compile(text, header).expect("a policy")
}

fuzz_target!(|bytes: &[u8]| {
    let Ok((asked, known, report)) = borsh::from_slice::<(
        Option<(u64, u64)>,
        Vec<SignedSpendRecord>,
        Vec<SignedSpendRecord>,
    )>(bytes) else {
        return;
    };
    let roster = roster();
    let bundle = bundle(&roster);
    let me = PartyId::new("party-1").expect("a name");
    let peer = PartyId::new("party-2").expect("a name");
    let mut book = SpendBook::new(me, 0, &bundle);
    // What a ledger gives back is taken as it is.
    for signed in &known {
        book.add(signed.clone());
    }
    let standings = |history: &History| {
        let spends = known.iter().filter_map(|s| match &s.record.entry {
            SpendEntry::Spend(spend) => Some(spend),
            SpendEntry::Void { .. } => None,
        });
        let of = spends.flat_map(|s| s.lines.iter().map(move |l| (s, &l.destination)));
        of.map(|(spend, to)| history.with(spend, to))
            .collect::<Vec<_>>()
    };
    let before = standings(book.history());
    let from = asked.map(|(restores, sequence)| Place { restores, sequence });
    match book.merge(&roster, &peer, from, report, NOW) {
        // No fuzzer signs for the peer.
        Ok(fresh) => assert!(fresh.is_empty()),
        Err(error) => {
            let _ = error.to_string();
        }
    }
    assert_eq!(standings(book.history()), before);
    for signed in known.iter().take(4) {
        let again = signed.canonical_bytes();
        assert_eq!(
            SignedSpendRecord::from_canonical_bytes(&again, usize::MAX).as_ref(),
            Ok(signed)
        );
    }
    book.prune(NOW);
    book.recount(&bundle);
});
