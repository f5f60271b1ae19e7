//! `quorate init`.

use quorate_types::Threshold;
use serde_json::json;

use crate::args::InitArgs;
use crate::output;
use crate::provision::{self, Spec};

/// Writes a new cluster's directory.
pub fn run(args: &InitArgs, json: bool) -> anyhow::Result<()> {
    let spec = Spec {
        threshold: Threshold::new(args.threshold, args.parties)?,
        name: args.name.clone(),
        host: args.host.clone(),
        nats_port: args.nats_port,
        api_port: args.api_port,
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
  {dir}/ca                   keep offline: whoever has ca.key can admit anyone to NATS

Each custodian runs:  quorate agent run --config agent.toml
Everything on this machine, to try it:  quorate up --dir {dir}",
        spec.threshold
    );
    Ok(())
}
