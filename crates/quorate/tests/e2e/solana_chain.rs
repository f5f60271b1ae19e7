//! A transfer that Solana's own runtime executes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::chains::litesvm;
use crate::support::payloads::{SOLANA_SOMEONE, solana_transfer};
use crate::support::{Cluster, Setup};

const LAMPORTS: u64 = 250_000_000;

#[test]
fn a_transfer_executes_in_solanas_runtime_and_a_tampered_one_does_not() {
    let cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("sol", "ed25519", &[]);
    let shown = cluster.json(&["address", "--key", "sol", "--chain", "solana"]);
    let address = shown["address"].as_str().unwrap();
    let key = bitcoin::base58::decode(address).unwrap();
    let message = solana_transfer(&key, &[0x77; 32], LAMPORTS);
    let file = cluster.write("transfer.b64", STANDARD.encode(&message));
    let signed = cluster.json(&["sign", "--key", "sol", "--chain", "solana", "--in", &file]);
    let wire = STANDARD.decode(signed["signed"].as_str().unwrap()).unwrap();
    assert!(wire.ends_with(&message), "the message is signed as it is");

    let flipped = |at: usize| {
        let mut bytes = wire.clone();
        bytes[at] ^= 1;
        STANDARD.encode(bytes)
    };
    let (in_signature, in_amount) = (flipped(30), flipped(wire.len() - 8));
    let to = bitcoin::base58::encode(&SOLANA_SOMEONE);
    let said = litesvm(
        address,
        &to,
        &[in_signature, in_amount, STANDARD.encode(&wire)],
    );
    assert!(said[0].starts_with("refused"), "{said:?}");
    assert!(said[1].starts_with("refused"), "{said:?}");
    assert_eq!(said[2], format!("ok {LAMPORTS}"), "{said:?}");
}
