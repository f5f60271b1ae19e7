//! Passkeys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum PasskeyCommand {
    /// Register a passkey in this machine's browser and print its line for the policy
    Register(PasskeyRegisterArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  quorate passkey register --name 'Alice, laptop'

It prints a URL, waits five minutes for it to be opened in a browser of this machine, and prints the approver's line for the policy.
Nothing secret is in that line. The policy must name the same relying party:

  id = \"localhost\"
  origins = [\"http://localhost:7780\"]")]
pub struct PasskeyRegisterArgs {
    /// What the browser will list the passkey as
    #[arg(long, value_name = "LABEL")]
    pub name: String,
    /// The relying party it is for; pages of this machine are `localhost`
    #[arg(long, default_value = "localhost")]
    pub rp_id: String,
    /// The page's port
    #[arg(long, default_value_t = 7780, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Write the line (with --json, the passkey) to this new file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
