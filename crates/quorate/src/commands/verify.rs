//! `quorate verify`.

use anyhow::Context as _;
use quorate_types::{Scheme, Signature};
use serde_json::json;

use crate::args::{ClientArgs, VerifyArgs};
use crate::commands::payload::{self, Understood};
use crate::exit::misuse;
use crate::operator::Viewer;
use crate::output;

/// Verifies signatures over a payload under a key's child, on this machine.
pub async fn run(client: &ClientArgs, args: VerifyArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let Understood {
        record,
        child,
        analysis,
        ..
    } = payload::understand(&viewer, &args.payload).await?;
    if analysis.items.len() != args.signature.len() {
        misuse!(
            "this payload takes {} signatures, {} were given",
            analysis.items.len(),
            args.signature.len()
        );
    }
    for (item, text) in analysis.items.iter().zip(&args.signature) {
        let signature = parse(record.scheme, text)?;
        quorate_chain::verify(item.message(), &child, &signature)
            .with_context(|| format!("signature {} is NOT good", item.index()))?;
    }
    if json {
        return output::json(
            &json!({ "valid": true, "key": record.name, "path": args.payload.path }),
        );
    }
    println!("good: made by key {} at {}", record.name, args.payload.path);
    Ok(())
}

/// Takes `v` as 27 or 28 too, as EIP-191 signatures have it.
fn parse(scheme: Scheme, text: &str) -> anyhow::Result<Signature> {
    let Ok(mut bytes) = hex::decode(text.trim_start_matches("0x")) else {
        misuse!("the signature is not hexadecimal");
    };
    let name = match scheme {
        Scheme::Ecdsa => "ecdsa",
        Scheme::Bip340 => "bip340",
        Scheme::Eddsa => "ed25519",
    };
    if let (Scheme::Ecdsa, Some(v @ (27 | 28))) = (scheme, bytes.last_mut()) {
        *v -= 27;
    }
    match Signature::from_bytes(name, &bytes) {
        Ok(signature) => Ok(signature),
        Err(error) => misuse!("{error}"),
    }
}
