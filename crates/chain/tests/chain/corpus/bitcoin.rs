//! Bitcoin. The inputs are P2WPKH or P2TR outputs of the child at m/0/3.

use bitcoin::absolute::{Height, LockTime};
use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Psbt, ScriptBuf, Sequence};
use quorate_chain::hd::derive_child;
use quorate_chain::script_pubkey;
use quorate_types::{BitcoinNetwork, Payload, PublicKey, Scheme};

use super::{CHAIN_CODE, Entry, root};
use crate::common::{BITCOIN, psbt_from};
use crate::psbt_version2::version2;

/// P2PKH of the genesis block; P2WSH of BIP-173; P2TR of BIP-350.
const P2PKH: &str = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
const P2WSH: &str = "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3";
const P2TR: &str = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0";
/// P2WPKH of the key with the secret 1, from BIP-173.
const P2WPKH: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";

fn to(address: &str) -> ScriptBuf {
    let address: Address<NetworkUnchecked> = address.parse().unwrap();
    address.assume_checked().script_pubkey()
}

fn child(path: &str) -> PublicKey {
    derive_child(&root(Scheme::Ecdsa), &CHAIN_CODE, &path.parse().unwrap()).unwrap()
}

fn own(scheme: Scheme, path: &str) -> ScriptBuf {
    let script = script_pubkey(BitcoinNetwork::Mainnet, scheme, &child(path)).unwrap();
    ScriptBuf::from_bytes(script)
}

fn spend(scheme: Scheme, amounts: &[u64], outputs: &[(ScriptBuf, u64)]) -> Psbt {
    psbt_from(scheme, &own(scheme, "m/0/3"), amounts, outputs)
}

/// Says that an output is ours at a path.
fn tell(scheme: Scheme, psbt: &mut Psbt, output: usize, path: &str) {
    let fingerprint = {
        use bitcoin::hashes::{Hash as _, hash160};
        let hash = hash160::Hash::hash(root(scheme).as_bytes()).to_byte_array();
        <[u8; 4]>::try_from(&hash[..4]).unwrap()
    };
    let origin = (fingerprint.into(), path.parse().unwrap());
    let key = secp256k1::PublicKey::from_slice(child(path).as_bytes()).unwrap();
    let fields = &mut psbt.outputs[output];
    if scheme == Scheme::Bip340 {
        let key = key.x_only_public_key().0;
        fields.tap_key_origins.insert(key, (vec![], origin));
    } else {
        fields.bip32_derivation.insert(key, origin);
    }
}

fn entry(
    name: &'static str,
    source: &'static str,
    scheme: Scheme,
    bytes: Vec<u8>,
    movements: Vec<String>,
    fee: &'static str,
) -> Entry {
    Entry {
        name,
        source,
        network: BITCOIN,
        scheme,
        payload: Payload::BitcoinPsbt(bytes),
        movements,
        dangers: &[],
        fee,
    }
}

pub fn entries() -> Vec<Entry> {
    [payments(), change(), version_2()]
        .into_iter()
        .flatten()
        .collect()
}

fn payments() -> Vec<Entry> {
    use Scheme::{Bip340, Ecdsa};
    let back = |scheme| own(scheme, "m/0/3");
    let common = [
        (to(P2PKH), 10_000),
        (to(P2WSH), 20_000),
        (to(P2TR), 30_000),
        (to(P2WPKH), 35_000),
    ];
    let note = ScriptBuf::new_op_return(*b"hello");
    let outputs = [(note, 0), (to(P2WPKH), 90_000)];
    let mut locked = spend(Bip340, &[100_000], &[(to(P2TR), 99_000)]);
    locked.unsigned_tx.lock_time = LockTime::from_consensus(840_000);
    locked.unsigned_tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    vec![
        entry(
            "p2wpkh-payment",
            "BIP-84 wallet: one payment, change to the same address",
            Ecdsa,
            spend(
                Ecdsa,
                &[100_000],
                &[(to(P2WPKH), 40_000), (back(Ecdsa), 59_000)],
            )
            .serialize(),
            vec![format!("transfer 40000 native to {P2WPKH}")],
            "1000",
        ),
        entry(
            "p2tr-common-destinations",
            "BIP-86 wallet: the address of the genesis block and the examples of BIP-173 and BIP-350",
            Bip340,
            spend(Bip340, &[60_000, 36_000], &common).serialize(),
            vec![
                format!("transfer 10000 native to {P2PKH}"),
                format!("transfer 20000 native to {P2WSH}"),
                format!("transfer 30000 native to {P2TR}"),
                format!("transfer 35000 native to {P2WPKH}"),
            ],
            "1000",
        ),
        entry(
            "op-return",
            "an OP_RETURN output has no address: OP_RETURN (6a), a push of 5 bytes, hello",
            Bip340,
            spend(Bip340, &[100_000], &outputs).serialize(),
            vec![
                "transfer 0 native to script:6a0568656c6c6f".to_owned(),
                format!("transfer 90000 native to {P2WPKH}"),
            ],
            "10000",
        ),
        entry(
            "p2tr-lock-time",
            "not before block 840000, not replaceable",
            Bip340,
            locked.serialize(),
            vec![format!("transfer 99000 native to {P2TR}")],
            "1000",
        ),
    ]
}

