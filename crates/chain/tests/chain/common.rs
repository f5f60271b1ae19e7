//! Local keys, and small well-formed payloads to start from.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::key::TapTweak as _;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use ed25519_dalek::Signer as _;
use quorate_chain::{
    Analysis, Assembled, ChainError, SigningItem, SigningMessage, TaprootTweak, analyse,
};
use quorate_types::{
    BitcoinNetwork, Curve, EcdsaSignature, KeyId, KeyName, KeyRecord, Network, Payload, PublicKey,
    Scheme, Signature, Threshold,
};
use secp256k1::{Keypair, Message, Secp256k1, SecretKey};

pub const ETHEREUM: Network = Network::Evm { chain_id: 1 };
pub const BITCOIN: Network = Network::Bitcoin(BitcoinNetwork::Mainnet);

/// A single key, standing in for the threshold protocols.
pub struct LocalKey([u8; 32]);

impl LocalKey {
    pub const fn new(byte: u8) -> Self {
        Self([byte; 32])
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn secp256k1(&self) -> PublicKey {
        let key = self.keypair().public_key().serialize();
        PublicKey::new(Curve::Secp256k1, &key).unwrap()
    }

    pub fn ed25519(&self) -> PublicKey {
        let key = ed25519_dalek::SigningKey::from_bytes(&self.0).verifying_key();
        PublicKey::new(Curve::Ed25519, key.as_bytes()).unwrap()
    }

    pub fn p256(&self) -> PublicKey {
        let key = p256::ecdsa::SigningKey::from_bytes(&self.0.into()).unwrap();
        let point = key.verifying_key().to_encoded_point(true);
        PublicKey::new(Curve::P256, point.as_bytes()).unwrap()
    }

    fn keypair(&self) -> Keypair {
        Keypair::from_seckey_slice(&Secp256k1::new(), &self.0).unwrap()
    }

    pub fn sign(&self, message: &SigningMessage) -> Signature {
        match message {
            SigningMessage::Ecdsa(preimage) => Signature::Ecdsa(self.ecdsa(preimage.digest())),
            SigningMessage::Bip340 { message, tweak } => {
                let secp = Secp256k1::new();
                let key = match tweak {
                    TaprootTweak::None => self.keypair(),
                    TaprootTweak::Bip86 => self.keypair().tap_tweak(&secp, None).to_keypair(),
                };
                let message = Message::from_digest(*message);
                Signature::Bip340(secp.sign_schnorr_no_aux_rand(&message, &key).serialize())
            }
            SigningMessage::Ed25519(message) => {
                let key = ed25519_dalek::SigningKey::from_bytes(&self.0);
                Signature::Ed25519(key.sign(message).to_bytes())
            }
        }
    }

    pub fn ecdsa(&self, hash: &[u8; 32]) -> EcdsaSignature {
        let secret = SecretKey::from_slice(&self.0).unwrap();
        let (recovery_id, compact) = Secp256k1::new()
            .sign_ecdsa_recoverable(&Message::from_digest(*hash), &secret)
            .serialize_compact();
        EcdsaSignature {
            r: compact[..32].try_into().unwrap(),
            s: compact[32..].try_into().unwrap(),
            recovery_id: u8::try_from(recovery_id.to_i32()).unwrap(),
        }
    }

    pub fn sign_all(&self, items: &[SigningItem]) -> Vec<Signature> {
        items.iter().map(|item| self.sign(item.message())).collect()
    }
}

/// The hash of a message that ECDSA signs.
pub fn digest(message: &SigningMessage) -> [u8; 32] {
    match message {
        SigningMessage::Ecdsa(preimage) => *preimage.digest(),
        other => panic!("not signed by ECDSA: {other:?}"),
    }
}

/// A key's record, as far as analysis looks at it.
pub fn record(scheme: Scheme, public_key: PublicKey, chain_code: [u8; 32]) -> KeyRecord {
    KeyRecord {
        id: KeyId::from_bytes([1; 32]),
        name: KeyName::new("key").unwrap(),
        scheme,
        chain_code: quorate_types::Hash32::from_bytes(chain_code),
        epoch: 0,
        threshold: Threshold::new(2, 2).unwrap(),
        committee: Vec::new(),
        public_shares: vec![public_key.clone(); 2],
        public_key,
        raw_signing: false,
        created_at: 1,
    }
}

pub fn evm(bytes: &[u8]) -> Result<Analysis, ChainError> {
    let payload = Payload::EvmTransaction(bytes.to_vec());
    analyse(
        &payload,
        Some(ETHEREUM),
        Scheme::Ecdsa,
        &LocalKey::new(0x46).secp256k1(),
        false,
    )
}

/// What becomes of a payload that is no batch.
pub fn assemble(
    payload: &Payload,
    network: Option<Network>,
    scheme: Scheme,
    child: &PublicKey,
    signatures: &[Signature],
) -> Result<Assembled, ChainError> {
    let mut done = quorate_chain::assemble(payload, network, scheme, child, signatures)?;
    assert_eq!(done.len(), 1);
    Ok(done.remove(0))
}

/// The message of a payload with exactly one item.
pub fn only_message(analysis: &Analysis) -> SigningMessage {
    assert_eq!(analysis.items.len(), 1);
    assert_eq!(analysis.items[0].index(), 0);
    analysis.items[0].message().clone()
}

pub fn code<T: std::fmt::Debug>(result: Result<T, ChainError>) -> &'static str {
    let error = result.unwrap_err();
    assert!(!error.to_string().is_empty());
    quorate_types::CodeSet::as_str(error.code())
}

