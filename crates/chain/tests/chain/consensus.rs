//! Bitcoin Core's own verification judges what is assembled.

use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::psbt::PsbtSighashType;
use bitcoin::{Amount, Psbt, Transaction, TxOut};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use quorate_chain::{Assembled, ChainError};
use quorate_types::{Payload, Scheme, Signature};

use crate::common::{
    BITCOIN, LocalKey, analyse_psbt, assemble, code, foreign_script, psbt, usual_psbt,
};

const KEY: LocalKey = LocalKey::new(0x21);
const BOTH: [Scheme; 2] = [Scheme::Ecdsa, Scheme::Bip340];

fn sign(scheme: Scheme, psbt: &Psbt) -> Vec<Signature> {
    KEY.sign_all(&analyse_psbt(scheme, &KEY, psbt).unwrap().items)
}

fn finish(scheme: Scheme, psbt: &Psbt, signatures: &[Signature]) -> Result<Assembled, ChainError> {
    let payload = Payload::BitcoinPsbt(psbt.serialize());
    assemble(
        &payload,
        Some(BITCOIN),
        scheme,
        &KEY.secp256k1(),
        signatures,
    )
}

fn spent(psbt: &Psbt) -> Vec<TxOut> {
    let utxos = psbt.inputs.iter().map(|input| input.witness_utxo.clone());
    utxos.collect::<Option<_>>().unwrap()
}

/// Whether every input is a valid spend by consensus, taproot included.
fn consensus_accepts(tx: &[u8], spent: &[TxOut]) -> bool {
    let utxos: Vec<Utxo> = spent
        .iter()
        .map(|output| Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: u32::try_from(output.script_pubkey.len()).unwrap(),
            value: i64::try_from(output.value.to_sat()).unwrap(),
        })
        .collect();
    let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
    spent.iter().enumerate().all(|(index, output)| {
        let script = output.script_pubkey.as_bytes();
        let amount = output.value.to_sat();
        verify_with_flags(script, amount, tx, Some(&utxos), index, flags).is_ok()
    })
}

#[test]
fn assembled_transactions_are_valid_by_consensus() {
    for scheme in BOTH {
        for amounts in [&[150_000][..], &[100_000, 50_000], &[1000; 150]] {
            let psbt = psbt(scheme, &KEY, amounts, &[(foreign_script(), 149_000)]);
            let done = finish(scheme, &psbt, &sign(scheme, &psbt)).unwrap();
            assert!(consensus_accepts(&done.bytes, &spent(&psbt)), "{scheme}");
            let tx: Transaction = deserialize(&done.bytes).unwrap();
            assert_eq!(done.id, tx.compute_txid().to_string());
            assert_eq!(done.id, psbt.unsigned_tx.compute_txid().to_string());
        }
    }
}

#[test]
fn an_explicit_sighash_all_is_valid_by_consensus() {
    for scheme in BOTH {
        let mut psbt = usual_psbt(scheme, &KEY);
        psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(1));
        let done = finish(scheme, &psbt, &sign(scheme, &psbt)).unwrap();
        assert!(consensus_accepts(&done.bytes, &spent(&psbt)), "{scheme}");
    }
}

#[test]
fn tampered_transactions_are_not_valid_by_consensus() {
    for scheme in BOTH {
        let psbt = usual_psbt(scheme, &KEY);
        let done = finish(scheme, &psbt, &sign(scheme, &psbt)).unwrap();
        let tx: Transaction = deserialize(&done.bytes).unwrap();
        let changes: [fn(&mut Transaction); 4] = [
            |tx| tx.output[0].value -= Amount::ONE_SAT,
            |tx| tx.output.truncate(1),
            |tx| tx.input[1].sequence.0 -= 1,
            |tx| tx.input.iter_mut().for_each(|i| i.witness.clear()),
        ];
        for change in changes {
            let mut tampered = tx.clone();
            change(&mut tampered);
            assert!(!consensus_accepts(&serialize(&tampered), &spent(&psbt)));
        }
        let mut other_amount = spent(&psbt);
        other_amount[1].value += Amount::ONE_SAT;
        assert!(!consensus_accepts(&done.bytes, &other_amount));
    }
}

#[test]
fn the_estimated_size_is_never_below_the_real_one() {
    for scheme in BOTH {
        let psbt = usual_psbt(scheme, &KEY);
        let done = finish(scheme, &psbt, &sign(scheme, &psbt)).unwrap();
        let tx: Transaction = deserialize(&done.bytes).unwrap();
        let facts = analyse_psbt(scheme, &KEY, &psbt).unwrap().facts;
        let quorate_chain::Facts::Bitcoin(facts) = facts else {
            panic!("{facts:?}");
        };
        let real = u64::try_from(tx.vsize()).unwrap();
        assert!(facts.estimated_vsize >= real);
        assert!(facts.estimated_vsize - real <= 2);
    }
}

#[test]
fn a_bad_signature_is_refused_by_its_item() {
    for scheme in BOTH {
        let psbt = usual_psbt(scheme, &KEY);
        let mut signatures = sign(scheme, &psbt);
        signatures.swap(0, 1);
        let error = finish(scheme, &psbt, &signatures).unwrap_err();
        assert!(matches!(error, ChainError::BadSignature { item: 0, .. }));
        let mut signatures = sign(scheme, &psbt);
        signatures[1] = signatures[0];
        let error = finish(scheme, &psbt, &signatures).unwrap_err();
        assert!(matches!(error, ChainError::BadSignature { item: 1, .. }));
        assert_eq!(error.code().to_string(), "signature-invalid");
    }
}

#[test]
fn a_wrong_number_of_signatures_is_refused() {
    let psbt = usual_psbt(Scheme::Bip340, &KEY);
    let signatures = sign(Scheme::Bip340, &psbt);
    for wrong in [&signatures[..1], &[], &[signatures[0]; 3]] {
        let refused = finish(Scheme::Bip340, &psbt, wrong);
        assert_eq!(code(refused), "signature-count");
    }
}
