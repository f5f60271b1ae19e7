//! `quorate status`.

use quorate_api::ClusterStatus;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{PoolStatus, Standing};
use quorate_types::{PartyId, WireVersion};
use serde_json::json;

use crate::args::ClientArgs;
use crate::commands::affirmed::{InForce, described};
use crate::operator::Viewer;
use crate::output;

fn presignatures(pool: &PoolStatus) -> String {
    let signers: Vec<_> = pool.pool.signers.iter().map(PartyId::as_str).collect();
    format!(
        "{} of {} presignatures of key {} at {} with {}",
        pool.level,
        pool.high,
        pool.pool.key.short(),
        pool.pool.path,
        signers.join(", ")
    )
}

/// Shows how every custodian is.
pub async fn run(client: &ClientArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let (status, in_force) = tokio::join!(viewer.api.status(), InForce::ask(&viewer));
    let (status, in_force) = (status?, in_force?);
    if json {
        let mut found = serde_json::to_value(&status)?;
        if let serde_json::Value::Object(found) = &mut found {
            found.insert("orders".to_owned(), in_force.orders_in_json());
            let unknown = in_force.unknown.iter();
            let unknown = unknown.map(|(party, why)| json!({ "party": party, "problem": why }));
            found.insert("not_affirmed".to_owned(), unknown.collect());
        }
        return output::json(&found);
    }
    println!("cluster {} ({})", status.cluster, status.threshold);
    for party in &status.parties {
        match &party.status {
            Some(node) => {
                let committee = match &node.committee {
                    Some(committee) => format!(
                        "set up for ECDSA (session {})",
                        committee.record.session.short()
                    ),
                    None => format!(
                        "not set up for ECDSA, {} of {} primes ready",
                        node.primes, node.primes_needed
                    ),
                };
                let policy = match node.policy_version {
                    0 => "no policy".to_owned(),
                    version => format!("policy {version}"),
                };
                println!(
                    "  {:<10} online   {} keys, {} running, {policy}, {committee}, version {} (protocol {})",
                    party.party, node.keys, node.running, node.version, node.dialect.version
                );
                for pool in &node.pools {
                    println!("  {:<10} {}", "", presignatures(pool));
                }
                for ban in &node.bans {
                    println!(
                        "  {:<10} has banned {} from key {}: it failed a consistency check of DKLs23",
                        "",
                        ban.party,
                        ban.key.short()
                    );
                }
                if !node.frozen.is_empty() {
                    println!("  {:<10} FROZEN", "");
                }
                if !node.standing.is_serving() {
                    println!("  {:<10} {}", "", node.standing);
                }
                let theirs = node.dialect.version;
                if !theirs.works_with(WireVersion::CURRENT) {
                    println!("  {:<10} speaks version {theirs} of the protocol", "");
                }
                for stranger in &node.strangers {
                    println!(
                        "  {:<10} does not work with {stranger}: its version is not adjacent",
                        ""
                    );
                }
                if node.roster != viewer.roster.hash() {
                    println!("  {:<10} has another roster than this client", "");
                }
            }
            None => println!(
                "  {:<10} OFFLINE  {}",
                party.party,
                party.error.as_deref().unwrap_or("")
            ),
        }
    }
    print_orders(&in_force, &status);
    Ok(())
}

/// Freeze orders, each with whoever signed that it has it in force.
fn print_orders(in_force: &InForce, status: &ClusterStatus) {
    let orders = in_force.orders();
    for (order, with) in &orders {
        println!("FROZEN by order {}", order.canonical_hash());
        println!("  {}", described(order));
        let with: Vec<&str> = with.iter().map(|party| party.as_str()).collect();
        println!("  in force with {}", with.join(", "));
    }
    if !orders.is_empty() {
        println!(
            "  lift with: quorate policy sign policy.toml --unfreeze-all --out bundle.json, then publish"
        );
    }
    // Of one that is offline or sealed it is said above.
    let takes_part = |party: &PartyId| {
        let shown = status.parties.iter().find(|p| p.party == *party);
        let node = shown.and_then(|p| p.status.as_ref());
        node.is_some_and(|n| !matches!(n.standing, Standing::Sealed { .. }))
    };
    for (party, why) in in_force.unknown.iter().filter(|(p, _)| takes_part(p)) {
        println!("  {party} does not sign what is in force with it: {why}");
    }
}
