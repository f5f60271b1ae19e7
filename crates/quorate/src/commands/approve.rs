//! `quorate approve`, `reject`, `withdraw`, `freeze`: people's words on requests. What is approved is decoded on this machine first.

use std::time::Duration;

use anyhow::Context as _;
use quorate::passkey::{self, Display};
use quorate_api::IntentState;
use quorate_policy::{sighashes, webauthn};
use quorate_service::now_ms;
use quorate_types::canonical::Canonical;
use quorate_types::{
    Approval, Credential, FreezeOrder, PersonId, Proof, SignedApproval, SignedFreeze, ValidBundle,
    Verdict,
};
use rand_core::{OsRng, RngCore as _};

use crate::args::{ApproveArgs, ClientArgs, FreezeArgs};
use crate::commands::affirmed::Ordered;
use crate::commands::request::{self, Decoded};
use crate::exit::{declined, misuse};
use crate::operator::{Operator, Viewer};
use crate::output;

/// Says something about a request.
pub async fn run(
    client: &ClientArgs,
    args: ApproveArgs,
    verdict: Verdict,
    json: bool,
) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    // Nobody looks at what is shown: the orchestrator would choose among all that begin so.
    let blind = args.yes || json;
    if blind && crate::args::whole_hash(&args.request).is_none() {
        misuse!("with --yes or --json the whole hash of the request is needed");
    }
    let hash = request::find(&viewer, &args.request).await?;
    let policy = viewer.policy().await?;
    let decoded = Decoded::fetch(&viewer, hash, &policy.bundle().chains).await?;
    if verdict == Verdict::Approve {
        request::unless_ended(&decoded, &viewer.api.poll_now(hash).await?)?;
    }
    if !json {
        for line in decoded.shown.lines() {
            eprintln!("  {line}");
        }
        eprintln!("  under policy version {}", policy.bundle().version);
    }
    let (question, act) = match verdict {
        Verdict::Approve => ("Approve this?", "approve"),
        Verdict::Reject => ("Reject this for good?", "reject"),
        Verdict::Withdraw => ("Withdraw what you said of this?", "withdraw"),
    };
    // A passkey asks by itself.
    if !args.yes && !args.passkey && !output::confirmed(question, act)? {
        declined!("nothing was said");
    }
    let approval = approval(&viewer, &decoded, &policy, verdict, args.valid_for.into())?;
    let person = approval.person.clone();
    let proof = match args.passkey {
        true => by_passkey(&viewer, &policy, &person, &approval, decoded.shown.lines()).await?,
        false => Operator::load(&client.client)?.proof(&approval),
    };
    let mut view = viewer.api.say(&SignedApproval { approval, proof }).await?;
    if verdict != Verdict::Approve {
        // What is being signed at this moment may be signed all the same: the person is told which
        // it was.
        while view.state == IntentState::Running {
            view = viewer.api.poll(hash).await?;
        }
        if view.state == IntentState::Done {
            request::unless_ended(&decoded, &view)?;
        }
    }
    if json {
        return output::json(&view);
    }
    println!("{person} {act}s {}", view.intent);
    Ok(())
}

/// The same with the person's key, without asking; what was said is returned, too.
pub async fn with_key(
    person: &Operator,
    decoded: &Decoded,
    verdict: Verdict,
) -> anyhow::Result<SignedApproval> {
    let policy = person.viewer.policy().await?;
    let valid_for = Duration::from_secs(3600);
    let approval = approval(&person.viewer, decoded, &policy, verdict, valid_for)?;
    let proof = person.proof(&approval);
    let said = SignedApproval { approval, proof };
    person.viewer.api.say(&said).await?;
    Ok(said)
}

