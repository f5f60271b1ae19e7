//! `quorate`: provision a cluster, run one on this machine, create keys, sign.

mod args;
mod cluster;
mod commands;
mod demo;
mod exit;
mod operator;
mod output;
mod provision;

use std::process::ExitCode;

use args::{Cli, Command, CommitteeCommand, KeyCommand, PasskeyCommand, RunAgent, RunOrchestrator};
use clap::Parser as _;
use quorate_service::log_to_stderr;
use quorate_types::Verdict;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error).into(),
    };
    // One provider for all TLS in the process; fails only if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    log_to_stderr(cli.command.default_log());
    for refused in quorate_service::forbid_core_dumps() {
        tracing::warn!("{refused}");
    }
    let json = cli.json;
    match dispatch(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::error(&error, json).into(),
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let Cli {
        client,
        json,
        command,
    } = cli;
    match command {
        Command::Version => commands::version::run(json),
        Command::Init(args) => commands::init::run(&args, json),
        Command::Up(args) => commands::up::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Status => commands::status::run(&client, json).await,
        Command::Committee(CommitteeCommand::Setup) => {
            commands::committee::setup(&client, json).await
        }
        Command::Key(KeyCommand::Create(args)) => commands::key::create(&client, args, json).await,
        Command::Key(KeyCommand::SetProtocol(args)) => {
            commands::key::set_protocol(&client, &args, json).await
        }
        Command::Key(KeyCommand::Discard(args)) => {
            commands::key::discard(&client, &args, json).await
        }
        Command::Key(KeyCommand::List) => commands::key::list(&client, json).await,
        Command::Key(KeyCommand::Show { name }) => commands::key::show(&client, &name, json).await,
        Command::Address(args) => commands::address::run(&client, args, json).await,
        Command::Sign(args) => commands::sign::run(&client, args, json).await,
        Command::Request(command) => commands::request::run(&client, command, json).await,
        Command::Approve(args) => {
            commands::approve::run(&client, args, Verdict::Approve, json).await
        }
        Command::Reject(args) => commands::approve::run(&client, args, Verdict::Reject, json).await,
        Command::Withdraw(args) => {
            commands::approve::run(&client, args, Verdict::Withdraw, json).await
        }
        Command::Freeze(args) => commands::approve::freeze(&client, args, json).await,
        Command::Policy(command) => commands::policy::run(&client, command, json).await,
        Command::Verify(args) => commands::verify::run(&client, args, json).await,
        Command::Passkey(PasskeyCommand::Register(args)) => {
            commands::passkey::register(&args, json).await
        }
        Command::Agent(RunAgent::Run(args)) => quorate_party_agent::command::run(args).await,
        Command::Agent(RunAgent::Unseal(args)) => commands::agent::show(&args.run().await?, json),
        Command::Agent(RunAgent::Seal(args)) => commands::agent::seal(&args, json).await,
        Command::Agent(RunAgent::Status(args)) => commands::agent::status(&args, json).await,
        Command::Agent(RunAgent::AcceptRestore(args)) => {
            commands::agent::accept_restore(&args, json).await
        }
        Command::Agent(RunAgent::AcceptClock(args)) => {
            commands::agent::accept_clock(&args, json).await
        }
        Command::Agent(RunAgent::AcceptPolicy(args)) => {
            commands::agent::show(&args.run().await?, json)
        }
        Command::Agent(RunAgent::LiftBan(args)) => commands::agent::show(&args.run().await?, json),
        Command::Agent(RunAgent::Protector(command)) => {
            quorate_party_agent::protector::run(&command)
        }
        Command::Agent(RunAgent::Identity(command)) => {
            quorate_party_agent::identity_command::run(&command)
        }
        Command::Orchestrator(RunOrchestrator::Run(args)) => commands::orchestrator(args).await,
        Command::Backup(command) => commands::backup::run(command, json).await,
        Command::Restore(args) => commands::restore::run(args, json).await,
        Command::Recover(command) => commands::recover::run(command, json).await,
        Command::Drill(args) => commands::drill::run(&args, json).await,
    }
}
