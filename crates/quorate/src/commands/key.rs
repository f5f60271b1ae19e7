//! `quorate key`.

use anyhow::Context as _;
use quorate_api::ResultView;
use quorate_types::RefusalCode;
use quorate_types::node::KeyListing;
use quorate_types::{Action, Curve, KeyName, KeyRecord, Protocol, ProtocolListing, Scheme};
use serde_json::json;

use crate::args::{ClientArgs, CreateArgs, SetProtocolArgs};
use crate::exit::{misuse, said, untrue};
use crate::operator::{Operator, Viewer};
use crate::output;

/// Creates a key and checks that every custodian attests it.
pub async fn create(client: &ClientArgs, args: CreateArgs, json: bool) -> anyhow::Result<()> {
    let scheme = args.scheme.unwrap_or(args.curve.default_scheme());
    if !args.curve.supports(scheme) {
        misuse!("{} has no scheme {scheme}", args.curve);
    }
    let protocol = args.protocol.unwrap_or(scheme.default_protocol());
    if !protocol.signs(scheme) {
        misuse!("{protocol} does not sign {scheme}");
    }
    let operator = Operator::load(&client.client)?;
    let mut listing = run(&operator, &args.name, args.curve, scheme, args.raw_signing).await?;
    if protocol != listing.signs_by() {
        let changed = change(&operator, &listing.record, (protocol, false), json).await;
        listing.protocol = Some(changed.with_context(|| {
            format!(
                "key {0} is made, and signed for by {1} until: quorate key set-protocol {0} {protocol}",
                args.name,
                listing.signs_by()
            )
        })?);
    }
    output::warn_of(protocol);
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
        _ => untrue!("the orchestrator reports something other than a key"),
    }
}

/// Has another protocol sign for a key.
pub async fn set_protocol(
    client: &ClientArgs,
    args: &SetProtocolArgs,
    json: bool,
) -> anyhow::Result<()> {
    let operator = Operator::load(&client.client)?;
    let key = operator.viewer.key(&args.name).await?;
    let listing = change(&operator, &key, (args.protocol, args.renew), json).await?;
    output::warn_of(args.protocol);
    if json {
        return output::json(&listing);
    }
    println!(
        "{} signs for key {} from now on (change {})",
        listing.record.protocol, key.name, listing.record.sequence
    );
    Ok(())
}

async fn change(
    operator: &Operator,
    key: &KeyRecord,
    (protocol, renew): (Protocol, bool),
    quiet: bool,
) -> anyhow::Result<ProtocolListing> {
    let intent = operator.sign(Action::SetProtocol {
        key: key.id,
        protocol,
        renew,
    })?;
    let view = operator.viewer.api.run(&intent).await?;
    let view = super::request::finished(operator, view, quiet).await?;
    for note in view.notes.iter().filter(|_| !quiet) {
        eprintln!("note: {note}");
    }
    match view.result {
        Some(ResultView::Protocol(listing))
            if listing.record.protocol == protocol
                && listing.is_good(key, &operator.viewer.roster) =>
        {
            Ok(*listing)
        }
        _ => untrue!("the orchestrator reports a change that not every custodian has signed for"),
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
            "{name:<20} {:<10} {scheme:<7} {:<8} {threshold}  {public_key}{state}",
            public_key.curve(),
            key.signs_by(),
        );
    }
    if let Some(unaudited) = keys.iter().find(|key| key.signs_by().warning().is_some()) {
        output::warn_of(unaudited.signs_by());
    }
    Ok(())
}

/// Shows one key.
pub async fn show(client: &ClientArgs, name: &KeyName, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let keys = viewer.keys().await?;
    let Some(key) = keys.into_iter().find(|k| k.record.name == *name) else {
        said!(
            RefusalCode::KeyUnknown,
            "no key named {name}; `quorate key list` shows the keys there are"
        );
    };
    if json {
        let attested_by = viewer.roster.attesters(&key.record, &key.attestations);
        return output::json(
            &json!({ "key": key, "attested_by": attested_by, "protocol": key.signs_by() }),
        );
    }
    print(&viewer, &key);
    output::warn_of(key.signs_by());
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
        key.signs_by()
    );
    if let Some(protocol) = &key.protocol {
        println!(
            "protocol     change {}, attested by every custodian",
            protocol.record.sequence
        );
    }
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
