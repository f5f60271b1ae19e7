//! `quorate request`: what waits, what became of it.

use std::path::Path;

use anyhow::Context as _;
use quorate_api::{IntentState, IntentView, Problem, ResultView};
use quorate_chain::{Analysis, Assembled, analyse_for, assemble};
use quorate_policy::Shown;
use quorate_types::ProblemCode;
use quorate_types::RefusalCode;
use quorate_types::node::KeyListing;
use quorate_types::{
    Action, ChainRules, IntentHash, KeyRecord, Network, PublicKey, Verdict, VerifiedIntent,
};
use serde_json::json;

use crate::args::{ClientArgs, RequestCommand, ShowArgs, whole_hash};
use crate::commands::sign::{add_signed, text_of};
use crate::exit::{misuse, said, untrue};
use crate::operator::{Operator, Viewer, by_id};
use crate::output;

/// A request, read and understood on this machine.
pub struct Decoded {
    pub intent: VerifiedIntent,
    /// For a change of a key.
    pub changed: Option<KeyRecord>,
    /// For a signing.
    pub signing: Option<Signing>,
    /// What an approver reads.
    pub shown: Shown,
}

/// What would be signed.
pub struct Signing {
    pub record: KeyRecord,
    pub child: PublicKey,
    pub network: Option<Network>,
    pub analysis: Analysis,
}

impl Decoded {
    /// Fetches a request, checks its operator's signature, and decodes it for its key, as the chain
    /// rules of the policy say.
    pub async fn fetch(
        viewer: &Viewer,
        hash: IntentHash,
        chains: &ChainRules,
    ) -> anyhow::Result<Self> {
        Self::fetch_with(viewer, &viewer.keys().await?, chains, hash).await
    }

    /// The same with keys that are at hand.
    pub async fn fetch_with(
        viewer: &Viewer,
        keys: &[KeyListing],
        chains: &ChainRules,
        hash: IntentHash,
    ) -> anyhow::Result<Self> {
        let intent = viewer.request(hash).await?;
        let Action::Sign {
            key,
            path,
            network,
            payload,
            ..
        } = &intent.intent().action
        else {
            let changed = match &intent.intent().action {
                Action::SetProtocol { key, .. } => Some(by_id(keys, *key)?),
                _ => None,
            };
            let shown = Shown::other(intent.intent(), changed.as_ref());
            return Ok(Self {
                intent,
                changed,
                signing: None,
                shown,
            });
        };
        let record = by_id(keys, *key)?;
        let (child, analysis) = analyse_for(payload, *network, &record, path)?;
        let shown = Shown::signing(intent.intent(), &record, &analysis, chains);
        let network = *network;
        Ok(Self {
            changed: None,
            signing: Some(Signing {
                record,
                child,
                network,
                analysis,
            }),
            intent,
            shown,
        })
    }

    /// The finished transaction, of a batch each, verified here.
    pub fn assembled(&self, view: &IntentView) -> anyhow::Result<Option<Vec<Assembled>>> {
        let (Some(ResultView::Signatures(signatures)), Some(signing)) =
            (&view.result, &self.signing)
        else {
            return Ok(None);
        };
        let Action::Sign { payload, .. } = &self.intent.intent().action else {
            return Ok(None);
        };
        let Signing {
            record,
            child,
            network,
            ..
        } = signing;
        match assemble(payload, *network, record.scheme, child, signatures) {
            Ok(assembled) => Ok(Some(assembled)),
            Err(error) => untrue!("the signatures that came back are not good: {error}"),
        }
    }
}

/// `quorate request ...`.
pub async fn run(client: &ClientArgs, command: RequestCommand, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    match command {
        RequestCommand::List => list(&viewer, json).await,
        RequestCommand::Show(args) => show(&viewer, &args, json).await,
    }
}

/// A request by its hash, or by so much of its beginning that it is the only one.
pub async fn find(viewer: &Viewer, text: &str) -> anyhow::Result<IntentHash> {
    if let Some(hash) = whole_hash(text) {
        return Ok(hash);
    }
    let latest = viewer.api.intents().await?;
    let mut found = latest
        .iter()
        .map(|v| v.intent)
        .filter(|hash| hash.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(hash), None) if !text.is_empty() => Ok(hash),
        (None, _) => {
            said!(
                ProblemCode::IntentUnknown,
                "no request begins with {text:?}; `quorate request list` shows the latest"
            )
        }
        _ => misuse!("more than one request begins with {text:?}; give more digits"),
    }
}

async fn list(viewer: &Viewer, json: bool) -> anyhow::Result<()> {
    let views = viewer.api.intents().await?;
    // Also where there are none: an orchestrator that reaches no custodian is not one with nothing
    // to do.
    let keys = viewer.keys_if_any().await?;
    if json {
        return output::json(&views);
    }
    if views.is_empty() {
        println!("no requests");
    }
    let policy = viewer.policy().await?;
    let chains = &policy.bundle().chains;
    for view in views {
        let hash = view.intent.to_string();
        let short = hash.get(..12).unwrap_or(&hash);
        println!(
            "{short}  {:8} {}",
            state(&view),
            first_line(viewer, &keys, chains, &view).await
        );
        for line in waiting_lines(&view) {
            println!("              {line}");
        }
    }
    Ok(())
}

async fn first_line(
    viewer: &Viewer,
    keys: &[KeyListing],
    chains: &ChainRules,
    view: &IntentView,
) -> String {
    match Decoded::fetch_with(viewer, keys, chains, view.intent).await {
        Ok(decoded) => decoded.shown.lines().get(1).cloned().unwrap_or_default(),
        Err(error) => format!("cannot be decoded here: {error:#}"),
    }
}

