//! PSBT version 2 (BIP-370), with another implementation of it as writer and judge.

use bitcoin::absolute::{Height, LockTime, Time};
use bitcoin::{Psbt, ScriptBuf, Sequence};
use proptest::prelude::*;
use psbt_v2::v2;
use quorate_chain::facts::BitcoinFacts;
use quorate_chain::{Analysis, ChainError, Facts, analyse};
use quorate_types::{Payload, Scheme};

use crate::common::{
    BITCOIN, LocalKey, analyse_psbt, assemble, code, foreign_script, psbt, script, usual_psbt,
};
use crate::round_trips::config;

const KEY: LocalKey = LocalKey::new(0x21);
const BOTH: [Scheme; 2] = [Scheme::Ecdsa, Scheme::Bip340];

/// The same in version 2.
pub fn version2(psbt: &Psbt) -> v2::Psbt {
    let mut out = v2::Creator::new().psbt();
    let tx = &psbt.unsigned_tx;
    out.global.fallback_lock_time = Some(tx.lock_time);
    for (input, fields) in tx.input.iter().zip(&psbt.inputs) {
        let mut made = v2::Input::new(&input.previous_output);
        made.sequence = Some(input.sequence);
        made.witness_utxo = fields.witness_utxo.clone();
        made.non_witness_utxo = fields.non_witness_utxo.clone();
        made.tap_internal_key = fields.tap_internal_key;
        out.inputs.push(made);
    }
    for (output, fields) in tx.output.iter().zip(&psbt.outputs) {
        let mut made = v2::Output::new(output.clone());
        made.tap_key_origins = fields.tap_key_origins.clone();
        out.outputs.push(made);
    }
    out.global.input_count = out.inputs.len();
    out.global.output_count = out.outputs.len();
    out
}

fn analyse_bytes(scheme: Scheme, bytes: Vec<u8>) -> Result<Analysis, ChainError> {
    let payload = Payload::BitcoinPsbt(bytes);
    analyse(&payload, Some(BITCOIN), scheme, &KEY.secp256k1(), false)
}

