//! `quorate init`.

use anyhow::Context as _;
use quorate_types::Threshold;
use serde_json::json;

use crate::args::InitArgs;
use crate::output;
use crate::provision::{self, Spec};

/// A policy's text from a file.
fn policy_text(args: &InitArgs) -> anyhow::Result<String> {
    match &args.policy {
        Some(file) => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        }
        None => Ok(provision::plain_policy(args.network)),
    }
}

/// Writes a new cluster's directory.
pub fn run(args: &InitArgs, json: bool) -> anyhow::Result<()> {
    let spec = Spec {
        threshold: Threshold::new(args.threshold, args.parties)?,
        name: args.name.clone(),
        host: args.host.clone(),
        nats_port: args.nats_port,
        api_port: args.api_port,
        admins: (
            args.admins,
            args.admin_quorum.unwrap_or(args.admins / 2 + 1),
        ),
        approvers: args.approver.clone(),
        policy: policy_text(args)?,
    };
    provision::create(&args.dir, &spec, |what| {
        if !json {
            println!("writing {what}");
        }
    })?;
    if json {
        return output::json(&json!({ "directory": args.dir, "threshold": spec.threshold }));
    }
    let dir = args.dir.display();
    println!(
        "
{} cluster in {dir}

  {dir}/custodians/party-N   give each to its custodian, alone, then delete it here; with its passphrase by another way
  {dir}/nats                 for the NATS server:   nats-server -c nats.conf  (in that directory)
  {dir}/orchestrator         for the orchestrator:  quorate orchestrator run --config orchestrator.toml
  {dir}/operator             for the operator:      quorate --client client.toml status
  {dir}/admins/admin-N       give each to its admin: they sign policies; {dir}/policy has the first one
  {dir}/people               one directory for each approver, if there are any
  {dir}/ca                   keep offline: whoever has ca.key can admit anyone to NATS

Each custodian runs:  quorate agent run --config agent.toml
Everything on this machine, to try it:  quorate up --dir {dir}",
        spec.threshold
    );
    Ok(())
}