fn address(scheme: Scheme, path: &str) -> Address {
    Address::from_script(&own(scheme, path), bitcoin::Network::Bitcoin).unwrap()
}

fn change() -> Vec<Entry> {
    use Scheme::{Bip340, Ecdsa};
    let mut derived = spend(
        Bip340,
        &[100_000],
        &[(to(P2TR), 40_000), (own(Bip340, "m/1/5"), 59_000)],
    );
    tell(Bip340, &mut derived, 1, "m/1/5");
    let mut lying = spend(Ecdsa, &[100_000], &[(to(P2WPKH), 99_000)]);
    tell(Ecdsa, &mut lying, 0, "m/1/5");
    let unsaid = spend(Ecdsa, &[100_000], &[(own(Ecdsa, "m/1/6"), 99_000)]);
    let unsaid_address = address(Ecdsa, "m/1/6");
    vec![
        entry(
            "p2tr-derived-change",
            "a wallet that gives change a new address and says where it is (TAP_BIP32_DERIVATION)",
            Bip340,
            derived.serialize(),
            vec![
                format!("transfer 40000 native to {P2TR}"),
                format!(
                    "transfer 59000 native to {}, at m/1/5",
                    address(Bip340, "m/1/5")
                ),
            ],
            "1000",
        ),
        entry(
            "p2wpkh-lying-origin",
            "the example of BIP-173 said to be our child m/1/5 (BIP32_DERIVATION), which it is not",
            Ecdsa,
            lying.serialize(),
            vec![format!("transfer 99000 native to {P2WPKH}")],
            "1000",
        ),
        entry(
            "p2wpkh-change-without-origin",
            "our own child m/1/6, which nothing says: counted as foreign",
            Ecdsa,
            unsaid.serialize(),
            vec![format!("transfer 99000 native to {unsaid_address}")],
            "1000",
        ),
        entry(
            "p2wpkh-consolidation",
            "three outputs made one, and nobody paid but the miner",
            Ecdsa,
            spend(Ecdsa, &[1000, 2000, 3000], &[(own(Ecdsa, "m/0/3"), 5000)]).serialize(),
            vec![],
            "1000",
        ),
    ]
}

fn version_2() -> Vec<Entry> {
    use Scheme::{Bip340, Ecdsa};
    let mut derived = spend(
        Bip340,
        &[100_000],
        &[(to(P2TR), 40_000), (own(Bip340, "m/1/5"), 59_000)],
    );
    tell(Bip340, &mut derived, 1, "m/1/5");
    let mut locked = version2(&spend(Ecdsa, &[50_000, 50_000], &[(to(P2PKH), 98_000)]));
    locked.inputs[1].min_height = Some(Height::from_consensus(840_000).unwrap());
    vec![
        entry(
            "version2-derived-change",
            "BIP-370, written by the crate psbt-v2",
            Bip340,
            version2(&derived).serialize(),
            vec![
                format!("transfer 40000 native to {P2TR}"),
                format!(
                    "transfer 59000 native to {}, at m/1/5",
                    address(Bip340, "m/1/5")
                ),
            ],
            "1000",
        ),
        entry(
            "version2-required-height",
            "BIP-370: the second input requires a lock time of block 840000",
            Ecdsa,
            locked.serialize(),
            vec![format!("transfer 98000 native to {P2PKH}")],
            "2000",
        ),
    ]
}