pub fn script(scheme: Scheme, key: &LocalKey) -> ScriptBuf {
    let bytes =
        quorate_chain::script_pubkey(BitcoinNetwork::Mainnet, scheme, &key.secp256k1()).unwrap();
    ScriptBuf::from_bytes(bytes)
}

/// A transaction that pays `amounts` to `script`.
pub fn funding(script: &ScriptBuf, amounts: &[u64]) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([0x11; 32]), 7),
            script_sig: ScriptBuf::from_bytes(vec![0x51]),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: amounts
            .iter()
            .map(|sat| TxOut {
                value: Amount::from_sat(*sat),
                script_pubkey: script.clone(),
            })
            .collect(),
    }
}

/// A PSBT that spends every output of one funding transaction of `amounts`, paying `outputs`.
pub fn psbt(scheme: Scheme, key: &LocalKey, amounts: &[u64], outputs: &[(ScriptBuf, u64)]) -> Psbt {
    psbt_from(scheme, &script(scheme, key), amounts, outputs)
}

/// The same for outputs of any script.
pub fn psbt_from(
    scheme: Scheme,
    from: &ScriptBuf,
    amounts: &[u64],
    outputs: &[(ScriptBuf, u64)],
) -> Psbt {
    let previous = funding(from, amounts);
    let txid = previous.compute_txid();
    let unsigned = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: (0u32..)
            .zip(amounts)
            .map(|(vout, _)| TxIn {
                previous_output: OutPoint::new(txid, vout),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::new(),
            })
            .collect(),
        output: outputs
            .iter()
            .map(|(script, sat)| TxOut {
                value: Amount::from_sat(*sat),
                script_pubkey: script.clone(),
            })
            .collect(),
    };
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    for (input, spent) in psbt.inputs.iter_mut().zip(&previous.output) {
        input.witness_utxo = Some(spent.clone());
        if scheme == Scheme::Ecdsa {
            input.non_witness_utxo = Some(previous.clone());
        }
    }
    psbt
}

pub fn foreign_script() -> ScriptBuf {
    script(Scheme::Ecdsa, &LocalKey::new(0x77))
}

/// Two inputs, one foreign output, one change output, 1000 sat fee.
pub fn usual_psbt(scheme: Scheme, key: &LocalKey) -> Psbt {
    let outputs = [(foreign_script(), 120_000), (script(scheme, key), 29_000)];
    psbt(scheme, key, &[100_000, 50_000], &outputs)
}

pub fn analyse_psbt(scheme: Scheme, key: &LocalKey, psbt: &Psbt) -> Result<Analysis, ChainError> {
    let payload = Payload::BitcoinPsbt(psbt.serialize());
    analyse(&payload, Some(BITCOIN), scheme, &key.secp256k1(), false)
}
