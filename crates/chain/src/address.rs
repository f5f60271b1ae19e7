//! Addresses and output scripts of a child key.

use alloy_primitives::Address;
use bitcoin::key::TapTweak as _;
use bitcoin::secp256k1::{Secp256k1, Verification};
use bitcoin::{CompressedPublicKey, Script, ScriptBuf, XOnlyPublicKey};
use quorate_types::{BitcoinNetwork, Curve, Network, PublicKey, Scheme};

use crate::ChainError;

/// The address of a child key on a network.
///
/// EVM: EIP-55 mixed case of the last 20 bytes of Keccak-256 of the public key. Bitcoin: P2WPKH (BIP-84 form, bech32)
/// for scheme `ecdsa`, P2TR with the BIP-86 tweak (bech32m) for scheme `bip340`. Solana: base58 of the key.
///
/// # Errors
/// A scheme or curve that the network does not take; bytes that are not a point.
pub fn address(network: Network, scheme: Scheme, child: &PublicKey) -> Result<String, ChainError> {
    check_key(Some(network), scheme, child)?;
    match network {
        Network::Evm { .. } => Ok(evm_address(child)?.to_checksum(None)),
        Network::Bitcoin(network) => {
            let script = bitcoin_script(scheme, child)?;
            script_address(&script, network).ok_or(ChainError::NotAPoint {
                curve: child.curve(),
            })
        }
        Network::Solana => Ok(bs58::encode(child.as_bytes()).into_string()),
    }
}

/// The Bitcoin output script of a child key: `OP_0 <20 bytes>` (scheme `ecdsa`) or `OP_1 <32 bytes>` (scheme `bip340`).
///
/// # Errors
/// A scheme or curve that Bitcoin does not take; bytes that are not a point.
pub fn script_pubkey(
    network: BitcoinNetwork,
    scheme: Scheme,
    child: &PublicKey,
) -> Result<Vec<u8>, ChainError> {
    check_key(Some(Network::Bitcoin(network)), scheme, child)?;
    bitcoin_script(scheme, child).map(ScriptBuf::into_bytes)
}

/// Whether scheme, curve and network go together, and the key is a point.
pub(crate) fn check_key(
    network: Option<Network>,
    scheme: Scheme,
    child: &PublicKey,
) -> Result<(), ChainError> {
    let curve = child.curve();
    if !curve.supports(scheme) {
        return Err(ChainError::SchemeNotOnCurve { scheme, curve });
    }
    if let Some(network) = network {
        let (fits, needed) = match network {
            Network::Evm { .. } => (scheme == Scheme::Ecdsa, "ecdsa on secp256k1"),
            Network::Bitcoin(_) => (true, "ecdsa or bip340 on secp256k1"),
            Network::Solana => (true, "eddsa on ed25519"),
        };
        let wanted = match network {
            Network::Evm { .. } | Network::Bitcoin(_) => Curve::Secp256k1,
            Network::Solana => Curve::Ed25519,
        };
        if !fits || curve != wanted {
            return Err(ChainError::KeyNotForNetwork {
                network,
                scheme,
                curve,
                needed,
            });
        }
    }
    crate::hd::check_point(child)
}

/// Whether a text is an EVM address exactly as facts show it: `0x` and 40 digits with their EIP-55 checksum.
#[must_use]
pub fn is_checksummed(text: &str) -> bool {
    Address::parse_checksummed(text, None).is_ok_and(|a| a.to_checksum(None) == text)
}

pub(crate) fn evm_address(child: &PublicKey) -> Result<Address, ChainError> {
    let [_, raw @ ..] = secp256k1_key(child)?.serialize_uncompressed();
    Ok(Address::from_raw_public_key(&raw))
}

pub(crate) fn secp256k1_key(child: &PublicKey) -> Result<secp256k1::PublicKey, ChainError> {
    secp256k1::PublicKey::from_slice(child.as_bytes()).map_err(|_| ChainError::NotAPoint {
        curve: child.curve(),
    })
}

/// The x-only output key of a key-path-only taproot output (BIP-86).
pub(crate) fn bip86_output_key<C: Verification>(
    secp: &Secp256k1<C>,
    internal: XOnlyPublicKey,
) -> XOnlyPublicKey {
    internal.tap_tweak(secp, None).0.to_x_only_public_key()
}

pub(crate) fn bitcoin_script(scheme: Scheme, child: &PublicKey) -> Result<ScriptBuf, ChainError> {
    let key = secp256k1_key(child)?;
    if scheme == Scheme::Bip340 {
        let internal = key.x_only_public_key().0;
        return Ok(ScriptBuf::new_p2tr(
            &Secp256k1::verification_only(),
            internal,
            None,
        ));
    }
    Ok(ScriptBuf::new_p2wpkh(
        &CompressedPublicKey(key).wpubkey_hash(),
    ))
}

/// The address of an output script, where it has one.
pub(crate) fn script_address(script: &Script, network: BitcoinNetwork) -> Option<String> {
    let network = match network {
        BitcoinNetwork::Mainnet => bitcoin::Network::Bitcoin,
        BitcoinNetwork::Testnet => bitcoin::Network::Testnet,
        BitcoinNetwork::Regtest => bitcoin::Network::Regtest,
    };
    bitcoin::Address::from_script(script, bitcoin::params::Params::new(network))
        .ok()
        .map(|address| address.to_string())
}
