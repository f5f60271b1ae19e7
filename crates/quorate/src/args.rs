//! The command line.

mod passkey;
mod policy;
mod recovery;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use quorate_orchestrator::command::OrchestratorArgs;
use quorate_party_agent::command::{
    AcceptPolicyArgs, AgentArgs, LiftBanArgs, LocalArgs, UnsealArgs,
};
use quorate_party_agent::identity_command::IdentityCommand;
use quorate_party_agent::protector::ProtectorCommand;
use quorate_types::{
    BitcoinNetwork, Curve, DerivationPath, KeyName, Network, PersonId, Protocol, Scheme,
};

pub use passkey::*;
pub use policy::*;
pub use recovery::*;

/// Threshold custody: n custodians hold shares, any t of them sign, no one holds a key
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  quorate demo                                      everything once, on this machine
  quorate up                                        a 2-of-3 cluster that stays
  quorate committee setup                           once, before the first ECDSA signature
  quorate key create --curve secp256k1 --name hot
  quorate address --key hot --chain ethereum --path m/0/7
  quorate sign --key hot --path m/0/7 --chain ethereum --in tx.json --out signed.txt"
)]
pub struct Cli {
    #[command(flatten)]
    pub client: ClientArgs,
    /// Print JSON, errors included
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the operator's files are.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// The operator's configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "QUORATE_CLIENT",
        default_value = "quorate-cluster/operator/client.toml"
    )]
    pub client: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show version, commit, features, protocol and formats
    #[command(after_help = "Example:
  quorate version --json")]
    Version,
    /// Write everything a new cluster needs into a directory
    Init(InitArgs),
    /// Run a whole cluster on this machine until Ctrl-C
    Up(UpArgs),
    /// Show the main job once: a cluster, keys, real transactions, a custodian stopped half-way
    Demo(DemoArgs),
    /// How every custodian is
    Status,
    /// The committee as a whole
    #[command(subcommand)]
    Committee(CommitteeCommand),
    /// Keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// The address of a key or of one of its children
    Address(AddressArgs),
    /// Sign a transaction or a message
    Sign(SignArgs),
    /// Requests: what waits for whom, what became of it
    #[command(subcommand)]
    Request(RequestCommand),
    /// Approve a request, after reading what it does
    Approve(ApproveArgs),
    /// Reject a request: it will not be signed, whoever else approves it
    Reject(ApproveArgs),
    /// Take an approval back, as long as the request has not begun to be signed
    Withdraw(ApproveArgs),
    /// Stop everything, as a guardian of the policy; lifting it takes the admins
    Freeze(FreezeArgs),
    /// The policy: what custodians sign, for whom
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Verify a signature made by a key
    Verify(VerifyArgs),
    /// Passkeys of people who approve
    #[command(subcommand)]
    Passkey(PasskeyCommand),
    /// A custodian's agent
    #[command(subcommand)]
    Agent(RunAgent),
    /// The orchestrator
    #[command(subcommand)]
    Orchestrator(RunOrchestrator),
    /// Backups of a custodian
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Bring a custodian back from a backup, into a new directory
    Restore(RestoreArgs),
    /// Bring a custodian back whose backup key is in escrow
    #[command(subcommand)]
    Recover(RecoverCommand),
    /// Rehearse losing a custodian, on a copy
    Drill(DrillArgs),
}

impl Command {
    /// What is logged when `QUORATE_LOG` says nothing: services speak, tools do not.
    pub const fn default_log(&self) -> &'static str {
        match self {
            Self::Agent(RunAgent::Run(_)) | Self::Orchestrator(_) => "info",
            _ => "error",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum RunAgent {
    /// Run it
    Run(AgentArgs),
    /// Open a running agent's store
    #[command(
        after_help = "Example:\n  quorate agent unseal --config custodians/party-1/agent.toml"
    )]
    Unseal(UnsealArgs),
    /// Close a running agent's store: it forgets every secret and takes part in nothing until it is unsealed
    #[command(after_help = "Example:\n  quorate agent seal --config custodians/party-1/agent.toml")]
    Seal(LocalArgs),
    /// How a running agent is, and what it needs
    #[command(
        after_help = "Example:\n  quorate agent status --config custodians/party-1/agent.toml"
    )]
    Status(LocalArgs),
    /// Believe this machine's clock although it is before the last entry of the agent's ledger
    #[command(
        after_help = "Example:\n  quorate agent accept-clock --config custodians/party-1/agent.toml"
    )]
    AcceptClock(LocalArgs),
    /// Let a quarantined agent take part although peers that should answer are lost for good
    #[command(
        after_help = "An agent whose disk was restored waits until so many peers have said what they last heard from it that one of them must be\nhonest. With fewer, what only the others saw is not known: intents issued until now are refused all the same, and presignatures\ndestroyed. Make sure first that no other copy of this custodian runs.\n\nExample:\n  quorate agent accept-restore --config custodians/party-1/agent.toml"
    )]
    AcceptRestore(LocalArgs),
    /// Confirm the policy's version to a quarantined agent whose peers cannot
    #[command(
        after_help = "Whoever holds an old disk against the others' will could be made to enforce an old policy. Where so few peers answer that all of them\nmay be hostile, or all custodians must sign, only people can tell which version is in force: ask the admins, not the orchestrator.\n\nExample:\n  quorate agent accept-policy 7 --config custodians/party-1/agent.toml"
    )]
    AcceptPolicy(AcceptPolicyArgs),
    /// Let a custodian that failed a consistency check of DKLs23 sign with this one again
    #[command(
        after_help = "The check fails when the other custodian's program is broken or hostile, and each failure tells it something about the setup. Find out\nwhich before lifting a ban. Only setups made later are used with it again: quorate key set-protocol <key> dkls23 --renew\n\nExample:\n  quorate agent lift-ban --key hot --party party-2 --config custodians/party-1/agent.toml"
    )]
    LiftBan(LiftBanArgs),
    /// What opens its store: passphrases, hardware security modules, TPMs, AWS KMS
    #[command(subcommand)]
    Protector(ProtectorCommand),
    /// Its identity, if that is in a hardware security module
    #[command(subcommand)]
    Identity(IdentityCommand),
}