fn facts(psbt: &v2::Psbt) -> BitcoinFacts {
    match analyse_bytes(Scheme::Bip340, psbt.serialize())
        .unwrap()
        .facts
    {
        Facts::Bitcoin(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn refusal(change: impl FnOnce(&mut v2::Psbt)) -> &'static str {
    let mut psbt = version2(&usual_psbt(Scheme::Bip340, &KEY));
    change(&mut psbt);
    code(analyse_bytes(Scheme::Bip340, psbt.serialize()))
}

/// The global map's pairs as hexadecimal: length and key, length and value.
fn with_global(pairs: &[&str]) -> &'static str {
    let psbt = version2(&usual_psbt(Scheme::Bip340, &KEY));
    let bytes = psbt.serialize();
    // Version, transaction version, lock time, two counts, flags.
    let rest = &bytes[5 + 3 * 7 + 2 * 4 + 4..];
    assert_eq!(rest[0], 0);
    let head = hex::decode(format!("70736274ff{}", pairs.concat())).unwrap();
    match analyse_bytes(Scheme::Bip340, [&head, rest].concat()) {
        Ok(_) => "accepted",
        Err(error) => quorate_types::CodeSet::as_str(error.code()),
    }
}

#[test]
fn both_versions_say_and_sign_the_same() {
    for scheme in BOTH {
        let old = usual_psbt(scheme, &KEY);
        let bytes = version2(&old).serialize();
        let expected = analyse_psbt(scheme, &KEY, &old).unwrap();
        let read = analyse_bytes(scheme, bytes.clone()).unwrap();
        assert_eq!(read, expected);
        let signatures = KEY.sign_all(&read.items);
        let finish = |bytes| {
            let payload = Payload::BitcoinPsbt(bytes);
            assemble(
                &payload,
                Some(BITCOIN),
                scheme,
                &KEY.secp256k1(),
                &signatures,
            )
            .unwrap()
        };
        assert_eq!(finish(bytes), finish(old.serialize()));
    }
}

#[test]
fn absent_fields_have_the_defaults_of_bip370() {
    let mut psbt = version2(&usual_psbt(Scheme::Bip340, &KEY));
    psbt.global.fallback_lock_time = None;
    psbt.inputs
        .iter_mut()
        .for_each(|input| input.sequence = None);
    let facts = facts(&psbt);
    assert_eq!(facts.lock_time, 0);
    assert!(facts.inputs.iter().all(|i| i.sequence == Sequence::MAX.0));
}

#[test]
fn lock_times_are_determined_as_bip370_says() {
    let mut psbt = version2(&usual_psbt(Scheme::Bip340, &KEY));
    psbt.global.fallback_lock_time = Some(LockTime::from_consensus(7));
    assert_eq!(facts(&psbt).lock_time, 7);
    psbt.inputs[0].min_height = Some(Height::from_consensus(10_000).unwrap());
    assert_eq!(facts(&psbt).lock_time, 10_000);
    psbt.inputs[1].min_time = Some(Time::from_consensus(1_657_048_460).unwrap());
    let refused = analyse_bytes(Scheme::Bip340, psbt.serialize());
    assert_eq!(code(refused), "psbt-lock-time-conflict");
    psbt.inputs[1].min_height = Some(Height::from_consensus(9_000).unwrap());
    assert_eq!(facts(&psbt).lock_time, 10_000);
    psbt.inputs[0].min_time = Some(Time::from_consensus(1_657_048_459).unwrap());
    psbt.inputs[0].min_height = None;
    assert_eq!(facts(&psbt).lock_time, 1_657_048_460);
}

#[test]
fn t20_required_lock_times_out_of_range_are_refused() {
    let psbt = version2(&usual_psbt(Scheme::Bip340, &KEY));
    for (key_type, number) in [(0x12u8, 0u32), (0x12, 500_000_000), (0x11, 499_999_999)] {
        let mut psbt = psbt.clone();
        let key = v2_raw_key(key_type);
        psbt.inputs[0]
            .unknowns
            .insert(key, number.to_le_bytes().to_vec());
        let refused = analyse_bytes(Scheme::Bip340, psbt.serialize());
        assert_eq!(code(refused), "psbt-required-lock-time");
    }
}

fn v2_raw_key(type_value: u8) -> psbt_v2::raw::Key {
    psbt_v2::raw::Key {
        type_value,
        key: vec![],
    }
}

#[test]
fn t20_a_psbt_that_may_still_grow_is_refused() {
    for flags in [1, 2, 3, 4] {
        let refused = refusal(|p| p.global.tx_modifiable_flags = flags);
        assert_eq!(refused, "psbt-modifiable");
    }
}

#[test]
fn t20_unknown_fields_of_version_2_are_refused() {
    let expected = "psbt-unknown-field";
    let unknown = || v2_raw_key(0x60);
    assert_eq!(
        refusal(|p| drop(p.global.unknowns.insert(unknown(), vec![1]))),
        expected
    );
    assert_eq!(
        refusal(|p| drop(p.inputs[1].unknowns.insert(unknown(), vec![1]))),
        expected
    );
    assert_eq!(
        refusal(|p| drop(p.outputs[0].unknowns.insert(unknown(), vec![1]))),
        expected
    );
    // A type of version 2 with key data is another key.
    let key = psbt_v2::raw::Key {
        type_value: 0x10,
        key: vec![1],
    };
    assert_eq!(
        refusal(|p| drop(p.inputs[0].unknowns.insert(key, vec![0; 4]))),
        expected
    );
}

#[test]
fn t20_version_2_global_fields_are_read_strictly() {
    const VERSION: &str = "01fb0402000000";
    const TX_VERSION: &str = "01020402000000";
    const INPUTS: &str = "01040102";
    const OUTPUTS: &str = "01050102";
    assert_eq!(
        with_global(&[VERSION, TX_VERSION, INPUTS, OUTPUTS]),
        "accepted"
    );
    // Fields of a map have no order.
    assert_eq!(
        with_global(&[OUTPUTS, INPUTS, TX_VERSION, VERSION]),
        "accepted"
    );
    let bad: [&[&str]; 10] = [
        &[VERSION, TX_VERSION, INPUTS],
        &[VERSION, TX_VERSION, OUTPUTS],
        &[VERSION, INPUTS, OUTPUTS],
        // Twice the same key.
        &[VERSION, TX_VERSION, INPUTS, OUTPUTS, INPUTS],
        // A count in more bytes than needed, and the wrong count.
        &[VERSION, TX_VERSION, "010403fd0200", OUTPUTS],
        &[VERSION, TX_VERSION, "01040103", OUTPUTS],
        &[VERSION, TX_VERSION, "010409ffffffffffffffffff", OUTPUTS],
        // Transaction version 1, or of another length.
        &[VERSION, "01020401000000", INPUTS, OUTPUTS],
        &[VERSION, "0102050200000000", INPUTS, OUTPUTS],
        // An unsigned transaction of version 0.
        &[
            VERSION,
            TX_VERSION,
            INPUTS,
            OUTPUTS,
            "01000a02000000000000000000",
        ],
    ];
    for pairs in bad {
        assert_eq!(with_global(pairs), "psbt-malformed", "{pairs:?}");
    }
}

#[test]
fn t20_trailing_bytes_after_version_2_are_refused() {
    let mut bytes = version2(&usual_psbt(Scheme::Bip340, &KEY)).serialize();
    bytes.push(0);
    let refused = analyse_bytes(Scheme::Bip340, bytes.clone());
    assert_eq!(code(refused), "payload-trailing-bytes");
    bytes.truncate(bytes.len() - 2);
    assert_eq!(code(analyse_bytes(Scheme::Bip340, bytes)), "psbt-malformed");
}

#[test]
fn t20_checks_of_version_0_hold_for_version_2() {
    let foreign = refusal(|p| {
        p.inputs[0].witness_utxo.as_mut().unwrap().script_pubkey = foreign_script();
    });
    assert_eq!(foreign, "psbt-not-our-input");
    assert_eq!(
        refusal(|p| p.inputs[1].witness_utxo = None),
        "psbt-missing-witness-utxo"
    );
    let redeem = refusal(|p| p.inputs[0].redeem_script = Some(ScriptBuf::new()));
    assert_eq!(redeem, "psbt-unexpected-field");
    let more = refusal(|p| p.outputs[0].amount = bitcoin::Amount::from_sat(121_001));
    assert_eq!(more, "psbt-outputs-exceed-inputs");
    let same = refusal(|p| {
        p.inputs[1].spent_output_index = p.inputs[0].spent_output_index;
        p.inputs[1].witness_utxo = p.inputs[0].witness_utxo.clone();
    });
    assert_eq!(same, "psbt-duplicate-input");
}

proptest! {
    #![proptest_config(config())]

    /// The transaction that another implementation makes of version 2 is the one that is analysed here.
    #[test]
    fn version_2_is_the_same_transaction(
        amounts in proptest::collection::vec(1000u64..1_000_000, 1..4),
        locks in proptest::collection::vec((any::<Option<u16>>(), any::<Option<u16>>()), 4),
        fallback in any::<Option<u16>>(),
    ) {
        let scheme = Scheme::Bip340;
        let total: u64 = amounts.iter().sum();
        let outputs = [(foreign_script(), total / 2), (script(scheme, &KEY), total / 4)];
        let mut made = version2(&psbt(scheme, &KEY, &amounts, &outputs));
        made.global.fallback_lock_time = fallback.map(|f| LockTime::from_consensus(f.into()));
        for (input, (height, time)) in made.inputs.iter_mut().zip(locks) {
            input.min_height = height.map(|h| Height::from_consensus(u32::from(h) + 1).unwrap());
            input.min_time = time.map(|t| Time::from_consensus(u32::from(t) + 500_000_000).unwrap());
        }
        let read = analyse_bytes(scheme, made.serialize());
        match v2::Signer::new(made) {
            Ok(theirs) => {
                let Facts::Bitcoin(facts) = read.unwrap().facts else {
                    panic!("not bitcoin");
                };
                prop_assert_eq!(facts.txid, theirs.unsigned_tx().compute_txid().to_string());
            }
            Err(_) => prop_assert_eq!(code(read), "psbt-lock-time-conflict"),
        }
    }
}
