//! What every target has in common: the keys that the seeds are for, and what must hold of every analysis.

use quorate_chain::{Analysis, ChainError, Danger, Facts, Reading, analyse_for};
use quorate_types::{
    Curve, DerivationPath, Hash32, KeyId, KeyName, KeyRecord, Network, Payload, PublicKey, Scheme,
    Threshold,
};

/// Ethereum's main network.
pub const ETHEREUM: Network = Network::Evm { chain_id: 1 };

/// The generators of the two groups, the keys with the secret 1; the corpus of the chain crate has them as root keys as well.
const SECP256K1: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const ED25519: &str = "5866666666666666666666666666666666666666666666666666666666666666";
const CHAIN_CODE: [u8; 32] = [7; 32];
const PATH: &str = "m/0/3";

/// The record of the root key of a scheme, which may sign raw bytes where no network is named.
fn record(scheme: Scheme, raw_signing: bool) -> KeyRecord {
    let (curve, hex) = match scheme {
        Scheme::Eddsa => (Curve::Ed25519, ED25519),
        Scheme::Ecdsa | Scheme::Bip340 => (Curve::Secp256k1, SECP256K1),
    };
    let public_key = PublicKey::new(curve, &hex::decode(hex).unwrap()).unwrap();
    KeyRecord {
        id: KeyId::from_bytes([1; 32]),
        name: KeyName::new("key").unwrap(),
        scheme,
        chain_code: Hash32::from_bytes(CHAIN_CODE),
        epoch: 0,
        threshold: Threshold::new(2, 2).unwrap(),
        committee: Vec::new(),
        public_shares: vec![public_key.clone(); 2],
        public_key,
        raw_signing,
        created_at: 1,
    }
}

/// Analyses a payload as an agent does: Bitcoin's key is below the root, the others, for speed, are the root itself.
pub fn analysed(
    payload: &Payload,
    network: Option<Network>,
    scheme: Scheme,
) -> Result<Analysis, ChainError> {
    let path: DerivationPath = match network {
        Some(Network::Bitcoin(_)) => PATH.parse().unwrap(),
        _ => DerivationPath::root(),
    };
    let record = record(scheme, network.is_none());
    analyse_for(payload, network, &record, &path).map(|(_, analysis)| analysis)
}

/// Analyses and checks what holds of every analysis; `None` for what is refused.
pub fn accepted(payload: &Payload, network: Option<Network>, scheme: Scheme) -> Option<Analysis> {
    let analysis = analysed(payload, network, scheme).ok()?;
    assert!(!analysis.items.is_empty());
    assert_eq!(analysis.effects, analysis.facts.effects());
    let not_decoded = |call: &quorate_chain::Call| call.reading != Reading::Decoded;
    if analysis.effects.calls.iter().any(not_decoded) {
        assert!(analysis.effects.dangers.contains(&Danger::Undecodable));
    }
    for line in analysis.facts.summary_lines() {
        assert!(
            !line.chars().any(char::is_control),
            "control character: {line:?}"
        );
    }
    let json = serde_json::to_string(&analysis.facts).unwrap();
    assert_eq!(
        serde_json::from_str::<Facts>(&json).unwrap(),
        analysis.facts
    );
    Some(analysis)
}

/// What was accepted is not accepted with a byte more or less.
pub fn assert_exact(make: fn(Vec<u8>) -> Payload, bytes: &[u8], network: Network, scheme: Scheme) {
    let longer = [bytes, &[0]].concat();
    assert!(analysed(&make(longer), Some(network), scheme).is_err());
    let shorter = bytes[..bytes.len() - 1].to_vec();
    assert!(analysed(&make(shorter), Some(network), scheme).is_err());
}
