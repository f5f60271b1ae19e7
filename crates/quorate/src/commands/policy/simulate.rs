//! `quorate policy simulate`: what a policy would say. Nobody is asked and nothing is sent: approvals are made with throw-away keys for a copy of the policy in
//! which people have those, so the very engine of the custodians judges them.

use anyhow::Context as _;
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_api::{IntentState, IntentView};
use quorate_chain::Analysis;
use quorate_policy::{
    Act, Book, Decision, Engine, Evidence, History, Request, Spend, Understood, sighashes,
};
use quorate_service::now_ms;
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Action, AdminSignature, Admins, Approval, Bundle, ChainRules, Credential, Hash32, IntentHash,
    KeyRecord, OperatorId, PersonId, Proof, SignedApproval, SignedBundle, ValidRoster, Verdict,
};
use rand_core::OsRng;
use serde_json::{Value, json};

use super::named_or_in_force;
use crate::args::{ClientArgs, SimulateArgs};
use crate::commands::affirmed::{InForce, described};
use crate::commands::request::Decoded;
use crate::commands::{payload, sign};
use crate::exit::misuse;
use crate::operator::Viewer;
use crate::output;

/// A policy with stand-ins for everybody's keys.
struct Rehearsal {
    engine: Engine,
    history: History,
    book: Book,
    roster: ValidRoster,
    stand_in: SigningKey,
}

/// What is judged.
struct Case<'a> {
    intent: IntentHash,
    operator: &'a OperatorId,
    act: Act<'a>,
    approved_by: &'a [PersonId],
    proposed_at: u64,
    now: u64,
}

impl Rehearsal {
    fn new(roster: &ValidRoster, bundle: &Bundle) -> anyhow::Result<Self> {
        let stand_in = SigningKey::generate(&mut OsRng);
        let admin = PersonId::new("rehearsal")?;
        let mut roster = roster.roster().clone();
        roster.admins = Admins::single(admin.clone(), stand_in.verifying_key().to_bytes());
        let roster = ValidRoster::try_from(roster)?;
        let mut bundle = bundle.clone();
        bundle.cluster = roster.cluster_id();
        bundle.version = 1;
        bundle.previous = Hash32::from_bytes([0; 32]);
        for person in &mut bundle.people {
            let key = Self::key_of(&stand_in, &person.id)
                .verifying_key()
                .to_bytes();
            person.credentials.push(Credential::Ed25519 { key });
        }
        let signature = stand_in.sign(&bundle.signing_bytes()).to_bytes();
        let signatures = vec![AdminSignature { admin, signature }];
        let valid = SignedBundle { bundle, signatures }.follow(&roster, None)?;
        Ok(Self {
            history: History::new(valid.bundle()),
            book: Book::new(&valid.bundle().book),
            engine: Engine::new(valid)?,
            roster,
            stand_in,
        })
    }

    fn chains(&self) -> ChainRules {
        self.engine.bundle().bundle().chains.clone()
    }

    /// A key for a person that nobody else has.
    fn key_of(stand_in: &SigningKey, person: &PersonId) -> SigningKey {
        let seed = quorate_types::canonical::tagged_hash(
            "quorate/rehearsal/v1",
            &[&stand_in.to_bytes(), person.as_str().as_bytes()],
        );
        SigningKey::from_bytes(seed.as_bytes())
    }

    fn approvals(&self, case: &Case<'_>) -> Vec<SignedApproval> {
        let sighashes = match case.act {
            Act::Sign { sighashes, .. } => sighashes.to_vec(),
            Act::SetUpCommittee | Act::CreateKey(_) | Act::SetProtocol(_) => Vec::new(),
        };
        let approve = |person: &PersonId| {
            let approval = Approval {
                cluster: self.roster.cluster_id(),
                intent: case.intent,
                sighashes: sighashes.clone(),
                verdict: Verdict::Approve,
                policy: self.engine.bundle().hash(),
                policy_version: 1,
                display: Hash32::from_bytes([0; 32]),
                person: person.clone(),
                nonce: [0; 16],
                issued_at: case.now,
                expires_at: case.now + 1000,
            };
            let key = Self::key_of(&self.stand_in, person);
            let proof = Proof::Ed25519 {
                key: key.verifying_key().to_bytes(),
                signature: key.sign(&approval.signing_bytes()).to_bytes(),
            };
            SignedApproval { approval, proof }
        };
        case.approved_by.iter().map(approve).collect()
    }

