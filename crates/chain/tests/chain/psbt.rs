use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::psbt::raw;
use bitcoin::psbt::{Psbt, PsbtSighashType};
use bitcoin::{Amount, ScriptBuf, Sequence, TapNodeHash, Witness};
use quorate_chain::facts::BitcoinFacts;
use quorate_chain::{Facts, SigningMessage, TaprootTweak, analyse};
use quorate_types::{Payload, Scheme};

use crate::common::{
    BITCOIN, LocalKey, analyse_psbt, code, digest, foreign_script, psbt, script, usual_psbt,
};

const KEY: LocalKey = LocalKey::new(0x21);
const BOTH: [Scheme; 2] = [Scheme::Ecdsa, Scheme::Bip340];

fn refusal(scheme: Scheme, change: impl FnOnce(&mut Psbt)) -> &'static str {
    let mut psbt = usual_psbt(scheme, &KEY);
    change(&mut psbt);
    code(analyse_psbt(scheme, &KEY, &psbt))
}

fn facts(scheme: Scheme, psbt: &Psbt) -> BitcoinFacts {
    match analyse_psbt(scheme, &KEY, psbt).unwrap().facts {
        Facts::Bitcoin(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn bytes_refusal(bytes: Vec<u8>) -> &'static str {
    let payload = Payload::BitcoinPsbt(bytes);
    code(analyse(
        &payload,
        Some(BITCOIN),
        Scheme::Bip340,
        &KEY.secp256k1(),
        false,
    ))
}

#[test]
fn facts_say_what_is_paid_returned_and_burnt() {
    for (scheme, vsize) in [(Scheme::Ecdsa, 209), (Scheme::Bip340, 212)] {
        let psbt = usual_psbt(scheme, &KEY);
        let facts = facts(scheme, &psbt);
        assert_eq!((facts.sent, facts.fee), (120_000, 1000));
        assert_eq!(facts.inputs.len(), 2);
        assert_eq!(facts.inputs[1].amount, 50_000);
        assert_eq!(
            facts.inputs[0].outpoint,
            psbt.unsigned_tx.input[0].previous_output.to_string()
        );
        let change: Vec<_> = facts.outputs.iter().map(|o| o.change).collect();
        assert_eq!(change, [false, true]);
        assert!(facts.replaceable && !facts.lock_time_enforced);
        assert!(facts.estimated_vsize.abs_diff(vsize) <= 20, "{facts:?}");
        assert_eq!(facts.fee_rate, 1000u64.div_ceil(facts.estimated_vsize));
        assert_eq!(facts.txid, psbt.unsigned_tx.compute_txid().to_string());
        let lines = Facts::Bitcoin(facts).summary_lines();
        assert!(lines[0].starts_with("send 0.0012 BTC to bc1q"), "{lines:?}");
        assert!(lines[1].starts_with("return 0.00029 BTC to our own bc1"));
        assert!(lines[2].starts_with("fee 0.00001 BTC"));
    }
}

#[test]
fn lock_times_and_finality_are_facts() {
    let mut psbt = usual_psbt(Scheme::Bip340, &KEY);
    psbt.unsigned_tx.lock_time = LockTime::from_consensus(900_000);
    assert!(facts(Scheme::Bip340, &psbt).lock_time_enforced);
    for input in &mut psbt.unsigned_tx.input {
        input.sequence = Sequence::MAX;
    }
    let facts = facts(Scheme::Bip340, &psbt);
    assert_eq!(facts.lock_time, 900_000);
    assert!(!facts.lock_time_enforced && !facts.replaceable);
}

#[test]
fn t20_outputs_without_an_address_and_foreign_change_are_facts() {
    let outputs = [
        (ScriptBuf::new_op_return([1, 2, 3]), 0),
        (foreign_script(), 90_000),
    ];
    let psbt = psbt(Scheme::Bip340, &KEY, &[100_000], &outputs);
    let facts = facts(Scheme::Bip340, &psbt);
    assert_eq!(facts.outputs[0].address, None);
    assert!(facts.outputs.iter().all(|output| !output.change));
    assert_eq!((facts.sent, facts.fee), (90_000, 10_000));
}

#[test]
fn each_input_is_one_item() {
    for scheme in BOTH {
        let items = analyse_psbt(scheme, &KEY, &usual_psbt(scheme, &KEY))
            .unwrap()
            .items;
        let indices: Vec<_> = items.iter().map(|item| item.index()).collect();
        assert_eq!(indices, [0, 1]);
        assert_ne!(items[0].message(), items[1].message());
        for item in items {
            let bip86 = matches!(
                item.message(),
                SigningMessage::Bip340 {
                    tweak: TaprootTweak::Bip86,
                    ..
                }
            );
            assert_eq!(bip86, scheme == Scheme::Bip340);
        }
    }
}

/// Another way through the library: it finds script, amount and sighash type in the PSBT by itself.
#[test]
fn sighashes_agree_with_the_psbt_library() {
    let psbt = usual_psbt(Scheme::Ecdsa, &KEY);
    let items = analyse_psbt(Scheme::Ecdsa, &KEY, &psbt).unwrap().items;
    let mut cache = bitcoin::sighash::SighashCache::new(&psbt.unsigned_tx);
    for (index, item) in items.iter().enumerate() {
        let (message, _) = psbt.sighash_ecdsa(index, &mut cache).unwrap();
        assert_eq!(digest(item.message()), *message.as_ref());
    }
}

#[test]
fn key_origins_are_accepted() {
    let mut psbt = usual_psbt(Scheme::Ecdsa, &KEY);
    let key = secp256k1::PublicKey::from_slice(KEY.secp256k1().as_bytes()).unwrap();
    let origin = ([1, 2, 3, 4].into(), "m/84h/0h/0h/0/0".parse().unwrap());
    psbt.inputs[0].bip32_derivation.insert(key, origin);
    assert!(analyse_psbt(Scheme::Ecdsa, &KEY, &psbt).is_ok());
    let mut psbt = usual_psbt(Scheme::Bip340, &KEY);
    psbt.inputs[0].tap_internal_key = Some(key.x_only_public_key().0);
    assert!(analyse_psbt(Scheme::Bip340, &KEY, &psbt).is_ok());
}

#[test]
fn t20_trailing_bytes_after_a_psbt_are_refused() {
    let mut bytes = usual_psbt(Scheme::Bip340, &KEY).serialize();
    bytes.push(0);
    assert_eq!(bytes_refusal(bytes), "payload-trailing-bytes");
}

#[test]
fn i02_a_psbt_that_does_not_encode_to_the_same_bytes_is_refused() {
    // An explicit version 0 is allowed by BIP-174 but not what the library writes.
    let bytes = usual_psbt(Scheme::Bip340, &KEY).serialize();
    let separator = 5 + 3 + usize::from(bytes[7]);
    assert_eq!(bytes[separator], 0);
    let version = [1, 0xfb, 4, 0, 0, 0, 0];
    let padded = [&bytes[..separator], &version, &bytes[separator..]].concat();
    assert_eq!(bytes_refusal(padded), "payload-not-canonical");
}

#[test]
fn t20_other_psbt_versions_are_refused() {
    // BIP-370: transaction version, input count, output count, PSBT version; no unsigned transaction.
    for version in [1, 3] {
        let global = format!("70736274ff01020402000000010401010105010101fb04{version:02x}00000000");
        let bytes = hex::decode(global).unwrap();
        assert_eq!(bytes_refusal(bytes), "psbt-unsupported-version");
    }
}

#[test]
fn t20_bytes_that_are_no_psbt_are_refused() {
    assert_eq!(bytes_refusal(Vec::new()), "psbt-malformed");
    assert_eq!(bytes_refusal(b"psbt\xff".to_vec()), "psbt-malformed");
    assert_eq!(bytes_refusal(vec![0x30; 64]), "psbt-malformed");
}

#[test]
fn t20_unknown_and_proprietary_fields_are_refused() {
    let unknown = || raw::Key {
        type_value: 0x60,
        key: vec![1],
    };
    let proprietary = || raw::ProprietaryKey {
        prefix: b"x".to_vec(),
        subtype: 1,
        key: vec![],
    };
    let expected = "psbt-unknown-field";
    let scheme = Scheme::Bip340;
    assert_eq!(
        refusal(scheme, |p| drop(p.unknown.insert(unknown(), vec![1]))),
        expected
    );
    assert_eq!(
        refusal(scheme, |p| drop(
            p.proprietary.insert(proprietary(), vec![1])
        )),
        expected
    );
    assert_eq!(
        refusal(scheme, |p| drop(
            p.inputs[1].unknown.insert(unknown(), vec![1])
        )),
        expected
    );
    assert_eq!(
        refusal(scheme, |p| drop(
            p.inputs[1].proprietary.insert(proprietary(), vec![1])
        )),
        expected
    );
    assert_eq!(
        refusal(scheme, |p| drop(
            p.outputs[0].unknown.insert(unknown(), vec![1])
        )),
        expected
    );
}

#[test]
fn t20_fields_of_other_input_kinds_are_refused() {
    let expected = "psbt-unexpected-field";
    let scheme = Scheme::Bip340;
    assert_eq!(
        refusal(scheme, |p| p.inputs[0].redeem_script =
            Some(ScriptBuf::new())),
        expected
    );
    assert_eq!(
        refusal(scheme, |p| p.inputs[0].witness_script =
            Some(ScriptBuf::new())),
        expected
    );
    assert_eq!(
        refusal(scheme, |p| {
            p.inputs[0].tap_merkle_root = Some(TapNodeHash::from_byte_array([1; 32]));
        }),
        expected
    );
    let preimage = |p: &mut Psbt| {
        let hash = bitcoin::hashes::sha256::Hash::hash(&[1]);
        p.inputs[0].sha256_preimages.insert(hash, vec![1]);
    };
    assert_eq!(refusal(scheme, preimage), expected);
}

#[test]
fn t20_a_missing_witness_utxo_is_refused() {
    for scheme in BOTH {
        assert_eq!(
            refusal(scheme, |p| p.inputs[1].witness_utxo = None),
            "psbt-missing-witness-utxo"
        );
    }
}

/// The fee attack on BIP-143: amounts that the other inputs' signatures do not cover.
#[test]
fn t20_p2wpkh_without_the_previous_transaction_is_refused() {
    assert_eq!(
        refusal(Scheme::Ecdsa, |p| p.inputs[1].non_witness_utxo = None),
        "psbt-missing-previous-transaction"
    );
    assert_eq!(
        refusal(Scheme::Ecdsa, |p| {
            let utxo = p.inputs[1].witness_utxo.as_mut().unwrap();
            utxo.value = Amount::from_sat(49_000);
        }),
        "psbt-utxo-mismatch"
    );
    assert_eq!(
        refusal(Scheme::Ecdsa, |p| {
            let previous = p.inputs[1].non_witness_utxo.as_mut().unwrap();
            previous.output[1].value = Amount::from_sat(49_000);
        }),
        "psbt-wrong-previous-transaction"
    );
}

#[test]
fn t20_a_wrong_amount_of_a_taproot_input_changes_every_digest() {
    let mut psbt = usual_psbt(Scheme::Bip340, &KEY);
    let honest = analyse_psbt(Scheme::Bip340, &KEY, &psbt).unwrap();
    psbt.inputs[1].witness_utxo.as_mut().unwrap().value = Amount::from_sat(60_000);
    let lied = analyse_psbt(Scheme::Bip340, &KEY, &psbt).unwrap();
    for (a, b) in honest.items.iter().zip(&lied.items) {
        assert_ne!(a.message(), b.message());
    }
}

#[test]
fn t20_inputs_of_another_key_are_refused_by_name() {
    let mut psbt = usual_psbt(Scheme::Bip340, &KEY);
    psbt.inputs[1].witness_utxo.as_mut().unwrap().script_pubkey = foreign_script();
    let error = analyse_psbt(Scheme::Bip340, &KEY, &psbt).unwrap_err();
    assert_eq!(error.code().to_string(), "psbt-not-our-input");
    assert!(error.to_string().starts_with("input 1 "), "{error}");
    let psbt = usual_psbt(Scheme::Ecdsa, &LocalKey::new(3));
    let refused = analyse_psbt(Scheme::Ecdsa, &KEY, &psbt);
    assert_eq!(code(refused), "psbt-not-our-input");
}

#[test]
fn t20_a_foreign_internal_key_is_refused() {
    let other = secp256k1::PublicKey::from_slice(LocalKey::new(5).secp256k1().as_bytes());
    let other = other.unwrap().x_only_public_key().0;
    assert_eq!(
        refusal(Scheme::Bip340, |p| p.inputs[0].tap_internal_key =
            Some(other)),
        "psbt-wrong-internal-key"
    );
}

#[test]
fn t20_sighash_types_other_than_all_are_refused() {
    for sighash in [0u32, 2, 3, 0x81, 0x82, 0x83, 0x41, 0x101] {
        for scheme in BOTH {
            if scheme == Scheme::Bip340 && sighash == 0 {
                continue;
            }
            let set = |p: &mut Psbt| {
                p.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(sighash));
            };
            assert_eq!(refusal(scheme, set), "psbt-sighash-type", "{sighash:#x}");
        }
    }
    for scheme in BOTH {
        let mut psbt = usual_psbt(scheme, &KEY);
        psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(1));
        assert!(analyse_psbt(scheme, &KEY, &psbt).is_ok());
    }
}

