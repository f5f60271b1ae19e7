//! `quorate key`.

use anyhow::Context as _;
use quorate_api::{Delivery, ResultView};
use quorate_types::node::KeyListing;
use quorate_types::{Action, Curve, KeyName, KeyRecord, Protocol, ProtocolListing, Scheme};
use quorate_types::{KeyDiscard, OperatorId, ProblemCode, RefusalCode, SignedDiscard};
use serde_json::json;

use crate::args::{ClientArgs, CreateArgs, DiscardArgs, SetProtocolArgs};
use crate::exit::{declined, misuse, said, untrue};
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
    let place = |key: &KeyListing| (key.record.name.clone(), !key.active, key.record.id);
    keys.sort_by_key(place);
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
        let state = match key.active {
            true => String::new(),
            false => unfinished(&viewer, key),
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
    let named = viewer.named(name).await?;
    let others = named
        .unfinished
        .iter()
        .skip(usize::from(named.good.is_none()));
    let others: Vec<KeyListing> = others.cloned().collect();
    let key = named.good.or_else(|| named.unfinished.into_iter().next());
    let key = key.context("a name without keys")?;
    if json {
        let attested_by = viewer.roster.attesters(&key.record, &key.attestations);
        return output::json(&json!({
            "key": key, "attested_by": attested_by, "protocol": key.signs_by(), "unfinished": others,
        }));
    }
    print(&viewer, &key);
    if !key.active {
        println!("state       {}", unfinished(&viewer, &key));
    }
    for other in others {
        println!(
            "also        {}{}",
            other.record.id,
            unfinished(&viewer, &other)
        );
    }
    output::warn_of(key.signs_by());
    Ok(())
}

/// What is to be known of a key that never came into force.
fn unfinished(viewer: &Viewer, key: &KeyListing) -> String {
    let attested = viewer.roster.attesters(&key.record, &key.attestations);
    format!(
        "   UNFINISHED: attested by {} of {} custodians, do not use it; id {}",
        attested.len(),
        viewer.roster.parties().len(),
        key.record.id.short()
    )
}

/// Has custodians list unfinished keys no more.
pub async fn discard(client: &ClientArgs, args: &DiscardArgs, json: bool) -> anyhow::Result<()> {
    let operator = Operator::load(&client.client)?;
    let keys = operator.viewer.keys().await?;
    let wanted = to_discard(&keys, &args.key)?;
    for key in wanted.iter().filter(|_| !json) {
        eprintln!("  {}{}", key.record.id, unfinished(&operator.viewer, key));
    }
    if !args.yes && !output::confirmed("Discard this?", "discard")? {
        declined!("nothing was discarded");
    }
    let mut left = Vec::new();
    let mut discarded = Vec::new();
    for key in wanted {
        let discard = KeyDiscard {
            cluster: operator.viewer.roster.cluster_id(),
            operator: OperatorId::new(operator.name().as_str())?,
            key: key.record.id,
        };
        let signature = operator.sign_object(&discard);
        let signed = SignedDiscard { discard, signature };
        let deliveries = operator.viewer.api.discard(&signed).await?;
        // A custodian that never had a share has nothing to discard.
        let unknown = |d: &Delivery| {
            let refusal = d.refusal.as_ref();
            refusal.is_some_and(|r| r.code == RefusalCode::KeyUnknown)
        };
        let kept = deliveries.iter().filter(|d| !unknown(d));
        left.extend(kept.filter_map(|d| Some(format!("{}: {}", d.party, d.problem.as_ref()?))));
        discarded.push(key.record.id);
    }
    if !left.is_empty() {
        said!(
            ProblemCode::OrderIncomplete,
            "not discarded everywhere: {}",
            left.join("; ")
        );
    }
    match json {
        true => output::json(&json!({ "discarded": discarded })),
        false => {
            println!("discarded");
            Ok(())
        }
    }
}

/// The unfinished keys of a name, or the one of an id.
fn to_discard<'a>(keys: &'a [KeyListing], text: &str) -> anyhow::Result<Vec<&'a KeyListing>> {
    let named: Vec<&KeyListing> = keys
        .iter()
        .filter(|k| k.record.name.as_str() == text)
        .collect();
    let found = match named.is_empty() {
        false => named,
        true => {
            let of_id = keys.iter();
            let of_id: Vec<_> = of_id
                .filter(|k| k.record.id.to_string().starts_with(text))
                .collect();
            if of_id.len() > 1 {
                misuse!("more than one key's id begins with {text:?}; give more digits");
            }
            of_id
        }
    };
    if found.is_empty() {
        said!(
            RefusalCode::KeyUnknown,
            "no key is named {text:?}, or has an id that begins so; `quorate key list` shows those there are"
        );
    }
    let unfinished: Vec<_> = found.into_iter().filter(|k| !k.active).collect();
    if unfinished.is_empty() {
        said!(
            RefusalCode::KeyInForce,
            "{text} is a key in force, and there is no unfinished one of that name"
        );
    }
    Ok(unfinished)
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
