use quorate_chain::hd::derive_child;
use quorate_chain::{address, script_pubkey};
use quorate_types::{BitcoinNetwork, Network, PublicKey, Scheme};

use crate::common::{BITCOIN, ETHEREUM, LocalKey, code};
use crate::derivation::extended;

fn child(account: &str, path: &str) -> PublicKey {
    let (root, chain_code) = extended(account);
    derive_child(&root, &chain_code, &path.parse().unwrap()).unwrap()
}

/// BIP-84's vectors, from its account key on.
#[test]
fn bip84_addresses() {
    let account = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
    for (path, expected) in [
        ("m/0/0", "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"),
        ("m/0/1", "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"),
        ("m/1/0", "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"),
    ] {
        let key = child(account, path);
        assert_eq!(address(BITCOIN, Scheme::Ecdsa, &key).unwrap(), expected);
    }
    assert_eq!(
        child(account, "m/0/0").to_string(),
        "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c"
    );
}

/// BIP-86's vectors, from its account key on.
#[test]
fn bip86_addresses() {
    let account = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ";
    for (path, expected) in [
        (
            "m/0/0",
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        ),
        (
            "m/0/1",
            "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
        ),
        (
            "m/1/0",
            "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7",
        ),
    ] {
        let key = child(account, path);
        assert_eq!(address(BITCOIN, Scheme::Bip340, &key).unwrap(), expected);
    }
    let script = script_pubkey(
        BitcoinNetwork::Mainnet,
        Scheme::Bip340,
        &child(account, "m/0/0"),
    );
    assert_eq!(
        hex::encode(script.unwrap()),
        "5120a60869f0dbcf1dc659c9cecbaf8050135ea9e8cdc487053f1dc6880949dc684c"
    );
}

#[test]
fn bitcoin_test_networks_have_their_own_prefixes() {
    let key = LocalKey::new(1).secp256k1();
    for (network, prefix) in [
        (BitcoinNetwork::Testnet, "tb1q"),
        (BitcoinNetwork::Regtest, "bcrt1q"),
    ] {
        let text = address(Network::Bitcoin(network), Scheme::Ecdsa, &key).unwrap();
        assert!(text.starts_with(prefix), "{text}");
    }
}

/// The sender of EIP-155's example, and a widely known development key.
#[test]
fn evm_addresses_carry_the_eip55_checksum() {
    let known = hex::decode("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    for (key, expected) in [
        (
            LocalKey::new(0x46),
            "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F",
        ),
        (
            LocalKey::from_bytes(known.unwrap().try_into().unwrap()),
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        ),
    ] {
        assert_eq!(
            address(ETHEREUM, Scheme::Ecdsa, &key.secp256k1()).unwrap(),
            expected
        );
    }
}

#[test]
fn a_solana_address_is_the_key_in_base58() {
    let key = LocalKey::new(4).ed25519();
    let text = address(Network::Solana, Scheme::Eddsa, &key).unwrap();
    assert_eq!(bs58::decode(text).into_vec().unwrap(), key.as_bytes());
}

#[test]
fn wrong_schemes_and_curves_are_refused() {
    let key = LocalKey::new(1);
    let for_network = [
        (ETHEREUM, Scheme::Bip340, key.secp256k1()),
        (ETHEREUM, Scheme::Ecdsa, key.p256()),
        (ETHEREUM, Scheme::Eddsa, key.ed25519()),
        (BITCOIN, Scheme::Ecdsa, key.p256()),
        (BITCOIN, Scheme::Eddsa, key.ed25519()),
        (Network::Solana, Scheme::Ecdsa, key.secp256k1()),
    ];
    for (network, scheme, key) in for_network {
        let refused = address(network, scheme, &key);
        assert_eq!(code(refused), "key-not-for-network", "{network} {scheme}");
    }
    let refused = address(ETHEREUM, Scheme::Eddsa, &key.secp256k1());
    assert_eq!(code(refused), "key-scheme-not-on-curve");
    let refused = script_pubkey(BitcoinNetwork::Mainnet, Scheme::Eddsa, &key.ed25519());
    assert_eq!(code(refused), "key-not-for-network");
}
