//! `quorate policy`.

mod explain;
mod keys;
mod simulate;

use std::path::Path;

use anyhow::{Context as _, bail};
use quorate_policy::{Header, check_rules, compile, words};
use quorate_service::now_ms;
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    AdminSignature, Bundle, Hash32, ProblemCode, SignedBundle, ValidBundle, ValidRoster,
};
use serde_json::json;

use crate::args::{
    ClientArgs, PolicyCommand, PolicyFileArgs, PolicyInitArgs, PolicyShowArgs, PolicySignArgs,
};
use crate::commands::affirmed::{InForce, Ordered, described};
use crate::exit::{declined, misuse, said};
use crate::operator::{Operator, Viewer};
use crate::{output, provision};

/// `quorate policy ...`.
pub async fn run(client: &ClientArgs, command: PolicyCommand, json: bool) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Show(args) => show(client, &args, json).await,
        PolicyCommand::Init(args) => init(&args),
        PolicyCommand::Check(args) => check(client, &args, json).await,
        PolicyCommand::Explain(args) => explain::explain(client, &args, json).await,
        PolicyCommand::Simulate(args) => simulate::run(client, &args, json).await,
        PolicyCommand::Diff(args) => explain::diff(client, &args, json).await,
        PolicyCommand::Sign(args) => sign(client, &args, json).await,
        PolicyCommand::Publish(args) => publish(client, &args, json).await,
        PolicyCommand::History => explain::history(client, json).await,
    }
}

fn init(args: &PolicyInitArgs) -> anyhow::Result<()> {
    match &args.out {
        Some(file) => {
            if file.exists() {
                misuse!("{} exists already and is not overwritten", file.display());
            }
            std::fs::write(file, provision::START)
                .with_context(|| format!("cannot write {}", file.display()))?;
            println!(
                "written to {}; next: quorate policy check {0}",
                file.display()
            );
        }
        None => print!("{}", provision::START),
    }
    Ok(())
}

/// A text or a bundle from a file.
pub enum Draft {
    /// A text, compiled.
    Text(Bundle),
    /// A bundle with the signatures it has.
    Signed(SignedBundle),
}

