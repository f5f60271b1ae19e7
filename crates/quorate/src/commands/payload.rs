//! Reading what is to be signed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_chain::{Analysis, analyse_for};
use quorate_types::{Batch, KeyRecord, Network, Payload, PublicKey};

use crate::args::PayloadArgs;
use crate::exit::misuse;
use crate::operator::Viewer;

/// A payload, read and understood on this machine, and the key it is for.
pub struct Understood {
    pub record: KeyRecord,
    /// The child key the path names.
    pub child: PublicKey,
    pub payload: Payload,
    pub analysis: Analysis,
}

/// Reads what the arguments name and analyses it for their key.
pub async fn understand(viewer: &Viewer, args: &PayloadArgs) -> anyhow::Result<Understood> {
    let payload = read(args)?;
    let record = viewer.key(&args.key).await?;
    analysed(record, args, payload)
}

/// The same for a payload that is at hand.
pub fn analysed(
    record: KeyRecord,
    args: &PayloadArgs,
    payload: Payload,
) -> anyhow::Result<Understood> {
    let (child, analysis) = analyse_for(&payload, args.chain, &record, &args.path)?;
    Ok(Understood {
        record,
        child,
        payload,
        analysis,
    })
}

/// The payload the arguments name: if several, a batch.
fn read(args: &PayloadArgs) -> anyhow::Result<Payload> {
    let texts = args.message.iter().map(|text| text.clone().into_bytes());
    let mut payloads: Vec<Payload> = match (&args.input[..], &args.typed_data[..], args.chain) {
        ([], [], Some(_)) => texts.map(Payload::Message).collect(),
        ([], [], None) => texts.map(Payload::Raw).collect(),
        (_, _, None) => misuse!("name the chain the payload is for with --chain"),
        (files, [], Some(network)) => each(files, |file| from_file(file, network))?,
        (_, files, Some(_)) => each(files, typed_data)?,
    };
    match (payloads.pop(), payloads.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            payloads.push(last);
            Ok(Payload::Batch(Batch::new(payloads)?))
        }
        (None, _) => {
            misuse!("name what to sign with one of --in FILE, --message TEXT or --typed-data FILE")
        }
    }
}

/// Of several files, an error says which.
fn each(
    files: &[PathBuf],
    read: impl Fn(&Path) -> anyhow::Result<Payload>,
) -> anyhow::Result<Vec<Payload>> {
    let one = |file: &PathBuf| match files {
        [_] => read(file),
        _ => read(file).with_context(|| format!("in {}", file.display())),
    };
    files.iter().map(one).collect()
}

fn typed_data(file: &Path) -> anyhow::Result<Payload> {
    let text = String::from_utf8(bytes_of(file)?);
    let text = text.with_context(|| format!("{} is not text", file.display()))?;
    Ok(Payload::TypedData(text))
}

fn bytes_of(file: &Path) -> anyhow::Result<Vec<u8>> {
    let length = std::fs::metadata(file)
        .with_context(|| format!("cannot read {}", file.display()))?
        .len();
    if length > 2 * Payload::MAX_LEN as u64 + 1024 {
        misuse!(
            "{} has {length} bytes, more than any payload may have",
            file.display()
        );
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn from_file(file: &Path, network: Network) -> anyhow::Result<Payload> {
    let bytes = bytes_of(file)?;
    let text = std::str::from_utf8(&bytes).ok().map(str::trim);
    match network {
        Network::Evm { .. } => match text {
            Some(json) if json.starts_with('{') => Ok(quorate_chain::evm::from_json(json)?),
            Some(digits) if is_hex(digits) => Ok(Payload::EvmTransaction(hex::decode(
                digits.trim_start_matches("0x"),
            )?)),
            _ => Ok(Payload::EvmTransaction(bytes)),
        },
        Network::Bitcoin(_) => Ok(Payload::BitcoinPsbt(
            text.and_then(base64_of).unwrap_or(bytes),
        )),
        Network::Solana => Ok(Payload::SolanaMessage(
            text.and_then(base64_of).unwrap_or(bytes),
        )),
    }
}

fn is_hex(text: &str) -> bool {
    let digits = text.trim_start_matches("0x");
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

fn base64_of(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
