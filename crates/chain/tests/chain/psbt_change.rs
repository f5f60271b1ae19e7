//! Change to other children of the root key, and T20, key origins that lie about it.

use bitcoin::bip32::KeySource;
use bitcoin::{Psbt, ScriptBuf};
use quorate_chain::facts::{BitcoinFacts, BitcoinOutput};
use quorate_chain::hd::derive_child;
use quorate_chain::{Analysis, Facts, analyse_for, script_pubkey};
use quorate_types::{BitcoinNetwork, DerivationPath, Payload, PublicKey, Scheme};

use crate::common::{BITCOIN, LocalKey, foreign_script, psbt_from, record};

const ROOT: LocalKey = LocalKey::new(0x21);
const BOTH: [Scheme; 2] = [Scheme::Ecdsa, Scheme::Bip340];
/// Where the inputs are.
const SIGNING: &str = "m/0/3";

fn child(path: &str) -> PublicKey {
    let path: DerivationPath = path.parse().unwrap();
    derive_child(&ROOT.secp256k1(), &[7; 32], &path).unwrap()
}

fn script_at(scheme: Scheme, path: &str) -> ScriptBuf {
    let bytes = script_pubkey(BitcoinNetwork::Mainnet, scheme, &child(path)).unwrap();
    ScriptBuf::from_bytes(bytes)
}

fn fingerprint() -> [u8; 4] {
    let hash = bitcoin::hashes::hash160::Hash::hash(ROOT.secp256k1().as_bytes());
    use bitcoin::hashes::Hash as _;
    hash.to_byte_array()[..4].try_into().unwrap()
}

fn origin(path: &str) -> KeySource {
    (fingerprint().into(), path.parse().unwrap())
}

/// Writes a key origin for a child into an output.
fn tell(scheme: Scheme, psbt: &mut Psbt, output: usize, key: &PublicKey, origin: KeySource) {
    let key = secp256k1::PublicKey::from_slice(key.as_bytes()).unwrap();
    let fields = &mut psbt.outputs[output];
    if scheme == Scheme::Bip340 {
        let key = key.x_only_public_key().0;
        fields.tap_key_origins.insert(key, (vec![], origin));
    } else {
        fields.bip32_derivation.insert(key, origin);
    }
}

/// Spends 100 000 sat at the signing path: 60 000 to `change`, 39 000 to somebody.
fn spending(scheme: Scheme, change: &ScriptBuf) -> Psbt {
    let outputs = [(foreign_script(), 39_000), (change.clone(), 60_000)];
    psbt_from(scheme, &script_at(scheme, SIGNING), &[100_000], &outputs)
}

fn analysed(scheme: Scheme, psbt: &Psbt) -> Analysis {
    let payload = Payload::BitcoinPsbt(psbt.serialize());
    let path = SIGNING.parse().unwrap();
    let record = record(scheme, ROOT.secp256k1(), [7; 32]);
    analyse_for(&payload, Some(BITCOIN), &record, &path)
        .unwrap()
        .1
}

