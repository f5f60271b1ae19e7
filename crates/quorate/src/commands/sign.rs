//! `quorate sign`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_api::{ClientError, IntentState, IntentView, ResultView};
use quorate_chain::{Assembled, assemble};
use quorate_types::{Action, Network, Signature};
use serde_json::{Value, json};

use crate::args::{ClientArgs, PayloadArgs, SignArgs};
use crate::commands::payload::{self, Understood};
use crate::commands::request;
use crate::exit::{declined, untrue};
use crate::operator::{self, Operator};
use crate::output;

/// A signed payload, checked on this machine.
pub struct Signed {
    /// One per item.
    pub signatures: Vec<Signature>,
    /// Ready for the chain: of a batch each member.
    pub assembled: Vec<Assembled>,
    /// How it went.
    pub view: IntentView,
}

/// Shows the decoded payload, has it signed, checks and writes the result.
pub async fn run(client: &ClientArgs, args: SignArgs, json: bool) -> anyhow::Result<()> {
    let operator = Operator::load(&client.client)?;
    let understood = payload::understand(&operator.viewer, &args.payload).await?;
    if !json {
        for line in understood.analysis.facts.summary_lines() {
            eprintln!("  {line}");
        }
    }
    if !args.yes && !output::confirmed("Sign this?", "sign")? {
        declined!("not signed");
    }
    let how = How {
        purpose: &args.purpose,
        valid_for: args.valid_for.into(),
        wait: !args.no_wait,
        quiet: json,
    };
    let signed = sign(&operator, &understood, &args.payload, &how).await?;
    for note in signed.view.notes.iter().filter(|_| !json) {
        eprintln!("note: {note}");
    }
    report(&args, &understood, &signed, json)
}

/// How a payload is to be signed.
pub struct How<'a> {
    /// Why, for the custodians.
    pub purpose: &'a str,
    /// How long the request may wait.
    pub valid_for: Duration,
    /// Whether to wait while it waits for approvals or time.
    pub wait: bool,
    /// Say nothing on the way.
    pub quiet: bool,
}

impl Default for How<'_> {
    fn default() -> Self {
        Self {
            purpose: "",
            valid_for: operator::LIFETIME,
            wait: true,
            quiet: true,
        }
    }
}

/// The action of signing a payload.
pub fn action(understood: &Understood, args: &PayloadArgs, purpose: &str) -> Action {
    Action::Sign {
        key: understood.record.id,
        path: args.path.clone(),
        network: args.chain,
        payload: understood.payload.clone(),
        purpose: purpose.to_owned(),
    }
}

/// Has a payload signed. Every signature is verified here before anything is returned.
pub async fn sign(
    operator: &Operator,
    understood: &Understood,
    args: &PayloadArgs,
    how: &How<'_>,
) -> anyhow::Result<Signed> {
    let intent = operator.sign_for(action(understood, args, how.purpose), how.valid_for)?;
    let working = output::spinner("custodians sign", how.quiet);
    let view = operator.viewer.api.run(&intent).await;
    working.finish_and_clear();
    let view = view?;
    if view.state == IntentState::Pending && !how.wait {
        return Err(ClientError::Problem(Box::new(request::as_problem(&view))).into());
    }
    let view = request::finished(operator, view, how.quiet).await?;
    let Some(ResultView::Signatures(signatures)) = view.result.clone() else {
        untrue!("the orchestrator reports something other than signatures");
    };
    let Understood {
        record,
        child,
        payload,
        ..
    } = understood;
    let assembled = match assemble(payload, args.chain, record.scheme, child, &signatures) {
        Ok(assembled) => assembled,
        Err(error) => untrue!("the signatures that came back are not good: {error}"),
    };
    Ok(Signed {
        signatures,
        assembled,
        view,
    })
}

/// The signed transactions as their network's tools take them, one on each line.
pub fn text_of(network: Option<Network>, assembled: &[Assembled]) -> String {
    let texts = assembled.iter().map(|one| text_of_one(network, one));
    texts.collect::<Vec<_>>().join("\n")
}

/// Adds what was signed to a JSON object: `id` and `signed`, or for a batch a list of such pairs.
pub fn add_signed(object: &mut Value, network: Option<Network>, assembled: &[Assembled]) {
    let pair = |one: &Assembled| json!({ "id": one.id, "signed": text_of_one(network, one) });
    let more = match assembled {
        [one] => pair(one),
        many => json!({ "batch": many.iter().map(pair).collect::<Vec<_>>() }),
    };
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn text_of_one(network: Option<Network>, assembled: &Assembled) -> String {
    match network {
        Some(Network::Evm { .. }) => format!("0x{}", hex::encode(&assembled.bytes)),
        Some(Network::Solana) => STANDARD.encode(&assembled.bytes),
        Some(Network::Bitcoin(_)) | None => hex::encode(&assembled.bytes),
    }
}

fn report(
    args: &SignArgs,
    understood: &Understood,
    signed: &Signed,
    json: bool,
) -> anyhow::Result<()> {
    let text = text_of(args.payload.chain, &signed.assembled);
    if let Some(file) = &args.out {
        request::write_out(file, &text)?;
    }
    if json {
        let mut done = json!({
            "key": understood.record.name,
            "path": args.payload.path,
            "chain": args.payload.chain,
            "facts": understood.analysis.facts,
            "signatures": signed.signatures,
            "custodians": signed.view.participants,
            "attempts": signed.view.attempts,
            "notes": signed.view.notes,
        });
        add_signed(&mut done, args.payload.chain, &signed.assembled);
        return output::json(&done);
    }
    let names: Vec<_> = signed
        .view
        .participants
        .iter()
        .map(|p| p.as_str())
        .collect();
    let ids: Vec<_> = signed.assembled.iter().map(|one| one.id.as_str()).collect();
    eprintln!("signed by {}; id {}", names.join(" and "), ids.join(", "));
    match &args.out {
        Some(file) => eprintln!("written to {}", file.display()),
        None => println!("{text}"),
    }
    Ok(())
}
