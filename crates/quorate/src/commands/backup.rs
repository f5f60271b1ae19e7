//! `quorate backup`.

use std::path::Path;

use anyhow::Context as _;
use quorate_party_agent::backup::{Made, Source, StoredBackup, Summary, Verified, make, verify};
use quorate_party_agent::passphrase::obtain;
use quorate_party_agent::{AgentConfig, control};
use quorate_service::now_ms;
use quorate_storage::backup::{
    self, Lock, ObjectName, Opener, ReadBackup, Reader, parse_identities,
};
use quorate_storage::blobs::BlobStores;
use quorate_storage::{escrow, read_private};
use quorate_types::{PartyId, ProblemCode};
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::{
    BackupCommand, BackupCreateArgs, BackupListArgs, BackupVerifyArgs, EscrowArgs, OpenArgs,
};
use crate::exit::{misuse, said};
use crate::output;

/// Carries a command out.
pub async fn run(command: BackupCommand, json: bool) -> anyhow::Result<()> {
    match command {
        BackupCommand::Create(args) => create(args, json).await,
        BackupCommand::List(args) => list(args, json).await,
        BackupCommand::Verify(args) => check(args, json).await,
        BackupCommand::Escrow(args) => make_escrow(&args, json),
    }
}

async fn create(args: BackupCreateArgs, json: bool) -> anyhow::Result<()> {
    let config: AgentConfig = quorate_service::load(&args.config)?;
    if control::is_running(&config.data).await {
        return ask_agent(&args, &config, json).await;
    }
    let lock = lock(&args, &config)?;
    let urls = match (&args.out, args.to.as_slice(), &config.backup) {
        (Some(_), _, _) => Vec::new(),
        (None, [], Some(settings)) => settings.stores.clone(),
        (None, [], None) => {
            misuse!("where to? name --out FILE or --to URL, or put [backup] into agent.toml")
        }
        (None, named, _) => named.to_vec(),
    };
    let stores = match urls.as_slice() {
        [] => None,
        urls => Some(BlobStores::open(urls)?),
    };
    if let Some(out) = args.out.as_deref().filter(|out| out.exists()) {
        misuse!("{} exists already and is not overwritten", out.display());
    }
    let source = Source::open(&args.config)?;
    let Made { name, bytes, keys } = make(&source, lock, now_ms()).await?;
    drop(source);
    let mut stored = Vec::new();
    let mut failed = Vec::new();
    if let Some(out) = &args.out {
        output::new_file(out, &bytes)?;
        stored.push(out.display().to_string());
    }
    if let Some(stores) = stores {
        let report = stores.put_new(&name.to_string(), &bytes).await?;
        stored.extend(report.stored.iter().map(|url| object_url(url, &name)));
        failed = report.failed;
    }
    let made = StoredBackup {
        name: name.to_string(),
        made_at: name.made_at,
        keys: keys.len(),
        stored,
        failed,
    };
    say(&name.party, &made, json)
}

/// The store is open in the agent's process, so the agent makes the backup, by its own configuration only.
async fn ask_agent(
    args: &BackupCreateArgs,
    config: &AgentConfig,
    json: bool,
) -> anyhow::Result<()> {
    let chosen =
        args.out.is_some() || args.passphrase_file.is_some() || args.recipients_file.is_some();
    if chosen || !args.to.is_empty() || !args.recipient.is_empty() {
        misuse!(
            "the agent is running, and makes backups only to the stores and recipients of its own [backup]: leave the others out, or stop it first"
        );
    }
    let made = control::ask_backup(&config.data).await?;
    let name = ObjectName::parse(&made.name).context("the agent named its backup strangely")?;
    let stored = made.stored.iter().map(|url| object_url(url, &name));
    let stored = stored.collect();
    say(&config.party, &StoredBackup { stored, ..made }, json)
}

fn say(party: &PartyId, made: &StoredBackup, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&json!({ "party": party, "backup": made }));
    }
    for failure in &made.failed {
        eprintln!("warning: not stored in {failure}");
    }
    for place in &made.stored {
        println!("{place}");
    }
    println!(
        "{} keys of {party}. Prove that one would bring the custodian back:  quorate backup verify FILE|URL --identity key.txt",
        made.keys
    );
    Ok(())
}

/// What the command line says, else what the configuration does.
fn lock(args: &BackupCreateArgs, config: &AgentConfig) -> anyhow::Result<Lock> {
    if let Some(file) = &args.passphrase_file {
        return Ok(Lock::Passphrase(obtain(Some(file), "", "")?));
    }
    let mut recipients = args.recipient.clone();
    if let Some(file) = &args.recipients_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let lines = text.lines().map(str::trim);
        let named = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        recipients.extend(named.map(str::to_owned));
    }
    if recipients.is_empty() && args.recipients_file.is_none() {
        recipients.extend(config.backup.iter().flat_map(|b| b.recipients.clone()));
    }
    Ok(Lock::to_recipients(recipients)?)
}

/// A backup's whole address.
fn object_url(store: &str, name: &ObjectName) -> String {
    let (base, query) = store.split_once('?').unwrap_or((store, ""));
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}/{name}{mark}{query}", base.trim_end_matches('/'))
}

