//! A peer's report of what it spent: whatever it sends, nothing that others recorded stops counting, and what is taken was signed by it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::roster;
use quorate_policy::{History, Place, SignedSpendRecord, SpendBook, SpendEntry};
use quorate_types::canonical::Canonical as _;
use quorate_types::{Bundle, Hash32, PartyId, ValidRoster};

const NOW: u64 = 1_900_000_000_000;

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
    match book.check(&roster, &peer, from, report, NOW) {
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
