//! Requests, approvals and policies.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use quorate_types::{IntentHash, OperatorId, PersonId};

use super::PayloadArgs;

#[derive(Debug, Subcommand)]
pub enum RequestCommand {
    /// The latest requests
    #[command(after_help = "Example:\n  quorate request list")]
    List,
    /// One request: what it does, who said what, what is missing, and its signature once it has one
    #[command(
        after_help = "Examples:\n  quorate request show 3f2a...\n  quorate request show 3f2a... --wait --out signed.txt"
    )]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The request's hash; as many of its first digits as make it unique
    pub request: String,
    /// Wait until it is signed, refused or expired
    #[arg(long)]
    pub wait: bool,
    /// Where the signed transaction goes, if it is signed
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The request is decoded here and shown before anything is signed.

Examples:
  quorate --client people/ann/client.toml approve 3f2a...
  quorate --client people/ann/client.toml approve 3f2a... --passkey
  quorate --client people/ben/client.toml reject 3f2a..."
)]
pub struct ApproveArgs {
    /// The request's hash; as many of its first digits as make it unique
    pub request: String,
    /// Sign with a passkey in this machine's browser instead of the key file
    #[arg(long)]
    pub passkey: bool,
    /// How long it counts, at most 7d
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub valid_for: humantime::Duration,
    /// Do not ask again
    #[arg(long, short = 'y')]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  quorate --client people/ann/client.toml freeze --reason 'ben lost his laptop'"
)]
pub struct FreezeArgs {
    /// Why, for everyone
    #[arg(long)]
    pub reason: String,
    /// Do not ask again
    #[arg(long, short = 'y')]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show the policy in force: its version, who signed it; with --toml its text, exactly
    #[command(
        after_help = "The text in force is where the next version begins: it has everybody who is in the policy now.\n\nExamples:\n  quorate policy show\n  quorate policy show --toml > policy.toml\n  quorate policy show --toml --version 3"
    )]
    Show(PolicyShowArgs),
    /// Write a text to begin with, for a cluster that is yet to be made
    #[command(after_help = "Example:\n  quorate policy init --out policy.toml")]
    Init(PolicyInitArgs),
    /// Compile a text and check it strictly; nothing is sent anywhere
    #[command(after_help = "Example:\n  quorate policy check policy.toml")]
    Check(PolicyFileArgs),
    /// Show the rules that a text or bundle comes to; without one, those in force
    #[command(
        after_help = "Examples:\n  quorate policy explain policy.toml\n  quorate policy explain --cedar"
    )]
    Explain(ExplainArgs),
    /// Judge a transaction, or past requests, by a text or bundle; without one, by the policy in force
    #[command(after_help = "Examples:
  quorate policy simulate --tx tx.json --key hot --chain ethereum
  quorate policy simulate policy.toml --tx tx.json --key hot --chain ethereum --approved-by ann --approved-by ben
  quorate policy simulate policy.toml --past")]
    Simulate(Box<SimulateArgs>),
    /// What a text or bundle changes against the policy in force
    #[command(after_help = "Example:\n  quorate policy diff policy.toml")]
    Diff(PolicyFileArgs),
    /// Sign a text, or a bundle that others signed, as an admin
    #[command(after_help = "Examples:
  quorate --client admins/admin-1/client.toml policy sign policy.toml --out bundle.json
  quorate --client admins/admin-2/client.toml policy sign bundle.json --out bundle.json")]
    Sign(PolicySignArgs),
    /// Bring a signed bundle into force at every custodian
    #[command(after_help = "Example:\n  quorate policy publish bundle.json")]
    Publish(PolicyFileArgs),
    /// Every version, who signed it, and what it changed
    #[command(after_help = "Example:\n  quorate policy history")]
    History,
}

#[derive(Debug, Args)]
pub struct PolicyShowArgs {
    /// Print the text and nothing else
    #[arg(long)]
    pub toml: bool,
    /// Another version than the one in force
    #[arg(long, value_name = "NUMBER")]
    pub version: Option<u64>,
}

#[derive(Debug, Args)]
pub struct PolicyInitArgs {
    /// Where it goes; standard output if not given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PolicyFileArgs {
    /// A text (.toml) or a bundle (.json)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A text (.toml) or a bundle (.json)
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Show the Cedar they are evaluated as
    #[arg(long)]
    pub cedar: bool,
}

#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// A text (.toml) or a bundle (.json)
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A transaction, as for `quorate sign --in`; repeat for a batch
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "past",
        requires = "key",
        requires = "chain"
    )]
    pub tx: Vec<PathBuf>,
    /// The key it would be signed with
    #[arg(long)]
    pub key: Option<quorate_types::KeyName>,
    /// Which child of the key
    #[arg(long, default_value = "m")]
    pub path: quorate_types::DerivationPath,
    /// Its chain
    #[arg(long)]
    pub chain: Option<quorate_types::Network>,
    /// Who proposes it
    #[arg(long, default_value = "operator")]
    pub operator: OperatorId,
    /// Who approves it; repeat for more
    #[arg(long, value_name = "PERSON")]
    pub approved_by: Vec<PersonId>,
    /// How long it has been waiting
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub waited: humantime::Duration,
    /// Judge the orchestrator's latest requests instead, each at its own time with what was spent before it
    #[arg(long)]
    pub past: bool,
}

impl SimulateArgs {
    /// As `quorate sign` takes it.
    pub fn payload(&self) -> Option<PayloadArgs> {
        if self.tx.is_empty() {
            return None;
        }
        Some(PayloadArgs {
            key: self.key.clone()?,
            path: self.path.clone(),
            chain: self.chain,
            input: self.tx.clone(),
            message: Vec::new(),
            typed_data: Vec::new(),
        })
    }
}

#[derive(Debug, Args)]
pub struct PolicySignArgs {
    /// A text (.toml), which becomes the next version, or a bundle (.json)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the signed bundle goes
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Lift this freeze order; repeat for more. `quorate status` shows those in force
    #[arg(long, value_name = "HASH")]
    pub unfreeze: Vec<quorate_types::Hash32>,
    /// Lift every freeze order that is in force with custodians that answer
    #[arg(long, conflicts_with = "unfreeze")]
    pub unfreeze_all: bool,
    /// Do not ask again
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// A full hash, or nothing where the text is only its beginning.
pub fn whole_hash(text: &str) -> Option<IntentHash> {
    text.parse().ok()
}