#[test]
fn t20_signed_inputs_are_refused() {
    let expected = "psbt-already-signed";
    let scheme = Scheme::Bip340;
    assert_eq!(
        refusal(scheme, |p| p.inputs[0].final_script_witness =
            Some(Witness::from_slice(&[[1u8; 64]]))),
        expected
    );
    assert_eq!(
        refusal(scheme, |p| p.inputs[0].final_script_sig =
            Some(ScriptBuf::new())),
        expected
    );
    let tap_sig = bitcoin::taproot::Signature::from_slice(&[1; 64]).unwrap();
    assert_eq!(
        refusal(scheme, |p| p.inputs[0].tap_key_sig = Some(tap_sig)),
        expected
    );
    let partial = |p: &mut Psbt| {
        let key = bitcoin::PublicKey::from_slice(KEY.secp256k1().as_bytes()).unwrap();
        let compact = KEY.ecdsa(&[1; 32]).to_compact();
        let signature = bitcoin::ecdsa::Signature::sighash_all(
            secp256k1::ecdsa::Signature::from_compact(&compact).unwrap(),
        );
        p.inputs[0].partial_sigs.insert(key, signature);
    };
    assert_eq!(refusal(Scheme::Ecdsa, partial), expected);
}

#[test]
fn t20_outputs_above_the_inputs_are_refused() {
    assert_eq!(
        refusal(Scheme::Bip340, |p| {
            p.unsigned_tx.output[0].value = Amount::from_sat(121_001);
        }),
        "psbt-outputs-exceed-inputs"
    );
    for absurd in [Amount::MAX_MONEY, Amount::from_sat(u64::MAX)] {
        assert_eq!(
            refusal(Scheme::Bip340, |p| p.unsigned_tx.output[0].value = absurd),
            "psbt-amount-out-of-range"
        );
    }
}

#[test]
fn t20_duplicate_and_missing_inputs_are_refused() {
    assert_eq!(
        refusal(Scheme::Bip340, |p| {
            p.unsigned_tx.input[1].previous_output = p.unsigned_tx.input[0].previous_output;
        }),
        "psbt-duplicate-input"
    );
    let empty = psbt(Scheme::Bip340, &KEY, &[100_000], &[]);
    assert_eq!(
        code(analyse_psbt(Scheme::Bip340, &KEY, &empty)),
        "psbt-empty"
    );
}

#[test]
fn own_script_depends_on_the_scheme() {
    let psbt = usual_psbt(Scheme::Ecdsa, &KEY);
    assert_ne!(script(Scheme::Ecdsa, &KEY), script(Scheme::Bip340, &KEY));
    let refused = analyse_psbt(Scheme::Bip340, &KEY, &psbt);
    assert_eq!(code(refused), "psbt-not-our-input");
}
