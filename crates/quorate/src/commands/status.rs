//! `quorate status`.

use quorate_types::node::PoolStatus;
use quorate_types::{PartyId, WireVersion};

use crate::args::ClientArgs;
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
    let status = viewer.api.status().await?;
    if json {
        return output::json(&status);
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
                for order in &node.frozen {
                    println!("  {:<10} FROZEN by order {order}", "");
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
    Ok(())
}