fn facts(analysis: &Analysis) -> &BitcoinFacts {
    match &analysis.facts {
        Facts::Bitcoin(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn second(scheme: Scheme, psbt: &Psbt) -> BitcoinOutput {
    facts(&analysed(scheme, psbt)).outputs[1].clone()
}

#[test]
fn t20_another_child_is_known_by_its_path_and_paid_like_anybody() {
    for scheme in BOTH {
        for path in ["m/1/5", "m", "m/1/2/3/4/5/6/7/8/9/10"] {
            let mut psbt = spending(scheme, &script_at(scheme, path));
            tell(scheme, &mut psbt, 1, &child(path), origin(path));
            let analysis = analysed(scheme, &psbt);
            let output = &facts(&analysis).outputs[1];
            assert!(!output.change);
            assert_eq!(output.path.as_ref().unwrap().to_string(), path);
            assert_eq!(facts(&analysis).sent, 99_000);
            let [foreign, own] = analysis.effects.movements.as_slice() else {
                panic!("{:?}", analysis.effects.movements);
            };
            assert_eq!(own.own, output.path);
            assert_eq!(foreign.own, None);
            let line = &analysis.facts.summary_lines()[1];
            assert!(line.starts_with("send 0.0006 BTC to bc1"), "{line}");
            assert!(
                line.ends_with(&format!("a child of this key at {path}")),
                "{line}"
            );
        }
    }
}

/// Whether it is known as another child of the signing key's root.
fn is_child(output: &BitcoinOutput) -> bool {
    output.path.is_some()
}

#[test]
fn change_to_the_signing_key_needs_no_origin() {
    for scheme in BOTH {
        let output = second(scheme, &spending(scheme, &script_at(scheme, SIGNING)));
        assert!(output.change && output.path.is_none());
    }
}

#[test]
fn without_an_origin_another_child_is_foreign() {
    for scheme in BOTH {
        let output = second(scheme, &spending(scheme, &script_at(scheme, "m/1/5")));
        assert!(!output.change && output.path.is_none());
    }
}

/// Everything about the hint may be right except the script that is paid.
#[test]
fn t20_change_to_a_foreign_address_with_a_lying_key_origin() {
    for scheme in BOTH {
        let mut psbt = spending(scheme, &foreign_script());
        for key in [child("m/1/5"), LocalKey::new(0x77).secp256k1()] {
            tell(scheme, &mut psbt, 1, &key, origin("m/1/5"));
            let analysis = analysed(scheme, &psbt);
            assert!(!is_child(&facts(&analysis).outputs[1]));
            assert_eq!(facts(&analysis).sent, 99_000);
            assert_eq!(analysis.effects.movements.len(), 2);
        }
    }
}

#[test]
fn t20_origins_that_are_not_ours_or_hardened_are_not_followed() {
    for scheme in BOTH {
        let script = script_at(scheme, "m/1/5");
        let mut other_root = spending(scheme, &script);
        let other = ([1, 2, 3, 4].into(), "m/1/5".parse().unwrap());
        tell(scheme, &mut other_root, 1, &child("m/1/5"), other);
        assert!(!is_child(&second(scheme, &other_root)));
        for path in [
            "m/1h/5",
            "m/84h/0h/0h/1/5",
            "m/1/2/3/4/5/6/7/8/9/10/11",
            "m/1/6",
        ] {
            let mut psbt = spending(scheme, &script);
            tell(scheme, &mut psbt, 1, &child("m/1/5"), origin(path));
            assert!(!is_child(&second(scheme, &psbt)), "{path}");
        }
    }
}

/// The script counts, not the key that the field is filed under.
#[test]
fn t20_the_key_of_an_origin_is_not_believed() {
    for scheme in BOTH {
        let mut psbt = spending(scheme, &script_at(scheme, "m/1/5"));
        let other = LocalKey::new(0x77).secp256k1();
        tell(scheme, &mut psbt, 1, &other, origin("m/1/5"));
        assert!(is_child(&second(scheme, &psbt)));
    }
}

/// The same child under the other scheme is another script.
#[test]
fn t20_change_of_another_script_type_is_foreign() {
    for (scheme, other) in [
        (Scheme::Ecdsa, Scheme::Bip340),
        (Scheme::Bip340, Scheme::Ecdsa),
    ] {
        let mut psbt = spending(scheme, &script_at(other, "m/1/5"));
        tell(scheme, &mut psbt, 1, &child("m/1/5"), origin("m/1/5"));
        assert!(!is_child(&second(scheme, &psbt)));
    }
}

#[test]
fn t20_an_origin_on_one_output_does_not_cover_another() {
    let scheme = Scheme::Bip340;
    let mut psbt = spending(scheme, &script_at(scheme, "m/1/5"));
    tell(scheme, &mut psbt, 0, &child("m/1/5"), origin("m/1/5"));
    let read = analysed(scheme, &psbt);
    let outputs = &facts(&read).outputs;
    assert!(
        outputs
            .iter()
            .all(|output| !output.change && !is_child(output))
    );
}

#[test]
fn version_2_outputs_carry_origins_too() {
    let scheme = Scheme::Bip340;
    let mut psbt = spending(scheme, &script_at(scheme, "m/1/5"));
    tell(scheme, &mut psbt, 1, &child("m/1/5"), origin("m/1/5"));
    let bytes = crate::psbt_version2::version2(&psbt).serialize();
    let record = record(scheme, ROOT.secp256k1(), [7; 32]);
    let path = SIGNING.parse().unwrap();
    let payload = Payload::BitcoinPsbt(bytes);
    let (_, read) = analyse_for(&payload, Some(BITCOIN), &record, &path).unwrap();
    assert_eq!(read, analysed(scheme, &psbt));
}

/// As many outputs as a payload holds, each with the deepest path there is.
#[test]
fn t13_derivations_are_bounded() {
    let scheme = Scheme::Bip340;
    let path = "m/1/2/3/4/5/6/7/8/9/10";
    let outputs = vec![(script_at(scheme, path), 1); 512];
    let mut psbt = psbt_from(scheme, &script_at(scheme, SIGNING), &[100_000], &outputs);
    let key = child(path);
    for output in 0..outputs.len() {
        tell(scheme, &mut psbt, output, &key, origin(path));
    }
    let read = analysed(scheme, &psbt);
    let derived = facts(&read)
        .outputs
        .iter()
        .filter(|output| is_child(output));
    assert_eq!(derived.count(), 100);
    assert_eq!(read.effects.movements.len(), 512);
}

/// More than is judged, whatever it costs to judge it.
#[test]
fn t34_inputs_and_outputs_are_bounded() {
    let scheme = Scheme::Bip340;
    let script = script_at(scheme, SIGNING);
    let analyse = |inputs: usize, outputs: usize| {
        let outputs = vec![(foreign_script(), 1); outputs];
        let psbt = psbt_from(scheme, &script, &vec![1_000; inputs], &outputs);
        let payload = Payload::BitcoinPsbt(psbt.serialize());
        let record = record(scheme, ROOT.secp256k1(), [7; 32]);
        let path = SIGNING.parse().unwrap();
        analyse_for(&payload, Some(BITCOIN), &record, &path).map(drop)
    };
    assert_eq!(analyse(256, 512), Ok(()));
    for (inputs, outputs) in [(257, 1), (1, 513), (1, 7_000)] {
        let error = analyse(inputs, outputs).unwrap_err();
        assert_eq!(
            error.code(),
            quorate_types::PayloadCode::PayloadTooManyParts
        );
    }
}