    fn judge(
        &self,
        case: &Case<'_>,
        frozen: &[String],
    ) -> anyhow::Result<(Decision, Option<Spend>)> {
        let operator = self.roster.operator(case.operator);
        let operator =
            operator.with_context(|| format!("operator {} is not in the roster", case.operator))?;
        let request = Request {
            intent: case.intent,
            operator: case.operator,
            operator_key: &operator.key,
            act: case.act,
            asked_at: case.proposed_at,
            proposed_at: case.proposed_at,
            now: case.now,
        };
        let evidence = Evidence {
            approvals: &self.approvals(case),
            display: Hash32::from_bytes([0; 32]),
            frozen,
            book: &self.book,
        };
        let (decision, _) = self.engine.decide(&request, &evidence, &self.history);
        Ok((decision, request.spend(&self.chains())))
    }
}

pub async fn run(client: &ClientArgs, args: &SimulateArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let bundle = named_or_in_force(&viewer, args.file.as_deref()).await?;
    known_approvers(&bundle, &args.approved_by)?;
    if viewer.roster.operator(&args.operator).is_none() {
        misuse!("operator {} is not in the roster", args.operator);
    }
    let mut rehearsal = Rehearsal::new(&viewer.roster, &bundle)?;
    if args.past {
        return past(&viewer, &mut rehearsal, json).await;
    }
    let Some(payload_args) = args.payload() else {
        misuse!("name a transaction with --tx, --key and --chain, or --past");
    };
    let understood = payload::understand(&viewer, &payload_args).await?;
    let hashes = sighashes(&understood.child, &understood.analysis.items);
    let now = now_ms();
    let waited = u64::try_from(args.waited.as_millis())?;
    let action = sign::action(&understood, &payload_args, "");
    let case = Case {
        intent: IntentHash::from_bytes([0; 32]),
        operator: &args.operator,
        act: act(
            &action,
            None,
            Some((&understood.record, &understood.analysis)),
            &hashes,
        )?,
        approved_by: &args.approved_by,
        proposed_at: now.saturating_sub(waited),
        now,
    };
    let counted = remembered(&viewer, &mut rehearsal).await?;
    let in_force = InForce::ask(&viewer).await?;
    let orders = in_force.orders().into_iter();
    let orders = orders.filter(|(order, _)| !bundle.lifts.contains(&order.canonical_hash()));
    let frozen: Vec<String> = orders.map(|(order, _)| described(&order)).collect();
    let (decision, _) = rehearsal.judge(&case, &frozen)?;
    let (otherwise, _) = rehearsal.judge(&case, &[])?;
    let left_out = left_out(&counted, &in_force);
    if json {
        return output::json(&json!({
            "decision": in_json(&decision), "frozen": frozen, "unless_frozen": in_json(&otherwise),
            "not_taken_into_account": left_out, "effects": understood.analysis.effects,
        }));
    }
    for line in understood.analysis.facts.summary_lines() {
        println!("  {line}");
    }
    for line in in_words(&decision) {
        println!("{line}");
    }
    if !frozen.is_empty() {
        println!("once that is lifted:");
        for line in in_words(&otherwise) {
            println!("  {line}");
        }
    }
    for line in left_out {
        println!("({line})");
    }
    Ok(())
}

/// Refuses approvers whom the policy does not know: nothing that they say would count.
fn known_approvers(bundle: &Bundle, approvers: &[PersonId]) -> anyhow::Result<()> {
    let known = |person: &&PersonId| bundle.people.iter().any(|p| p.id == **person);
    if let Some(stranger) = approvers.iter().find(|person| !known(person)) {
        let people: Vec<&str> = bundle.people.iter().map(|p| p.id.as_str()).collect();
        misuse!(
            "nobody in the policy is named {stranger}; it knows {}",
            people.join(", ")
        );
    }
    Ok(())
}

/// What was signed before, as far as the orchestrator remembers it.
struct Remembered {
    counted: usize,
    /// Requests that are signed, and cannot be decoded here.
    unread: usize,
}

/// Has what was signed before count in limits.
async fn remembered(viewer: &Viewer, rehearsal: &mut Rehearsal) -> anyhow::Result<Remembered> {
    let (mut counted, mut unread) = (0, 0);
    let keys = viewer.keys().await?;
    let chains = rehearsal.chains();
    let views = viewer.api.intents().await?;
    for view in views.iter().filter(|v| v.state == IntentState::Done) {
        match Decoded::fetch_with(viewer, &keys, &chains, view.intent).await {
            Ok(decoded) if decoded.signing.is_some() => {
                past_one(rehearsal, view, &decoded)?;
                counted += 1;
            }
            Ok(_) => {}
            Err(_) => unread += 1,
        }
    }
    Ok(Remembered { counted, unread })
}

