//! Backups, restores, escrow.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use quorate_storage::escrow::Custodian;

#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Make a backup of a custodian, by its agent if that is running
    Create(BackupCreateArgs),
    /// List the backups in blob stores
    List(BackupListArgs),
    /// Prove that a backup opens and that every share in it is right, without writing anything
    Verify(BackupVerifyArgs),
    /// Split a new backup key among recovery custodians, t of whom bring it back
    Escrow(EscrowArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate backup create --config agent.toml --out backup.age --recipient age1...
  quorate backup create --config agent.toml --out backup.age --passphrase-file words.txt
  quorate backup create --config agent.toml       to the stores and recipients that its [backup] names; also while the agent runs

The file opens without this program:  age -d -i key.txt backup.age | tar t
The agent makes backups by itself while it runs, if agent.toml has:

  [backup]
  stores = [\"file:///var/backups/quorate\", \"s3://bucket/quorate?region=eu-central-1\"]
  recipients = [\"age1...\"]
  every = \"24h\"
  keep = 30")]
pub struct BackupCreateArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Write the backup to this new file
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    pub out: Option<PathBuf>,
    /// Put the backup into this blob store; repeat for several
    #[arg(long, value_name = "URL")]
    pub to: Vec<String>,
    /// Encrypt to this age recipient; repeat for several
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "passphrase_file")]
    pub recipient: Vec<String>,
    /// Encrypt to the age recipients in this file, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub recipients_file: Option<PathBuf>,
    /// Encrypt to the passphrase in this file, 0600
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate backup list --config agent.toml
  quorate backup list --from file:///var/backups/quorate")]
pub struct BackupListArgs {
    /// The agent's configuration file, for the stores that its [backup] names
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    pub config: Option<PathBuf>,
    /// A blob store; repeat for several
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub from: Vec<String>,
}

/// What opens a backup.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// File with the age identity that opens the backup, 0600
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// File with the passphrase that opens the backup, 0600; without it and --identity, QUORATE_BACKUP_PASSPHRASE is taken, or asked for
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate backup verify backup.age --identity key.txt
  quorate backup verify file:///var/backups/quorate --identity key.txt       the newest one there")]
pub struct BackupVerifyArgs {
    /// A file, a backup's URL as `backup list` shows it, or a store's URL for the newest in it
    #[arg(value_name = "FILE|URL")]
    pub backup: String,
    #[command(flatten)]
    pub open: OpenArgs,
    /// The roster that the backup must have
    #[arg(long, value_name = "FILE")]
    pub roster: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate backup escrow --config agent.toml --threshold 2 --custodian alice=age1... \\
      --custodian bob=age1... --custodian carol=age1... --out escrow.json

Custodians make their identities with `age-keygen -o key.txt`. The package is not secret: keep copies where the backups are.
Backups are then made to the recipient that this prints.")]
pub struct EscrowArgs {
    /// The agent's configuration file; the agent must be stopped
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How many recovery custodians bring the key back (t); at least 2
    #[arg(long)]
    pub threshold: u16,
    /// A recovery custodian; one for each of the n
    #[arg(long, value_name = "NAME=RECIPIENT", required = true)]
    pub custodian: Vec<Custodian>,
    /// The new package file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Where and how a custodian is restored.
#[derive(Debug, Args)]
pub struct IntoArgs {
    /// The custodian's new directory; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// File with the restored store's passphrase, 0600; without it one is made and left beside the store, as `init` does
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    /// The highest restore counter that peers have seen of this party, if the backup is older than an earlier restore. Found by itself in a blob store
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub known_counter: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate restore --from backup.age --identity key.txt --roster roster.json --into party-1
  quorate restore --from s3://bucket/quorate?region=eu-central-1 --identity key.txt --roster roster.json --into party-1

Whoever knows a recipient can encrypt something to it, and with a backup comes a configuration, which may name a library to load: so
the roster must come from elsewhere, another custodian say, or at least the custodian's identity key. Never run the restored custodian and the old one both. The restored one takes part in nothing until its peers have confirmed
what they saw of it.")]
pub struct RestoreArgs {
    /// A file, a backup's URL as `backup list` shows it, or a store's URL for the newest in it
    #[arg(long, value_name = "FILE|URL")]
    pub from: String,
    #[command(flatten)]
    pub open: OpenArgs,
    #[command(flatten)]
    pub into: IntoArgs,
    /// The roster that the backup must have
    #[arg(long, value_name = "FILE", required_unless_present = "identity_key")]
    pub roster: Option<PathBuf>,
    /// The custodian's public identity key, which must have signed the backup: 64 hexadecimal
    /// digits, as every roster has them
    #[arg(long, value_name = "HEX")]
    pub identity_key: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum RecoverCommand {
    /// Begin: make a request for the recovery custodians
    Start(RecoverStartArgs),
    /// As a recovery custodian: hand your part on, sealed to whoever asks
    Contribute(ContributeArgs),
    /// Check the contributions, bring the key back, verify and restore a backup
    Finish(RecoverFinishArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate recover start --package escrow.json --reason 'Ann, disk of party-1 lost' --out request.json --state recovery-state.json

Send request.json and escrow.json to the recovery custodians, and read the fingerprint to each of them over the phone.")]
pub struct RecoverStartArgs {
    /// The escrow package
    #[arg(long, value_name = "FILE")]
    pub package: PathBuf,
    /// Who asks and why, for the custodians
    #[arg(long, default_value = "")]
    pub reason: String,
    /// The new request file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The new state file, secret, for `recover finish`
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
    /// The roster that must have the package's party
    #[arg(long, value_name = "FILE")]
    pub roster: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate recover contribute --package escrow.json --request request.json --identity key.txt --out contribution.json")]
pub struct ContributeArgs {
    /// The escrow package
    #[arg(long, value_name = "FILE")]
    pub package: PathBuf,
    /// The request
    #[arg(long, value_name = "FILE")]
    pub request: PathBuf,
    /// File with your age identity, 0600
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// The new contribution file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The roster that must have the package's party
    #[arg(long, value_name = "FILE")]
    pub roster: Option<PathBuf>,
    /// Contribute without asking; without it, a terminal is asked and anything else is refused
    #[arg(long, short = 'y')]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate recover finish --package escrow.json --state recovery-state.json --contribution alice.json \\
      --contribution bob.json --backup backup.age --into party-1")]
pub struct RecoverFinishArgs {
    /// The escrow package
    #[arg(long, value_name = "FILE")]
    pub package: PathBuf,
    /// The state file of `recover start`
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
    /// A contribution; repeat for each. Bad ones are named and left out
    #[arg(long, value_name = "FILE", required = true)]
    pub contribution: Vec<PathBuf>,
    /// A file, a backup's URL, or a store's URL for the newest in it
    #[arg(long, value_name = "FILE|URL")]
    pub backup: String,
    #[command(flatten)]
    pub into: IntoArgs,
    /// The roster that the backup must have
    #[arg(long, value_name = "FILE")]
    pub roster: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate drill --config agent.toml --out transcript.json
  quorate drill --check transcript.json --roster roster.json

Makes a backup, splits its key among throwaway recovery custodians, brings it back with a quorum of them while a bad contribution
is refused, restores into a temporary directory, compares every secret, deletes it all and signs what happened.")]
pub struct DrillArgs {
    /// The agent's configuration file; the agent must be stopped
    #[arg(long, value_name = "FILE", required_unless_present = "check")]
    pub config: Option<PathBuf>,
    /// How many throwaway custodians bring the key back (t)
    #[arg(long, default_value_t = 2)]
    pub threshold: u16,
    /// How many throwaway custodians there are (n)
    #[arg(long, default_value_t = 3)]
    pub custodians: u16,
    /// Also write the transcript to this new file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Check this transcript instead
    #[arg(long, value_name = "FILE", requires = "roster", conflicts_with_all = ["config", "out"])]
    pub check: Option<PathBuf>,
    /// The roster whose party must have signed the transcript
    #[arg(long, value_name = "FILE", requires = "check")]
    pub roster: Option<PathBuf>,
}