async fn list(args: BackupListArgs, json: bool) -> anyhow::Result<()> {
    let mut urls = args.from;
    let mut party = None;
    if let Some(file) = &args.config {
        let config: AgentConfig = quorate_service::load(file)?;
        let settings = config.backup.with_context(|| {
            format!(
                "{} has no [backup]; name a store with --from",
                file.display()
            )
        })?;
        urls = settings.stores;
        party = Some(config.party);
    }
    let below = party.as_ref().map_or("", |party| party.as_str());
    let mut rows = Vec::new();
    let mut unreachable = Vec::new();
    for url in &urls {
        match BlobStores::open([url])?.list(below).await {
            Ok(names) => {
                let names = names.iter().filter_map(|name| ObjectName::parse(name));
                rows.extend(names.map(|name| (object_url(url, &name), name)));
            }
            Err(error) => unreachable.push(error.to_string()),
        }
    }
    if rows.is_empty() && !unreachable.is_empty() {
        said!(
            ProblemCode::Unreachable,
            "no backup was found where stores answer, and some do not: {}",
            unreachable.join("; ")
        );
    }
    rows.sort_by_key(|(_, name)| name.made_at);
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(url, name)| {
                json!({ "party": name.party, "made_at": name.made_at, "restore_counter": name.restore_counter, "url": url })
            })
            .collect();
        return output::json(&json!({ "backups": rows, "unreachable": unreachable }));
    }
    for error in unreachable {
        eprintln!("warning: {error}");
    }
    for (url, name) in rows {
        println!("{}  {}  {url}", output::time(name.made_at), name.party);
    }
    Ok(())
}

async fn check(args: BackupVerifyArgs, json: bool) -> anyhow::Result<()> {
    let found = read(&args.backup).await?;
    let verified = open_verified(
        &args.backup,
        &found,
        &opener(&args.open)?,
        args.roster.as_deref(),
    )?;
    if json {
        return output::json(verified.summary());
    }
    print_summary(verified.summary());
    Ok(())
}

fn print_summary(summary: &Summary) {
    println!(
        "good: a backup of {} made {}",
        summary.party,
        output::time(summary.made_at)
    );
    println!("  identity keys are those of its roster {}", summary.roster);
    for key in &summary.keys {
        println!(
            "  share of {} ({}, epoch {}) fits its public share and its record",
            key.name, key.curve, key.epoch
        );
    }
    println!(
        "  auxiliary information of {} committee setups",
        summary.committees
    );
    if summary.without_record > 0 {
        println!(
            "  {} items without a record, as interrupted ceremonies leave them; kept, not verified",
            summary.without_record
        );
    }
}

/// A backup from a file or store.
pub async fn read(from: &str) -> anyhow::Result<ReadBackup> {
    Ok(Reader::parse(from).read(now_ms()).await?)
}

/// Opens and verifies; `roster` is the one it must have.
pub fn open_verified(
    from: &str,
    found: &ReadBackup,
    opener: &Opener,
    roster: Option<&Path>,
) -> anyhow::Result<Verified> {
    let opened = backup::open(&found.bytes, opener).with_context(|| from.to_owned())?;
    if let Some(name) = &found.name {
        name.check(&opened.manifest)?;
    }
    let roster = roster.map(quorate_service::load_roster).transpose()?;
    verify(opened, roster.as_deref()).with_context(|| from.to_owned())
}

/// What opens a backup, from files, environment or terminal.
pub fn opener(args: &OpenArgs) -> anyhow::Result<Opener> {
    if let Some(file) = &args.identity {
        return Ok(Opener::Identities(identities(file)?));
    }
    let file = args.passphrase_file.as_deref();
    let passphrase = obtain(
        file,
        "QUORATE_BACKUP_PASSPHRASE",
        "Passphrase of the backup: ",
    )?;
    Ok(Opener::Passphrase(passphrase))
}

/// The identities in a file.
pub fn identities(file: &Path) -> anyhow::Result<Vec<backup::AgeIdentity>> {
    let bytes = Zeroizing::new(read_private(file, 1 << 16)?);
    let text = std::str::from_utf8(&bytes).context("not text");
    text.and_then(|text| Ok(parse_identities(text)?))
        .with_context(|| file.display().to_string())
}

fn make_escrow(args: &EscrowArgs, json: bool) -> anyhow::Result<()> {
    if args.out.exists() {
        misuse!(
            "{} exists already and is not overwritten",
            args.out.display()
        );
    }
    let source = Source::open(&args.config)?;
    let keys = &source.opened.keys;
    let (party, identity) = (source.party(), keys.identity());
    let package = escrow::create(
        party,
        identity,
        args.threshold,
        &args.custodian,
        now_ms(),
        |message| keys.sign(message),
    )?;
    output::new_file(&args.out, &package.to_json()?)?;
    if json {
        return output::json(&json!({
            "party": party, "threshold": package.threshold(), "recipient": package.recipient(), "package": package.hash(),
        }));
    }
    println!(
        "{} recovery custodians open backups of {party} that are encrypted to

  {}

{} is not secret: keep copies where the backups are. Put the recipient into agent.toml:

  [backup]
  stores = [\"file:///var/backups/quorate\"]      # where yours are to go
  recipients = [\"{}\"]

Then rehearse:  quorate drill --config {}",
        package.threshold(),
        package.recipient(),
        args.out.display(),
        package.recipient(),
        args.config.display()
    );
    Ok(())
}
