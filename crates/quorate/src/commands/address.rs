//! `quorate address`.

use quorate_chain::{address, hd::derive_child};
use quorate_types::Curve;
use serde_json::json;

use crate::args::{AddressArgs, ClientArgs};
use crate::operator::Viewer;
use crate::output;

/// Derives the address on this machine, from a key record that every custodian signed.
pub async fn run(client: &ClientArgs, args: AddressArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let record = viewer.key(&args.key).await?;
    let child = derive_child(&record.public_key, record.chain_code.as_bytes(), &args.path)?;
    let text = address(args.chain, record.scheme, &child)?;
    if json {
        return output::json(&json!({
            "key": record.name, "path": args.path, "chain": args.chain, "address": text, "public_key": child,
        }));
    }
    println!("{text}");
    if record.public_key.curve() == Curve::Ed25519 && !args.path.is_root() {
        eprintln!(
            "note: deriving Ed25519 children is not standardised; other wallets cannot follow this path"
        );
    }
    Ok(())
}
