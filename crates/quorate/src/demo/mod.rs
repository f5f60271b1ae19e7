//! `quorate demo`: the main job once, on real input, in one process.

mod payloads;
mod policies;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use quorate_chain::{address, hd::derive_child};
use quorate_types::{
    BitcoinNetwork, Curve, DerivationPath, KeyName, KeyRecord, Network, PartyId, Payload, PersonId,
    Scheme, Threshold,
};

use crate::args::{DemoArgs, PayloadArgs};
use crate::cluster::ClusterDir;
use crate::cluster::in_process::InProcessCluster;
use crate::commands::{committee, key, payload, sign};
use crate::operator::Operator;
use crate::provision::{self, Spec};

/// A line of the closing table.
struct Step {
    what: String,
    who: String,
    checked_by: &'static str,
    took: Duration,
}

const EVM: Network = Network::Evm { chain_id: 31337 };
const REGTEST: Network = Network::Bitcoin(BitcoinNetwork::Regtest);

/// Runs everything; an error anywhere is the program's error.
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.unwrap_or_else(|| temporary.path().join("cluster"));
    let dir = ClusterDir::new(&dir);
    println!(
        "A 2-of-3 cluster. All parties in one process, which is for showing only: a real one has a machine each.\n"
    );
    let started = Instant::now();
    create_cluster(&dir)?;
    let mut cluster = InProcessCluster::start(&dir).await?;
    let operator = Operator::load(&dir.client_config())?;
    let mut demo = Demo {
        operator,
        steps: Vec::new(),
        approvals: Vec::new(),
    };
    demo.push(
        "cluster: CA, certificates, identities, sealed stores",
        "3 custodians",
        "",
        started.elapsed(),
    );
    let sol = demo.play(&mut cluster).await?;
    demo.approvals(&dir, &sol).await?;
    demo.stranger(&sol).await?;
    demo.hostile(&cluster, &sol).await?;
    demo.table();
    println!("\ntotal {:.1} s", started.elapsed().as_secs_f32());
    Ok(())
}

fn create_cluster(dir: &ClusterDir) -> anyhow::Result<()> {
    let spec = Spec {
        approvers: vec![PersonId::new("ann")?, PersonId::new("ben")?],
        policy: policies::POLICY.to_owned(),
        ..Spec::local(Threshold::new(2, 3)?, "demo")
    };
    provision::create(dir.path(), &spec, |_| {})
}

struct Demo {
    operator: Operator,
    steps: Vec<Step>,
    /// What people have said so far.
    approvals: policies::Approvals,
}

impl Demo {
    async fn play(&mut self, cluster: &mut InProcessCluster) -> anyhow::Result<KeyRecord> {
        let hot = self.create("hot", Curve::Secp256k1, Scheme::Ecdsa).await?;
        let vault = self
            .create("vault", Curve::Secp256k1, Scheme::Bip340)
            .await?;
        let sol = self.create("sol", Curve::Ed25519, Scheme::Eddsa).await?;
        self.create("web", Curve::P256, Scheme::Ecdsa).await?;
        self.set_up_committee().await?;

        let path: DerivationPath = "m/0/7".parse()?;
        self.sign(
            "EIP-1559 transfer",
            &hot,
            &path,
            EVM,
            payloads::evm_transfer()?,
        )
        .await?;
        let child = derive_child(&hot.public_key, hot.chain_code.as_bytes(), &path)?;
        let spend = payloads::bitcoin_spend(hot.scheme, &child)?;
        self.sign("Bitcoin P2WPKH spend", &hot, &path, REGTEST, spend)
            .await?;

        let gone = PartyId::new("party-2")?;
        cluster.stop(&gone);
        println!(
            "\n  {gone} is stopped now; {} go on\n",
            names(cluster.parties())
        );

        let child = derive_child(&vault.public_key, vault.chain_code.as_bytes(), &path)?;
        let spend = payloads::bitcoin_spend(vault.scheme, &child)?;
        self.sign(
            "Bitcoin taproot key-path spend",
            &vault,
            &path,
            REGTEST,
            spend,
        )
        .await?;
        let root = DerivationPath::root();
        let transfer = payloads::solana_transfer(&sol.public_key)?;
        self.sign("Solana transfer", &sol, &root, Network::Solana, transfer)
            .await?;
        self.sign("EIP-712 message", &hot, &path, EVM, payloads::typed_data())
            .await?;
        let late = self
            .steps
            .iter()
            .rev()
            .take(3)
            .all(|step| !step.who.contains(gone.as_str()));
        ensure!(late, "{gone} took part although it was stopped");
        Ok(sol)
    }

