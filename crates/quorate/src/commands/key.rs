//! `quorate key`.

use anyhow::bail;
use quorate_api::ResultView;
use quorate_types::node::KeyListing;
use quorate_types::{Action, Curve, KeyName, KeyRecord, Scheme};
use serde_json::json;

use crate::args::{ClientArgs, CreateArgs};
use crate::operator::{Operator, Viewer};
use crate::output;

/// Creates a key and checks that every custodian attests it.
pub async fn create(client: &ClientArgs, args: CreateArgs, json: bool) -> anyhow::Result<()> {
    let scheme = args.scheme.unwrap_or(args.curve.default_scheme());
    if !args.curve.supports(scheme) {
        bail!("{} has no scheme {scheme}", args.curve);
    }
    let operator = Operator::load(&client.client)?;
    let listing = run(&operator, &args.name, args.curve, scheme, args.raw_signing).await?;
    if json {
        return output::json(&listing);
    }
    print(&operator.viewer, &listing);
    Ok(())
}

/// The same without printing.
pub async fn run(
    operator: &Operator,
    name: &KeyName,
    curve: Curve,
    scheme: Scheme,
    raw_signing: bool,
) -> anyhow::Result<KeyListing> {
    let intent = operator.sign(Action::CreateKey {
        name: name.clone(),
        curve,
        scheme,
        raw_signing,
    })?;
    let view = operator.viewer.api.run(&intent).await?;
    match super::request::finished(operator, view, true).await?.result {
        Some(ResultView::Key(listing)) => {
            operator.viewer.check_new(&listing)?;
            Ok(*listing)
        }
        _ => bail!("the orchestrator reports something other than a key"),
    }
}

/// Lists keys.
pub async fn list(client: &ClientArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let mut keys = viewer.keys().await?;
    keys.sort_by(|a, b| a.record.name.cmp(&b.record.name));
    if json {
        return output::json(&keys);
    }
    if keys.is_empty() {
        println!("no keys yet; make one with: quorate key create --curve secp256k1 --name hot");
    }
    for key in &keys {
        let KeyRecord {
            name,
            scheme,
            public_key,
            threshold,
            ..
        } = &key.record;
        let state = if key.active {
            ""
        } else {
            "   NOT ATTESTED BY EVERY CUSTODIAN"
        };
        println!(
            "{name:<20} {:<10} {scheme:<7} {threshold}  {public_key}{state}",
            public_key.curve()
        );
    }
    Ok(())
}

/// Shows one key.
pub async fn show(client: &ClientArgs, name: &KeyName, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let keys = viewer.keys().await?;
    let Some(key) = keys.into_iter().find(|k| k.record.name == *name) else {
        bail!("no key named {name}; `quorate key list` shows the keys there are");
    };
    if json {
        let attested_by = viewer.roster.attesters(&key.record, &key.attestations);
        return output::json(&json!({ "key": key, "attested_by": attested_by }));
    }
    print(&viewer, &key);
    Ok(())
}

fn print(viewer: &Viewer, key: &KeyListing) {
    let KeyRecord {
        id,
        name,
        scheme,
        public_key,
        chain_code,
        epoch,
        threshold,
        committee,
        raw_signing,
        ..
    } = &key.record;
    let attested = viewer.roster.attesters(&key.record, &key.attestations);
    let names = |parties: Vec<&str>| parties.join(", ");
    println!("key          {name}");
    println!("id           {id}");
    println!(
        "curve        {}, {scheme}, signed by {}",
        public_key.curve(),
        scheme.protocol()
    );
    println!("public key   {public_key}");
    println!("chain code   {chain_code}");
    println!("threshold    {threshold}, share generation {epoch}");
    println!(
        "committee    {}",
        names(committee.iter().map(|p| p.as_str()).collect())
    );
    println!(
        "attested by  {}",
        names(attested.iter().map(|p| p.as_str()).collect())
    );
    println!(
        "raw signing  {}",
        if *raw_signing { "allowed" } else { "no" }
    );
}