impl Draft {
    pub const fn bundle(&self) -> &Bundle {
        match self {
            Self::Text(bundle) => bundle,
            Self::Signed(signed) => &signed.bundle,
        }
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Reads a draft: a text is compiled as the version after `previous`, or as the first. A bundle whose rules are not what its text comes to is
/// refused: what is read is what is signed.
pub fn draft(
    file: &Path,
    roster: &ValidRoster,
    previous: Option<&ValidBundle>,
    lifts: Vec<Hash32>,
) -> anyhow::Result<Draft> {
    let draft = read_draft(file, roster, previous, lifts)?;
    if let (Draft::Signed(signed), [doubt, ..]) = (&draft, &words(draft.bundle()).doubts[..]) {
        let version = signed.bundle.version;
        bail!("{}: {doubt} Do not sign version {version}", file.display());
    }
    Ok(draft)
}

/// Reads a draft to look at it, a bundle whose rules are not what its text comes to as well: its
/// words say so.
pub fn read_draft(
    file: &Path,
    roster: &ValidRoster,
    previous: Option<&ValidBundle>,
    lifts: Vec<Hash32>,
) -> anyhow::Result<Draft> {
    let text = read(file)?;
    let named = || file.display().to_string();
    if file.extension().is_some_and(|e| e == "json") {
        let signed: SignedBundle = serde_json::from_str(&text).with_context(named)?;
        checked(&signed.bundle, roster).with_context(named)?;
        return Ok(Draft::Signed(signed));
    }
    let header = Header {
        cluster: roster.cluster_id(),
        version: previous.map_or(0, |p| p.bundle().version) + 1,
        previous: previous.map_or_else(|| Hash32::from_bytes([0; 32]), ValidBundle::hash),
        issued_at: now_ms(),
        admins: previous.map_or_else(
            || roster.roster().admins.clone(),
            |p| p.bundle().admins.clone(),
        ),
        lifts,
    };
    let bundle = compile(&text, header).with_context(named)?;
    checked(&bundle, roster).with_context(named)?;
    Ok(Draft::Text(bundle))
}

/// The policy of a file, or without one that in force, to be looked at.
async fn seen(viewer: &Viewer, file: Option<&Path>) -> anyhow::Result<Bundle> {
    Ok(match file {
        Some(file) => read_draft(file, &viewer.roster, None, Vec::new())?
            .bundle()
            .clone(),
        None => viewer.policy().await?.bundle().clone(),
    })
}

/// The policy of a file, or without one that in force.
async fn named_or_in_force(viewer: &Viewer, file: Option<&Path>) -> anyhow::Result<Bundle> {
    Ok(match file {
        Some(file) => draft(file, &viewer.roster, None, Vec::new())?
            .bundle()
            .clone(),
        None => viewer.policy().await?.bundle().clone(),
    })
}

fn checked(bundle: &Bundle, roster: &ValidRoster) -> anyhow::Result<()> {
    bundle.check(roster)?;
    check_rules(bundle)?;
    Ok(())
}

async fn check(client: &ClientArgs, args: &PolicyFileArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let roster = &viewer.roster;
    let draft = draft(&args.file, roster, None, Vec::new())?;
    let bundle = draft.bundle();
    let keys = keys::Known::ask(&viewer).await?;
    if let Some(unknown) = keys.unknown(bundle)? {
        misuse!("{}: {unknown}", args.file.display());
    }
    if json {
        return output::json(bundle);
    }
    println!(
        "{} is a policy: {} rules, {} rolling counters, {} people, {} assets, {} addresses",
        args.file.display(),
        bundle.rules.len(),
        bundle.counters.len(),
        bundle.people.len(),
        bundle.assets.len(),
        bundle.book.len()
    );
    for warning in keys.notes(bundle)? {
        println!("note: {warning}");
    }
    for warning in explain::warnings(bundle, roster) {
        println!("note: {warning}");
    }
    println!(
        "next: quorate policy explain {0}; quorate policy sign {0} --out bundle.json",
        args.file.display()
    );
    Ok(())
}

async fn sign(client: &ClientArgs, args: &PolicySignArgs, json: bool) -> anyhow::Result<()> {
    let operator = Operator::load(&client.client)?;
    let roster = &operator.viewer.roster;
    let in_force = operator.viewer.policy().await?;
    let lifts = lifts(&operator.viewer, args, json).await?;
    let draft = draft(&args.file, roster, Some(&in_force), lifts)?;
    let mut signed = match draft {
        Draft::Text(bundle) => SignedBundle {
            bundle,
            signatures: Vec::new(),
        },
        Draft::Signed(signed) => signed,
    };
    if signed.bundle.previous != in_force.hash() {
        misuse!(
            "{} was made for after another version than the one in force ({}); make it again from its text",
            args.file.display(),
            in_force.bundle().version
        );
    }
    let admins = &in_force.bundle().admins;
    let me = operator.name();
    if !admins.members.iter().any(|a| a.id == *me) {
        misuse!(
            "{me} is not an admin of the policy in force; name an admin's configuration with --client"
        );
    }
    if !json {
        for line in explain::against(in_force.bundle(), &signed.bundle) {
            eprintln!("  {line}");
        }
        let keys = keys::Known::ask(&operator.viewer).await?;
        let unknown = keys.unknown(&signed.bundle)?;
        for note in unknown.into_iter().chain(keys.notes(&signed.bundle)?) {
            eprintln!("  note: {note}");
        }
    }
    if !args.yes && !output::confirmed("Sign this policy?", "sign")? {
        declined!("not signed");
    }
    signed.signatures.retain(|s| s.admin != *me);
    signed.signatures.push(AdminSignature {
        admin: me.clone(),
        signature: operator.sign_object(&signed.bundle),
    });
    let message = signed.bundle.signing_bytes();
    let have = admins.signers(&message, &signed.signatures).len();
    std::fs::write(&args.out, serde_json::to_vec_pretty(&signed)?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    if json {
        return output::json(
            &json!({ "version": signed.bundle.version, "signatures": have, "needed": admins.quorum }),
        );
    }
    let out = args.out.display();
    println!(
        "version {} with {have} of {} signatures in {out}",
        signed.bundle.version, admins.quorum
    );
    if have >= usize::from(admins.quorum) {
        println!("next: quorate policy publish {out}");
    }
    Ok(())
}

async fn publish(client: &ClientArgs, args: &PolicyFileArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let in_force = viewer.policy().await?;
    let Draft::Signed(signed) = draft(&args.file, &viewer.roster, Some(&in_force), Vec::new())?
    else {
        misuse!(
            "{} is a text; sign it first: quorate policy sign",
            args.file.display()
        );
    };
    let version = signed.bundle.version;
    if in_force.signed().bundle != signed.bundle {
        // What no custodian would accept is not sent.
        signed.clone().follow(&viewer.roster, Some(&in_force))?;
    }
    let deliveries = viewer.api.publish(&signed).await?;
    let hash = signed.bundle.canonical_hash();
    // A later version may have come into force meanwhile.
    let ordered = Ordered::new(&viewer.roster, deliveries, hash, |affirmation| {
        affirmation.policy == Some(hash) || affirmation.policy_version > version
    });
    let done = format!("bound by version {version}");
    if json {
        output::json(&ordered.in_json())?;
    } else {
        ordered.print(&done);
        if ordered.is_partial() {
            println!("those that were not reached get it as soon as they take part again");
        }
    }
    ordered.unless_too_few(&done)
}

/// The freeze orders to lift, shown with what custodians sign of them.
async fn lifts(viewer: &Viewer, args: &PolicySignArgs, json: bool) -> anyhow::Result<Vec<Hash32>> {
    if args.unfreeze.is_empty() && !args.unfreeze_all {
        return Ok(Vec::new());
    }
    if args.file.extension().is_some_and(|e| e == "json") {
        misuse!(
            "{} is a bundle, which says itself what it lifts; --unfreeze goes with a text",
            args.file.display()
        );
    }
    let in_force = InForce::ask(viewer).await?;
    let orders = in_force.orders();
    if args.unfreeze_all && orders.is_empty() {
        misuse!("no custodian that answers has a freeze order in force");
    }
    let all = orders.iter().map(|(order, _)| order.canonical_hash());
    let lifted = match args.unfreeze_all {
        true => all.collect(),
        false => args.unfreeze.clone(),
    };
    for id in lifted.iter().filter(|_| !json) {
        let known = orders.iter().find(|(o, _)| o.canonical_hash() == *id);
        let what = known.map(|(order, _)| described(order));
        let what = what.unwrap_or_else(|| "no custodian that answers has it".to_owned());
        eprintln!("  lifts order {id} {what}");
    }
    for (party, why) in in_force.unknown.iter().filter(|_| !json) {
        eprintln!("  note: orders that only {party} has are not known: {why}");
    }
    Ok(lifted)
}

async fn show(client: &ClientArgs, args: &PolicyShowArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let mut chain = viewer.policies().await?;
    if let Some(version) = args.version {
        chain.retain(|b| b.bundle().version == version);
    }
    let Some(policy) = chain.pop() else {
        said!(
            ProblemCode::PolicyUnknown,
            "there is no such version; `quorate policy history` shows those there are"
        );
    };
    let bundle = policy.bundle();
    if args.toml {
        for doubt in words(bundle).doubts {
            eprintln!("warning: {doubt}");
        }
        print!("{}", bundle.source);
        return Ok(());
    }
    if json {
        return output::json(&json!({ "hash": policy.hash(), "signed": policy.signed() }));
    }
    println!("{}", explain::heading(&policy));
    explain::print(bundle, false);
    Ok(())
}
