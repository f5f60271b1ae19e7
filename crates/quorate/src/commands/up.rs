//! `quorate up`.

use quorate_service::interrupted;
use quorate_types::Threshold;

use crate::args::UpArgs;
use crate::cluster::ClusterDir;
use crate::cluster::in_process::InProcessCluster;
use crate::cluster::processes::{Processes, find_nats_server};
use crate::provision::{self, Spec};

/// Provisions a cluster if there is none, runs it until Ctrl-C.
pub async fn run(args: UpArgs) -> anyhow::Result<()> {
    let dir = ClusterDir::new(&args.dir);
    if !dir.exists() {
        create(&args)?;
    }
    let roster = dir.roster()?;
    println!(
        "cluster {} ({}) in {}",
        roster.roster().cluster,
        roster.threshold(),
        args.dir.display()
    );
    match find_nats_server().filter(|_| !args.in_process) {
        Some(nats_server) => {
            println!(
                "starting {} agents as separate processes over {}",
                roster.threshold().n(),
                nats_server.display()
            );
            let mut cluster = Processes::start(&dir, &nats_server).await?;
            ready(&dir)?;
            // One future for the whole loop: a signal between two rounds is not lost.
            let interrupted = interrupted();
            tokio::pin!(interrupted);
            let ended = loop {
                tokio::select! {
                    () = &mut interrupted => break Ok(()),
                    () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {
                        match cluster.newly_ended() {
                            Ok(ended) => for name in ended {
                                println!("{name} ended by itself; see {}/run/{name}.log. The others go on; start it again with: quorate up", args.dir.display());
                            },
                            Err(error) => break Err(error),
                        }
                    }
                }
            };
            println!("stopping");
            cluster.stop().await;
            ended
        }
        None => {
            println!(
                "ALL PARTIES IN ONE PROCESS: this is for development. One machine then holds every share.\n\
                 With a nats-server on the PATH, `quorate up` starts separate processes over mutual TLS instead."
            );
            let cluster = InProcessCluster::start(&dir).await?;
            ready(&dir)?;
            interrupted().await;
            println!("stopping");
            drop(cluster);
            Ok(())
        }
    }
}

fn create(args: &UpArgs) -> anyhow::Result<()> {
    let threshold = Threshold::new(args.threshold, args.parties)?;
    let spec = Spec {
        policy: provision::plain_policy(args.network),
        ..Spec::local(threshold, "quorate")
    };
    println!("new {} cluster in {}", spec.threshold, args.dir.display());
    provision::create(&args.dir, &spec, |what| println!("  writing {what}"))
}

fn ready(dir: &ClusterDir) -> anyhow::Result<()> {
    let client = dir.client_config();
    println!(
        "ready at {}\n\nIn another terminal:\n  export QUORATE_CLIENT={}\n  quorate status\n  \
         quorate key create --curve ed25519 --name first\n\nCtrl-C ends everything; the keys stay.",
        std::fs::read_to_string(dir.endpoint_file())?.trim(),
        std::path::absolute(client)?.display(),
    );
    Ok(())
}
