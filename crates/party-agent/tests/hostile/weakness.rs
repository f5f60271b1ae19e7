//! What makes an agent one that lacks a check: it stands before the agent and puts right what the check would find wrong.

use quorate_service::now_ms;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Action, Approval, Payload, SignedApproval, SignedIntent};

use crate::target::{
    HOUR, Target, admins_signed, nonce, person, prove, signed, signed_by_operator,
};

/// What becomes of a request before the agent hears it.
pub enum Passed {
    Request(Box<NodeRequest>),
    /// The agent never hears it.
    Reply(Box<NodeReply>),
}

pub type Undo = fn(&Target, usize, NodeRequest) -> Passed;

fn on(request: NodeRequest) -> Passed {
    Passed::Request(Box::new(request))
}

/// None: the agent as it is.
pub fn none(_: &Target, _: usize, request: NodeRequest) -> Passed {
    on(request)
}

/// Changes intent and approvals of what is to be judged.
fn judging(
    mut request: NodeRequest,
    change: impl FnOnce(&mut SignedIntent, &mut Vec<SignedApproval>),
) -> NodeRequest {
    if let NodeRequest::Prepare {
        intent, approvals, ..
    }
    | NodeRequest::Issue {
        intent, approvals, ..
    }
    | NodeRequest::Propose { intent, approvals } = &mut request
    {
        change(intent, approvals);
    }
    request
}

/// Does not check the operator's signature.
pub fn any_operator(_: &Target, _: usize, request: NodeRequest) -> Passed {
    on(judging(request, |intent, _| {
        *intent = signed_by_operator(intent.intent.clone());
    }))
}

/// Does not look at an intent's times.
pub fn any_time(_: &Target, _: usize, request: NodeRequest) -> Passed {
    on(judging(request, |intent, _| {
        let mut timely = intent.intent.clone();
        timely.issued_at = now_ms();
        timely.expires_at = now_ms() + HOUR;
        *intent = signed_by_operator(timely);
    }))
}

/// Counts approvals without looking at who gave them, to what, or when.
pub fn any_approval(target: &Target, _: usize, request: NodeRequest) -> Passed {
    on(judging(request, |intent, approvals| {
        let good = ["ann", "ben", "cas"].into_iter().zip(approvals.iter());
        *approvals = good
            .map(|(who, _)| signed(who, target.approval(who, &intent.intent)))
            .collect();
    }))
}

/// Needs no approvals.
pub fn no_approvals(target: &Target, _: usize, request: NodeRequest) -> Passed {
    on(judging(request, |intent, approvals| {
        let approve = |who: &str| signed(who, target.approval(who, &intent.intent));
        *approvals = ["ann", "ben"].map(approve).to_vec();
    }))
}

/// Remembers no rejections and withdrawals.
pub fn deaf_to_people(_: &Target, _: usize, request: NodeRequest) -> Passed {
    match request {
        NodeRequest::Say(_) => Passed::Reply(Box::new(NodeReply::Noted)),
        other => on(other),
    }
}

/// Counts approvals that came alone.
pub fn keeps_approvals(target: &Target, _: usize, request: NodeRequest) -> Passed {
    if let NodeRequest::Say(said) = &request {
        target.heard.lock().unwrap().push(said.clone());
    }
    on(judging(request, |_, approvals| {
        approvals.extend(target.heard.lock().unwrap().iter().cloned());
    }))
}

/// Believes whatever is said in a person's name.
pub fn any_word(_: &Target, _: usize, request: NodeRequest) -> Passed {
    match request {
        NodeRequest::Say(said) => {
            let approval = Approval {
                person: person("cas"),
                ..said.approval
            };
            on(NodeRequest::Say(signed("cas", approval)))
        }
        other => on(other),
    }
}

/// Freezes for nobody.
pub fn deaf_to_guardians(_: &Target, _: usize, request: NodeRequest) -> Passed {
    match request {
        NodeRequest::Freeze(_) => Passed::Reply(Box::new(NodeReply::Noted)),
        other => on(other),
    }
}

/// Freezes for everybody, and as often as an order comes.
pub fn any_freeze(target: &Target, _: usize, request: NodeRequest) -> Passed {
    let NodeRequest::Freeze(mut freeze) = request else {
        return on(request);
    };
    freeze.order.person = person("gus");
    freeze.order.cluster = target.committee.roster.cluster_id();
    freeze.order.nonce = nonce();
    freeze.order.reason.truncate(512);
    freeze.proof = prove("gus", &freeze.order.signing_bytes());
    on(NodeRequest::Freeze(freeze))
}

/// Takes bundles in any order, from anyone, and leaves out rules that it cannot read.
pub fn any_bundle(target: &Target, _: usize, request: NodeRequest) -> Passed {
    let NodeRequest::Publish(published) = request else {
        return on(request);
    };
    let mut bundle = published.bundle;
    let before = target.policy();
    bundle.cluster = before.bundle().cluster;
    bundle.version = before.bundle().version + 1;
    bundle.previous = before.hash();
    bundle.rules.retain(|rule| rule.id.as_str() != "unreadable");
    let signed = admins_signed(bundle, &["root-1", "root-2"]);
    on(NodeRequest::Publish(Box::new(signed)))
}

/// Stays with its version.
pub fn deaf_to_admins(_: &Target, _: usize, request: NodeRequest) -> Passed {
    match request {
        NodeRequest::Publish(_) => Passed::Reply(Box::new(NodeReply::Bundle(None))),
        other => on(other),
    }
}

/// Forgets what it has run: every time a request comes, it is another one.
pub fn forgets_runs(target: &Target, number: usize, request: NodeRequest) -> Passed {
    on(judging(request, |intent, _| {
        let mut prepared = target.prepared.lock().unwrap();
        let times = prepared.entry((number, intent.intent.hash())).or_default();
        let mut again = intent.intent.clone();
        again.nonce[0] ^= *times;
        *times += 1;
        *intent = signed_by_operator(again);
    }))
}

/// Reads what it can from the beginning of a payload and ignores the rest.
pub fn reads_half(target: &Target, _: usize, request: NodeRequest) -> Passed {
    on(judging(request, |intent, _| {
        let mut trimmed = intent.intent.clone();
        while !target.understands(&trimmed)
            && let Action::Sign {
                payload: Payload::SolanaMessage(bytes),
                ..
            } = &mut trimmed.action
            && bytes.pop().is_some()
        {}
        *intent = signed_by_operator(trimmed);
    }))
}
