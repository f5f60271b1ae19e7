//! `quorate sign`.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_api::{IntentView, ResultView};
use quorate_chain::{Analysis, Assembled, analyse, assemble, hd::derive_child};
use quorate_types::{Action, KeyRecord, Network, Payload, PublicKey, Signature};
use serde_json::json;

use crate::args::{ClientArgs, PayloadArgs, SignArgs};
use crate::commands::payload;
use crate::operator::Operator;
use crate::output;

/// A signed payload, checked on this machine.
pub struct Signed {
    /// What the custodians were asked to sign, decoded here.
    pub analysis: Analysis,
    /// One per item.
    pub signatures: Vec<Signature>,
    /// Ready for the chain.
    pub assembled: Assembled,
    /// How it went.
    pub view: IntentView,
}

/// Shows the decoded payload, has it signed, checks and writes the result.
pub async fn run(client: &ClientArgs, args: SignArgs, json: bool) -> anyhow::Result<()> {
    let payload = payload::read(&args.payload)?;
    let operator = Operator::load(&client.client)?;
    let record = operator.viewer.key(&args.payload.key).await?;
    let child = child_of(&record, &args.payload)?;
    let analysis = analyse(
        &payload,
        args.payload.chain,
        record.scheme,
        &child,
        record.raw_signing,
    )?;
    if !json {
        for line in analysis.facts.summary_lines() {
            eprintln!("  {line}");
        }
    }
    if !args.yes && !json && std::io::stdin().is_terminal() && !confirmed()? {
        bail!("not signed");
    }
    let waiting = output::spinner("custodians sign", json);
    let signed = sign(&operator, &record, &args.payload, payload, &args.purpose).await;
    waiting.finish_and_clear();
    let signed = signed?;
    for note in signed.view.notes.iter().filter(|_| !json) {
        eprintln!("note: {note}");
    }
    report(&args, &record, &signed, json)
}

fn confirmed() -> anyhow::Result<bool> {
    eprint!("Sign this? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The child key the arguments name.
pub fn child_of(record: &KeyRecord, args: &PayloadArgs) -> anyhow::Result<PublicKey> {
    Ok(derive_child(
        &record.public_key,
        record.chain_code.as_bytes(),
        &args.path,
    )?)
}

/// Has a payload signed. Every signature is verified here before anything is returned.
pub async fn sign(
    operator: &Operator,
    record: &KeyRecord,
    args: &PayloadArgs,
    payload: Payload,
    purpose: &str,
) -> anyhow::Result<Signed> {
    let child = child_of(record, args)?;
    let analysis = analyse(
        &payload,
        args.chain,
        record.scheme,
        &child,
        record.raw_signing,
    )?;
    let intent = operator.sign(Action::Sign {
        key: record.id,
        path: args.path.clone(),
        network: args.chain,
        payload: payload.clone(),
        purpose: purpose.to_owned(),
    });
    let view = operator.viewer.api.run(&intent).await?;
    let Some(ResultView::Signatures(signatures)) = view.result.clone() else {
        bail!("the orchestrator reports something other than signatures");
    };
    let assembled = assemble(&payload, args.chain, record.scheme, &child, &signatures)
        .context("the signatures that came back are not good")?;
    Ok(Signed {
        analysis,
        signatures,
        assembled,
        view,
    })
}

/// The signed transaction in the text form its network's tools take.
pub fn text_of(network: Option<Network>, assembled: &Assembled) -> String {
    match network {
        Some(Network::Evm { .. }) => format!("0x{}", hex::encode(&assembled.bytes)),
        Some(Network::Solana) => STANDARD.encode(&assembled.bytes),
        Some(Network::Bitcoin(_)) | None => hex::encode(&assembled.bytes),
    }
}

fn report(args: &SignArgs, record: &KeyRecord, signed: &Signed, json: bool) -> anyhow::Result<()> {
    let text = text_of(args.payload.chain, &signed.assembled);
    if let Some(file) = &args.out {
        write_out(file, &text)?;
    }
    if json {
        return output::json(&json!({
            "key": record.name,
            "path": args.payload.path,
            "chain": args.payload.chain,
            "facts": signed.analysis.facts,
            "id": signed.assembled.id,
            "signed": text,
            "signatures": signed.signatures,
            "custodians": signed.view.participants,
            "attempts": signed.view.attempts,
            "notes": signed.view.notes,
        }));
    }
    let names: Vec<_> = signed
        .view
        .participants
        .iter()
        .map(|p| p.as_str())
        .collect();
    eprintln!(
        "signed by {}; id {}",
        names.join(" and "),
        signed.assembled.id
    );
    match &args.out {
        Some(file) => eprintln!("written to {}", file.display()),
        None => println!("{text}"),
    }
    Ok(())
}

fn write_out(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, format!("{text}\n"))
        .with_context(|| format!("cannot write {}", file.display()))
}
