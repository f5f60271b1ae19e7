//! What every target has in common: the keys that the seeds are for, and what must hold of every analysis.

use quorate_chain::{Analysis, ChainError, Danger, Facts, Reading, analyse_for};
use quorate_types::{
    Admin, Admins, Curve, DerivationPath, Hash32, KeyId, KeyName, KeyRecord, Network,
    OperatorEntry, OperatorId, PartyEntry, PartyId, Payload, PersonId, PublicKey, Roster, Scheme,
    Threshold, ValidRoster,
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

/// A cluster of two whose secret keys no input has.
pub fn roster() -> ValidRoster {
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