const fn state(view: &IntentView) -> &'static str {
    match view.state {
        IntentState::Running => "running",
        IntentState::Pending => "pending",
        IntentState::Done => "done",
        IntentState::Failed => "failed",
    }
}

/// What is missing, each thing once, with the custodians that say so.
pub fn waiting_lines(view: &IntentView) -> Vec<String> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for refusal in &view.waiting {
        let who = refusal
            .signed
            .as_ref()
            .map_or("a custodian".to_owned(), |s| s.party.to_string());
        match lines.iter_mut().find(|(text, _)| *text == refusal.reason) {
            Some((_, names)) => names.push(who),
            None => lines.push((refusal.reason.clone(), vec![who])),
        }
    }
    let lines = lines.into_iter();
    lines
        .map(|(text, names)| format!("{} ({})", text, names.join(", ")))
        .collect()
}

fn said_lines(view: &IntentView) -> Vec<String> {
    let said = view.said.iter();
    said.map(|s| {
        let verb = match s.verdict {
            Verdict::Approve => "approves",
            Verdict::Reject => "rejects",
            Verdict::Withdraw => "withdraws",
        };
        format!("{} {verb} ({})", s.person, output::time(s.at))
    })
    .collect()
}

async fn show(viewer: &Viewer, args: &ShowArgs, json: bool) -> anyhow::Result<()> {
    let hash = find(viewer, &args.request).await?;
    let mut view = viewer.api.poll_now(hash).await?;
    if args.wait {
        let waiting = output::spinner("waiting for the request's end", json);
        let ended = viewer.api.finish(view).await;
        waiting.finish_and_clear();
        view = ended?;
    }
    let decoded = Decoded::fetch(viewer, hash, &viewer.policy().await?.bundle().chains).await?;
    let signed = decoded.assembled(&view)?;
    let network = decoded.signing.as_ref().and_then(|s| s.network);
    let text = signed.as_ref().map(|signed| text_of(network, signed));
    if let (Some(file), Some(text)) = (&args.out, &text) {
        write_out(file, text)?;
    }
    if json {
        let mut found = json!({
            "request": view,
            "shown": decoded.shown.lines(),
            "facts": decoded.signing.as_ref().map(|s| &s.analysis.facts),
            "effects": decoded.signing.as_ref().map(|s| &s.analysis.effects),
            "id": null,
            "signed": null,
        });
        if let Some(signed) = &signed {
            add_signed(&mut found, network, signed);
        }
        return output::json(&found);
    }
    println!("{hash}  {}", state(&view));
    let expires = output::time(decoded.intent.intent().expires_at);
    for line in decoded
        .shown
        .lines()
        .iter()
        .chain(&said_lines(&view))
        .chain(&waiting_lines(&view))
    {
        println!("  {line}");
    }
    println!("  expires {expires}");
    if let Some(problem) = &view.problem {
        println!("  {}", problem.detail);
    }
    match (&args.out, text) {
        (Some(file), Some(_)) => println!("written to {}", file.display()),
        (None, Some(text)) => println!("{text}"),
        (_, None) => {}
    }
    Ok(())
}

/// Fails where a request has ended, as somebody's word on it then comes too late. That it is signed
/// is believed with its signatures alone.
pub fn unless_ended(decoded: &Decoded, view: &IntentView) -> anyhow::Result<()> {
    let hash = view.intent;
    match view.state {
        IntentState::Running | IntentState::Pending => Ok(()),
        IntentState::Done => {
            let signed = decoded.assembled(view)?.unwrap_or_default();
            let ids: Vec<_> = signed.iter().map(|one| one.id.as_str()).collect();
            let what = match ids.as_slice() {
                [] => "done".to_owned(),
                ids => format!("signed (id {})", ids.join(", ")),
            };
            said!(
                RefusalCode::AlreadySigned,
                "request {hash} is {what} already; nothing that is said now changes that"
            )
        }
        IntentState::Failed => {
            let how = view.problem.as_ref().map(|problem| problem.detail.as_str());
            said!(
                ProblemCode::RequestEnded,
                "request {hash} has ended already: {}",
                how.unwrap_or("without a result")
            )
        }
    }
}

/// Writes a signed transaction.
pub fn write_out(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, format!("{text}\n"))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Waits for a request that waits for approvals or time, and says so; one that is pending in the end is an error.
pub async fn finished(
    operator: &Operator,
    view: IntentView,
    quiet: bool,
) -> anyhow::Result<IntentView> {
    if view.state != IntentState::Pending {
        return Ok(view);
    }
    if !quiet {
        eprintln!("request {} waits:", view.intent);
        for line in waiting_lines(&view) {
            eprintln!("  {line}");
        }
        eprintln!(
            "approvers:  quorate --client <their client.toml> approve {}",
            view.intent.short()
        );
        eprintln!(
            "later:      quorate request show {} --wait",
            view.intent.short()
        );
    }
    let waiting = output::spinner("waiting; Ctrl-C leaves the request as it is", quiet);
    let ended = operator.viewer.api.finish(view).await;
    waiting.finish_and_clear();
    Ok(ended?)
}

/// A pending request as a problem, for callers that do not wait.
pub fn as_problem(view: &IntentView) -> Problem {
    let lines = waiting_lines(view);
    let detail = format!("request {} waits: {}", view.intent, lines.join("; "));
    let mut problem = Problem::new(202, RefusalCode::PolicyPending, "The request waits", detail);
    problem.refusals.clone_from(&view.waiting);
    problem
}
