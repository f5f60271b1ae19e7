//! The demo's second half: what the custodians do not sign, or not yet.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use quorate_api::{ClientError, IntentState};
use quorate_orchestrator::nodes::Nodes;
use quorate_types::RefusalCode;
use quorate_types::node::{NodeReply, NodeRequest, Refusal};
use quorate_types::{
    Action, DerivationPath, KeyRecord, Network, PartyId, Payload, Preprocessed, SignedApproval,
    SignedIntent, Verdict,
};

use super::{Demo, Step, payloads};
use crate::cluster::ClusterDir;
use crate::cluster::in_process::InProcessCluster;
use crate::commands::approve;
use crate::commands::request::{self, Decoded};
use crate::operator::Operator;

/// The demo's policy: approvals for what is large, known addresses only, a daily limit.
pub const POLICY: &str = include_str!("../../policies/demo.toml");

fn sign(record: &KeyRecord, payload: Payload) -> Action {
    Action::Sign {
        key: record.id,
        path: DerivationPath::root(),
        network: Some(Network::Solana),
        payload,
        purpose: "the demo".to_owned(),
    }
}

impl Demo {
    /// A transfer above what an operator may have alone waits, is approved by two people, and is signed.
    pub(super) async fn approvals(
        &mut self,
        dir: &ClusterDir,
        sol: &KeyRecord,
    ) -> anyhow::Result<()> {
        println!("\n  5 SOL, and the policy wants two approvals above 1 SOL");
        let started = Instant::now();
        let payload =
            payloads::solana_transfer_of(&sol.public_key, payloads::KNOWN, 5_000_000_000)?;
        let intent = self.operator.sign(sign(sol, payload))?;
        let view = self.operator.viewer.api.run(&intent).await?;
        ensure!(view.state == IntentState::Pending, "it did not wait");
        for line in request::waiting_lines(&view) {
            println!("    {line}");
        }
        for name in ["ann", "ben"] {
            let approver =
                Operator::load(&dir.path().join("people").join(name).join("client.toml"))?;
            let policy = approver.viewer.policy().await?;
            let chains = &policy.bundle().chains;
            let decoded = Decoded::fetch(&approver.viewer, view.intent, chains).await?;
            println!(
                "    {name} reads: {}",
                decoded.shown.lines().get(1).map_or("", String::as_str)
            );
            self.approvals
                .push(approve::with_key(&approver, &decoded, Verdict::Approve).await?);
            println!("    {name} approves");
        }
        let view = self.operator.viewer.api.finish(view).await?;
        let viewer = &self.operator.viewer;
        let chains = viewer.policy().await?.bundle().chains.clone();
        let decoded = Decoded::fetch(viewer, view.intent, &chains).await?;
        let signed = decoded.assembled(&view)?.context("it was not signed")?;
        for assembled in signed {
            println!("    signed: {}", assembled.id);
        }
        self.steps.push(Step {
            what: "5 SOL: waits, two approvals, signed".to_owned(),
            who: super::names(&view.participants),
            checked_by: "ed25519-dalek",
            took: started.elapsed(),
        });
        Ok(())
    }

    /// A transfer to an address that is not in the book: each custodian refuses, signed.
    pub(super) async fn stranger(&mut self, sol: &KeyRecord) -> anyhow::Result<()> {
        println!("\n  a transfer to an address that is not in the address book");
        let started = Instant::now();
        let payload = payloads::solana_transfer_of(&sol.public_key, [0x66; 32], 1_000)?;
        let intent = self.operator.sign(sign(sol, payload))?;
        let refused = match self.operator.viewer.api.run(&intent).await {
            Err(ClientError::Problem(problem)) => problem,
            other => bail!("a stranger was paid: {other:?}"),
        };
        self.refused(&refused.refusals, "known")?;
        self.steps.push(Step {
            what: "transfer to a stranger: refused by each".to_owned(),
            who: refusers(&refused.refusals),
            checked_by: "signed refusals",
            took: started.elapsed(),
        });
        Ok(())
    }

    /// Somebody has taken the orchestrator over. It has an operator's signature and two approvals, of the transfer before.
    pub(super) async fn hostile(
        &mut self,
        cluster: &InProcessCluster,
        sol: &KeyRecord,
    ) -> anyhow::Result<()> {
        println!("\n  the orchestrator is taken over: it asks the custodians itself");
        let started = Instant::now();
        let nodes = Nodes::new(cluster.as_orchestrator());
        let parties: Vec<PartyId> = cluster.parties().cloned().collect();
        let theft = payloads::solana_transfer_of(&sol.public_key, [0x66; 32], 500_000_000_000)?;
        let mut swapped = self.operator.sign(sign(
            sol,
            payloads::solana_transfer_of(&sol.public_key, payloads::KNOWN, 2_000_000_000)?,
        ))?;
        // An honest operator's intent, and beside it the same with another transaction under the old signature.
        let honest = swapped.clone();
        swapped.intent.action = sign(sol, theft);
        let attempts = [
            (
                "another transaction under the operator's signature",
                &swapped,
                RefusalCode::OperatorSignature,
            ),
            (
                "2 SOL with the approvals of the 5 SOL before",
                &honest,
                RefusalCode::PolicyPending,
            ),
        ];
        for (what, intent, code) in attempts {
            let refusals = self.attack(&nodes, &parties, intent).await?;
            println!("    {what}:");
            for refusal in &refusals {
                ensure!(
                    refusal.code == code,
                    "refused for another reason: {refusal}"
                );
                println!("      {refusal}");
            }
        }
        self.steps.push(Step {
            what: "a hostile orchestrator's two attempts: refused".to_owned(),
            who: super::names(&parties),
            checked_by: "signed refusals",
            took: started.elapsed(),
        });
        Ok(())
    }

    async fn attack(
        &self,
        nodes: &Nodes,
        parties: &[PartyId],
        intent: &SignedIntent,
    ) -> anyhow::Result<Vec<Refusal>> {
        let request = NodeRequest::Prepare {
            intent: intent.clone(),
            approvals: self.approvals.clone(),
            witnesses: Vec::new(),
            attempt: 0,
            participants: parties.to_vec(),
            preprocessed: Preprocessed::Nothing,
            protocol: None,
        };
        let timeout = std::time::Duration::from_secs(10);
        let replies = nodes.ask_all(parties, &request, timeout).await;
        let refusals = replies.into_iter().map(|reply| match reply {
            Ok(NodeReply::Refused(refusal)) => Ok(refusal),
            other => bail!("a custodian did not refuse: {other:?}"),
        });
        refusals.collect()
    }

    fn refused(&self, refusals: &[Refusal], rule: &str) -> anyhow::Result<()> {
        ensure!(!refusals.is_empty(), "nobody says why");
        for refusal in refusals {
            let who = refusal.signer(&self.operator.viewer.roster);
            let who = who.context("a refusal that is not signed by a custodian")?;
            ensure!(
                refusal.rules.iter().any(|r| r == rule),
                "refused for another reason: {refusal}"
            );
            println!("    {who}: {refusal}");
        }
        Ok(())
    }
}

fn refusers(refusals: &[Refusal]) -> String {
    super::names(
        refusals
            .iter()
            .filter_map(|r| r.signed.as_ref())
            .map(|s| &s.party),
    )
}

/// What the demo's people have said.
pub(super) type Approvals = Vec<SignedApproval>;