/// What the judgement does not take into account, a sentence each.
fn left_out(remembered: &Remembered, in_force: &InForce) -> Vec<String> {
    let Remembered { counted, unread } = remembered;
    let mut lines = vec![format!(
        "limits count the {counted} signed requests that the orchestrator remembers; custodians count what they have recorded, which may be more"
    )];
    if *unread > 0 {
        lines.push(format!(
            "{unread} signed requests cannot be read here, and are not counted"
        ));
    }
    let silent = in_force.unknown.iter().map(|(party, _)| party.as_str());
    let silent: Vec<&str> = silent.collect();
    if !silent.is_empty() {
        lines.push(format!(
            "whether {} is frozen is not known",
            silent.join(", ")
        ));
    }
    lines.push(
        "addresses count at once here, and at custodians once they are old enough".to_owned(),
    );
    lines
}

/// Judges what the orchestrator remembers in the order in which it was proposed; what was signed counts for what came later.
async fn past(viewer: &Viewer, rehearsal: &mut Rehearsal, json: bool) -> anyhow::Result<()> {
    let mut views = viewer.api.intents().await?;
    views.reverse();
    let keys = viewer.keys().await?;
    let chains = rehearsal.chains();
    let mut rows = Vec::new();
    for view in &views {
        let decoded = Decoded::fetch_with(viewer, &keys, &chains, view.intent).await?;
        let decision = past_one(rehearsal, view, &decoded)?;
        rows.push(
            json!({ "request": view.intent, "state": view.state, "decision": in_json(&decision) }),
        );
        if !json {
            let line = decoded.shown.lines().get(1).cloned().unwrap_or_default();
            println!("{}  {line}", view.intent.short());
            for line in in_words(&decision) {
                println!("          {line}");
            }
        }
    }
    if json {
        return output::json(&rows);
    }
    println!("(freeze orders, and addresses that were too new then, are not taken into account)");
    Ok(())
}

fn past_one(
    rehearsal: &mut Rehearsal,
    view: &IntentView,
    decoded: &Decoded,
) -> anyhow::Result<Decision> {
    let intent = decoded.intent.intent();
    let approving = |s: &&quorate_api::Said| s.verdict == Verdict::Approve;
    let approved_by: Vec<PersonId> = view
        .said
        .iter()
        .filter(approving)
        .map(|s| s.person.clone())
        .collect();
    let last_word = view.said.iter().map(|s| s.at).max().unwrap_or(0);
    let hashes = decoded
        .signing
        .as_ref()
        .map(|s| sighashes(&s.child, &s.analysis.items))
        .unwrap_or_default();
    let signing = decoded.signing.as_ref();
    let act = act(
        &intent.action,
        decoded.changed.as_ref(),
        signing.map(|s| (&s.record, &s.analysis)),
        &hashes,
    )?;
    let case = Case {
        intent: view.intent,
        operator: &intent.operator,
        act,
        approved_by: &approved_by,
        proposed_at: intent.issued_at,
        now: intent.issued_at.max(last_word),
    };
    let (decision, spend) = rehearsal.judge(&case, &[])?;
    if let (IntentState::Done, Some(spend)) = (view.state, spend) {
        rehearsal.history.insert(spend);
    }
    Ok(decision)
}

fn act<'a>(
    action: &'a Action,
    changed: Option<&'a KeyRecord>,
    signing: Option<(&'a KeyRecord, &'a Analysis)>,
    sighashes: &'a [Hash32],
) -> anyhow::Result<Act<'a>> {
    let understood = signing.map(|(record, analysis)| Understood {
        record,
        effects: &analysis.effects,
        sighashes,
    });
    Act::of(action, changed, understood).context("the payload was not understood")
}

fn in_words(decision: &Decision) -> Vec<String> {
    match decision {
        Decision::Allow(_) => vec!["ALLOWED".to_owned()],
        Decision::Pending(missing) => missing
            .iter()
            .map(|m| format!("WAITS    {} [{}]", m.text, m.rule))
            .collect(),
        Decision::Deny(reasons) => reasons
            .iter()
            .map(|r| format!("REFUSED  {} [{}]", r.text, r.rule))
            .collect(),
    }
}

fn in_json(decision: &Decision) -> Value {
    match decision {
        Decision::Allow(_) => json!({ "allowed": true }),
        Decision::Pending(missing) => json!({ "pending": missing }),
        Decision::Deny(reasons) => json!({ "denied": reasons }),
    }
}
