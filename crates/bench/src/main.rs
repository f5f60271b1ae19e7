//! `quorate-bench`: what a whole cluster costs. `make bench` runs it.

use std::process::ExitCode;

use anyhow::bail;
use clap::Parser as _;
use quorate_bench::Args;
use quorate_service::interrupted;

#[tokio::main]
async fn main() -> ExitCode {
    // One provider for all TLS in the process; fails only if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C drops the run, and with it every process and directory it made.
async fn run(args: Args) -> anyhow::Result<()> {
    tokio::select! {
        result = quorate_bench::run(&args) => result,
        () = interrupted() => bail!("interrupted; nothing was written"),
    }
}