/// What is to be signed, from what was decoded here.
fn approval(
    viewer: &Viewer,
    decoded: &Decoded,
    policy: &ValidBundle,
    verdict: Verdict,
    valid_for: Duration,
) -> anyhow::Result<Approval> {
    let mut nonce = [0; 16];
    OsRng.fill_bytes(&mut nonce);
    let issued_at = now_ms();
    let lifetime = u64::try_from(valid_for.as_millis())?.min(Approval::MAX_LIFETIME_MS);
    let items = decoded
        .signing
        .as_ref()
        .map(|s| sighashes(&s.child, &s.analysis.items));
    Ok(Approval {
        cluster: viewer.roster.cluster_id(),
        intent: decoded.intent.hash(),
        sighashes: items.unwrap_or_default(),
        verdict,
        policy: policy.hash(),
        policy_version: policy.bundle().version,
        display: decoded.shown.hash(),
        person: viewer.name().clone(),
        nonce,
        issued_at,
        expires_at: issued_at + lifetime,
    })
}

/// Has this machine's browser ask for the person's passkey, and checks what it gives.
async fn by_passkey<T: Canonical>(
    viewer: &Viewer,
    policy: &ValidBundle,
    person: &PersonId,
    object: &T,
    lines: &[String],
) -> anyhow::Result<Proof> {
    let party = policy.bundle().relying_party.as_ref();
    let party = party
        .context("the policy does not say where passkeys are used ([passkeys] in its text)")?;
    let entry = policy
        .person(person)
        .with_context(|| format!("{person} is not in the policy"))?;
    let passkeys: Vec<_> = entry
        .credentials
        .iter()
        .filter_map(|c| match c {
            Credential::Passkey(passkey) => Some(passkey.clone()),
            Credential::Ed25519 { .. } => None,
        })
        .collect();
    if passkeys.is_empty() {
        misuse!(
            "{person} has no passkey in the policy; make one with: quorate passkey register --name {person}"
        );
    }
    let challenge = object.canonical_hash();
    let ids: Vec<Vec<u8>> = passkeys.iter().map(|p| p.credential_id.clone()).collect();
    let display = Display {
        cluster: viewer.roster.roster().cluster.clone(),
        lines: lines.to_vec(),
    };
    let assertion = passkey::assertion(party, &ids, challenge.as_bytes(), &display).await?;
    webauthn::verify_among(&assertion, challenge.as_bytes(), &passkeys, party)?;
    Ok(Proof::Passkey(assertion))
}

/// Orders everything stopped.
pub async fn freeze(client: &ClientArgs, args: FreezeArgs, json: bool) -> anyhow::Result<()> {
    let operator = Operator::load(&client.client)?;
    if args.reason.len() > FreezeOrder::MAX_REASON {
        misuse!("a reason has at most {} bytes", FreezeOrder::MAX_REASON);
    }
    let question = "Stop everything? Lifting it takes a new policy version, signed by the admins.";
    if !args.yes && !output::confirmed(question, "freeze")? {
        declined!("nothing was stopped");
    }
    let mut nonce = [0; 16];
    OsRng.fill_bytes(&mut nonce);
    let order = FreezeOrder {
        cluster: operator.viewer.roster.cluster_id(),
        person: operator.name().clone(),
        nonce,
        issued_at: now_ms(),
        reason: args.reason,
    };
    let proof = operator.proof(&order);
    let id = order.canonical_hash();
    let viewer = &operator.viewer;
    let deliveries = viewer.api.freeze(&SignedFreeze { order, proof }).await?;
    let has = |order: &FreezeOrder| order.canonical_hash() == id;
    let ordered = Ordered::new(&viewer.roster, deliveries, id, |affirmation| {
        affirmation.orders.iter().any(has)
    });
    if json {
        output::json(&serde_json::json!({ "order": id, "custodians": ordered.in_json() }))?;
    } else {
        ordered.print("stopped");
        println!("order {id}");
        println!("lift it with: quorate policy sign policy.toml --unfreeze {id} --out bundle.json");
    }
    ordered.unless_too_few("stopped")
}
