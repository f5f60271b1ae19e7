//! `quorate restore`.

use quorate_party_agent::backup::{Restored, StorePassphrase, Verified, check_vacant, restore};
use quorate_party_agent::passphrase::obtain;
use quorate_service::now_ms;
use serde_json::{Value, json};

use super::backup::{open_verified, opener, read};
use crate::args::{IntoArgs, RestoreArgs};
use crate::exit::misuse;
use crate::output;

/// Restores a custodian.
pub async fn run(args: RestoreArgs, json: bool) -> anyhow::Result<()> {
    check_vacant(&args.into.into)?;
    let found = read(&args.from).await?;
    let opener = opener(&args.open)?;
    let verified = open_verified(&args.from, &found, &opener, args.roster.as_deref())?;
    if let Some(key) = &args.identity_key {
        check_identity(&verified, key)?;
    }
    let restored = write(&verified, &args.into, found.known_counter)?;
    report(&verified, &restored, &[], json)
}

/// Whether the custodian whose backup it is has this identity key, which then signed it.
fn check_identity(backup: &Verified, key: &str) -> anyhow::Result<()> {
    let mut expected = [0; 32];
    if hex::decode_to_slice(key.trim(), &mut expected).is_err() {
        misuse!("{key:?} is no identity key; it has 64 hexadecimal digits");
    }
    let party = &backup.summary().party;
    let found = backup.roster().party(party).map(|entry| entry.identity);
    if found != Some(expected) {
        misuse!("the backup is by another identity key than {key}; nothing was written");
    }
    Ok(())
}

/// Writes the custodian's directory.
pub fn write(backup: &Verified, args: &IntoArgs, counter: u64) -> anyhow::Result<Restored> {
    let passphrase = match &args.new_passphrase_file {
        None => StorePassphrase::Generate,
        Some(file) => StorePassphrase::Given {
            passphrase: obtain(Some(file), "", "")?,
            file: file.clone(),
        },
    };
    let known = counter.max(args.known_counter);
    Ok(restore(backup, &args.into, passphrase, known, now_ms())?)
}

/// Says what was done and what happens next.
pub fn report(
    backup: &Verified,
    restored: &Restored,
    refused: &[String],
    json: bool,
) -> anyhow::Result<()> {
    let summary = backup.summary();
    if json {
        let summary: Value = serde_json::to_value(summary)?;
        return output::json(&json!({
            "restored": summary, "config": restored.config_file, "restore_counter": restored.counter, "refused": refused,
        }));
    }
    let config = restored.config_file.display();
    println!(
        "restored {} with {} keys, as of {}, to
  {config}",
        summary.party,
        summary.keys.len(),
        output::time(summary.made_at)
    );
    if restored.had_hardware {
        println!(
            "The store is under a passphrase now, and the shares are in it. Let hardware open it again with `quorate agent protector add`, then put its section into agent.toml."
        );
    }
    if let Some(token) = &restored.needs_token {
        println!(
            "The identity's signing key is in token {token:?}, which no backup has: the agent needs that token and its PIN in QUORATE_PIN or [hsm] pin_file."
        );
    }
    println!(
        "
Next
  1. Make sure that the old custodian never runs again: two copies of one would sign twice.
  2. Carry its passphrase off, or add a protector:  quorate agent protector add --config {config}
  3. Start it:  quorate agent run --config {config}
     This is restore {}; it takes part in nothing until its peers have confirmed what they saw of it. Keys and setups made after the
     backup are not there. Safe primes are searched for anew.",
        restored.counter
    );
    Ok(())
}