    async fn create(
        &mut self,
        name: &str,
        curve: Curve,
        scheme: Scheme,
    ) -> anyhow::Result<KeyRecord> {
        let started = Instant::now();
        let listing = key::run(&self.operator, &KeyName::new(name)?, curve, scheme, false).await?;
        let record = listing.record;
        println!("  key {name:<6} {curve} {scheme}: {}", record.public_key);
        self.push(
            &format!("key {name}: DKG on {curve}"),
            &names(&record.committee),
            "3 attestations",
            started.elapsed(),
        );
        Ok(record)
    }

    async fn set_up_committee(&mut self) -> anyhow::Result<()> {
        println!("\n  committee setup for ECDSA, once for all its keys");
        let started = Instant::now();
        let record = committee::run(&self.operator, false).await?;
        println!(
            "  done: every custodian attests parameters {}\n",
            record.digest.short()
        );
        self.push(
            "committee setup: safe primes, Paillier keys",
            &names(&record.committee),
            "3 attestations",
            started.elapsed(),
        );
        Ok(())
    }

    async fn sign(
        &mut self,
        what: &str,
        record: &KeyRecord,
        path: &DerivationPath,
        network: Network,
        payload: Payload,
    ) -> anyhow::Result<()> {
        let args = PayloadArgs {
            key: record.name.clone(),
            path: path.clone(),
            chain: Some(network),
            input: Vec::new(),
            message: Vec::new(),
            typed_data: Vec::new(),
        };
        let understood = payload::analysed(record.clone(), &args, payload)?;
        let child = &understood.child;
        println!(
            "{what} by {}, key {} at {path}",
            address(network, record.scheme, child)?,
            record.name
        );
        let started = Instant::now();
        let how = sign::How {
            purpose: what,
            ..Default::default()
        };
        let signed = sign::sign(&self.operator, &understood, &args, &how)
            .await
            .context(what.to_owned())?;
        let took = started.elapsed();
        for line in understood.analysis.facts.summary_lines() {
            println!("    {line}");
        }
        // What every agent and the client did already, said once more on its own: a bad signature ends the demo.
        for (item, signature) in understood.analysis.items.iter().zip(&signed.signatures) {
            quorate_chain::verify(item.message(), child, signature)?;
        }
        if signed.signatures.is_empty() {
            bail!("{what}: nothing was signed");
        }
        for assembled in &signed.assembled {
            println!("    signed: {}", assembled.id);
        }
        self.push(
            what,
            &names(&signed.view.participants),
            checker(record.scheme),
            took,
        );
        Ok(())
    }

    fn push(&mut self, what: &str, who: &str, checked_by: &'static str, took: Duration) {
        self.steps.push(Step {
            what: what.to_owned(),
            who: who.to_owned(),
            checked_by,
            took,
        });
    }

    fn table(&self) {
        println!(
            "\n{:<52} {:<27} {:<16} {:>9}",
            "step", "custodians", "checked by", "time"
        );
        println!("{}", "-".repeat(107));
        for Step {
            what,
            who,
            checked_by,
            took,
        } in &self.steps
        {
            println!(
                "{what:<52} {who:<27} {checked_by:<16} {:>7.0} ms",
                took.as_secs_f64() * 1000.0
            );
        }
    }
}

/// The library that verified, which is none of those that sign.
const fn checker(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Ecdsa | Scheme::Bip340 => "libsecp256k1",
        Scheme::Eddsa => "ed25519-dalek",
    }
}

fn names<'a>(parties: impl IntoIterator<Item = &'a PartyId>) -> String {
    parties
        .into_iter()
        .map(PartyId::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}