#[derive(Debug, Subcommand)]
pub enum RunOrchestrator {
    /// Run it
    Run(OrchestratorArgs),
}

#[derive(Debug, Subcommand)]
pub enum CommitteeCommand {
    /// Generate the auxiliary information ECDSA signing needs, once per committee (about a minute)
    #[command(after_help = "Example:\n  quorate committee setup")]
    Setup,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Create a key: every custodian gets a share, nobody the key
    Create(CreateArgs),
    /// List the keys
    List,
    /// List a key no more that did not come into force, because its creation failed
    #[command(
        after_help = "Nothing that can sign is touched: a key that every custodian has attested is not discarded, and the shares of discarded ones stay in the\ncustodians' stores.\n\nExamples:\n  quorate key discard hot\n  quorate key discard 3f2a91c4"
    )]
    Discard(DiscardArgs),
    /// Have another protocol sign for an ECDSA key: the same shares, the same address
    SetProtocol(SetProtocolArgs),
    /// Show one key, with who attests it
    #[command(after_help = "Example:\n  quorate key show hot")]
    Show {
        /// The key's name
        name: KeyName,
    },
}

#[derive(Debug, Args)]
pub struct DiscardArgs {
    /// The name of unfinished keys, or the id of one; as many of its first digits as make it unique
    pub key: String,
    /// Do not ask again
    #[arg(long, short = 'y')]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate key create --curve secp256k1 --name hot
  quorate key create --curve secp256k1 --scheme bip340 --name vault
  quorate key create --curve secp256k1 --name fast --protocol dkls23
  quorate key create --curve ed25519 --name sol")]
pub struct CreateArgs {
    /// secp256k1, p256 or ed25519
    #[arg(long)]
    pub curve: Curve,
    /// ecdsa, bip340 or eddsa; the curve's usual one if not given
    #[arg(long)]
    pub scheme: Option<Scheme>,
    /// What signs for an ECDSA key: cggmp24, or dkls23, whose library nobody has audited. cggmp24 if not given
    #[arg(long)]
    pub protocol: Option<Protocol>,
    /// Its name: a-z, 0-9 and '-'
    #[arg(long)]
    pub name: KeyName,
    /// Let the key sign bytes of no chain's format, with `sign --message` and no --chain. Cannot be changed later
    #[arg(long)]
    pub raw_signing: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Every custodian takes part. Until all have agreed the old protocol signs. dkls23 signs in milliseconds without presignatures and without\na committee setup; the library it comes from has not been audited by anyone.\n\nExamples:
  quorate key set-protocol hot dkls23
  quorate key set-protocol hot dkls23 --renew          a new setup, after a custodian was restored or banned
  quorate key set-protocol hot cggmp24"
)]
pub struct SetProtocolArgs {
    /// The key's name
    pub name: KeyName,
    /// cggmp24 or dkls23
    pub protocol: Protocol,
    /// Make a new setup although dkls23 signs for the key already
    #[arg(long)]
    pub renew: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate init --parties 3 --threshold 2 my-cluster
  quorate init --parties 5 --threshold 3 --host nats.internal my-cluster
  quorate init --admins 3 --approver ann --approver ben --policy policy.toml my-cluster")]
pub struct InitArgs {
    /// How many custodians (n)
    #[arg(long, default_value_t = 3)]
    pub parties: u16,
    /// How many of them sign (t)
    #[arg(long, default_value_t = 2)]
    pub threshold: u16,
    /// The cluster's name
    #[arg(long, default_value = "quorate")]
    pub name: String,
    /// The host name under which custodians and operators reach NATS and the API
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// NATS port
    #[arg(long, default_value_t = 4222)]
    pub nats_port: u16,
    /// API port
    #[arg(long, default_value_t = 7777)]
    pub api_port: u16,
    /// How many admins there are, who sign policies
    #[arg(long, default_value_t = 1)]
    pub admins: u16,
    /// How many of them a policy needs; more than half if not given
    #[arg(long, value_name = "M")]
    pub admin_quorum: Option<u16>,
    /// Someone who may approve requests, in the group `approvers`; repeat for more
    #[arg(long, value_name = "NAME")]
    pub approver: Vec<PersonId>,
    /// The first policy's text, see `quorate policy init`; a plain one if not given
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The one Bitcoin network whose transactions are signed: bitcoin, testnet or regtest; with
    /// --policy its text says it, under [bitcoin]
    #[arg(long, default_value = "bitcoin", conflicts_with = "policy")]
    pub network: BitcoinNetwork,
    /// The new directory
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate up
  quorate up --network regtest --dir trial
  quorate up --parties 5 --threshold 3 --dir five")]
pub struct UpArgs {
    /// How many custodians (n), for a new cluster
    #[arg(long, default_value_t = 3)]
    pub parties: u16,
    /// How many of them sign (t), for a new cluster
    #[arg(long, default_value_t = 2)]
    pub threshold: u16,
    /// The cluster's directory; made if it is not there
    #[arg(long, default_value = "quorate-cluster")]
    pub dir: PathBuf,
    /// The one Bitcoin network whose transactions are signed, for a new cluster: bitcoin, testnet
    /// or regtest
    #[arg(long, default_value = "bitcoin")]
    pub network: BitcoinNetwork,
    /// Run everything in this process even if there is a nats-server
    #[arg(long)]
    pub in_process: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  quorate demo")]
pub struct DemoArgs {
    /// Keep the cluster's directory here instead of in a temporary one
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate address --key hot --chain ethereum
  quorate address --key vault --chain bitcoin-testnet --path m/0/7")]
pub struct AddressArgs {
    /// The key's name
    #[arg(long)]
    pub key: KeyName,
    /// ethereum, ethereum:<chain id>, bitcoin, bitcoin-testnet, bitcoin-regtest or solana
    #[arg(long)]
    pub chain: Network,
    /// Which child of the key
    #[arg(long, default_value = "m")]
    pub path: DerivationPath,
}

/// What is signed or was signed.
#[derive(Debug, Args)]
pub struct PayloadArgs {
    /// The key's name
    #[arg(long)]
    pub key: KeyName,
    /// Which child of the key
    #[arg(long, default_value = "m")]
    pub path: DerivationPath,
    /// The chain the payload is for; left out only for raw messages
    #[arg(long)]
    pub chain: Option<Network>,
    /// A file: an unsigned EVM transaction (JSON, or hex or binary RLP), a PSBT (base64 or binary), a Solana message (base64 or binary); repeat for a batch
    #[arg(long = "in", value_name = "FILE", group = "what")]
    pub input: Vec<PathBuf>,
    /// A text: EIP-191 on EVM chains; without --chain, raw bytes for keys created with --raw-signing; repeat for a batch
    #[arg(long, value_name = "TEXT", group = "what")]
    pub message: Vec<String>,
    /// A file with EIP-712 typed data as JSON; repeat for a batch
    #[arg(long, value_name = "FILE", group = "what")]
    pub typed_data: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  quorate sign --key hot --chain ethereum --in tx.json --out signed.txt
  quorate sign --key vault --chain bitcoin --in spend.psbt --out tx.hex
  quorate sign --key hot --chain ethereum --message 'hello'

A batch is one request for 2 to 64 payloads of one kind. Limits and approvals are about all of it together, and no member of it is
signed unless each could be signed alone. The signed transactions come in the order of the files, one on each line:
  quorate sign --key hot --chain ethereum --in one.json --in two.json --out signed.txt")]
pub struct SignArgs {
    #[command(flatten)]
    pub payload: PayloadArgs,
    /// Where the signed transaction goes, of a batch one on each line; standard output if not given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Why, for the custodians
    #[arg(long, default_value = "")]
    pub purpose: String,
    /// How long custodians may take to be allowed to sign it: for approvals and time locks, at most 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub valid_for: humantime::Duration,
    /// If it must wait for approvals or time, say so and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// Sign without asking; without it, a terminal is asked and anything else is refused
    #[arg(long, short = 'y')]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate verify --key hot --chain ethereum --message 'hello' --signature 0x...")]
pub struct VerifyArgs {
    #[command(flatten)]
    pub payload: PayloadArgs,
    /// The signature in hexadecimal: r || s || v for ECDSA, 64 bytes otherwise; repeat for a PSBT with several inputs, and for a batch
    #[arg(long, value_name = "HEX", required = true)]
    pub signature: Vec<String>,
}
