//! Codes of the API's problem documents.

use super::{FailureCode, PayloadCode, RefusalCode, codes};

codes! {
    /// Answer of the API, or of the command line, instead of a result.
    pub enum ProblemCode includes Failed(FailureCode) {
        /// Too few custodians answer, or can take part, for what was asked.
        PartyOffline = "party-offline", transient @ PeerAbsent,
            "`quorate status` shows who answers, and why others cannot take part.";
        /// The custodians did not finish, and none of them says more.
        CeremonyFailed = "ceremony-failed", transient @ PeerAbsent,
            "Send the request again; if it happens again, look into the custodians' logs.";
        /// The orchestrator does not know a request with this hash.
        IntentUnknown = "intent-unknown", @ Caller,
            "`quorate request list` shows what it knows. After a restart of the orchestrator, send the same signed request again.";
        /// The request has ended without a signature: it was refused, rejected, or not allowed in
        /// time.
        RequestEnded = "request-ended", @ Caller,
            "`quorate request show REQUEST` says how it ended. Make a new request.";
        /// So many custodians do not affirm that they carry an order out, or have a policy in
        /// force, that they could still sign without the others.
        OrderIncomplete = "order-incomplete", transient @ PeerAbsent,
            "`quorate status` shows what each custodian affirms. Repeat the command when those that are missing answer.";
        /// No custodian has a policy with this version.
        PolicyUnknown = "policy-unknown", @ Caller,
            "`quorate policy history` shows the versions there are.";
        /// The request has as many approvals, rejections and withdrawals as one may have.
        TooManyApprovals = "too-many-approvals", @ Caller,
            "Make the request again; the policy needs fewer people than have spoken.";
        /// The body of the request is longer than the API takes.
        TooLong = "too-long", @ Caller,
            "Split the work into several requests.";
        /// The API has no such path.
        NotFound = "not-found", @ Caller,
            "Compare the path with the documentation of this version.";
        /// The path exists, but not for this HTTP method.
        MethodNotAllowed = "method-not-allowed", @ Caller,
            "Compare the method with the documentation of this version.";
        /// The orchestrator's answer contradicts what the custodians signed, or itself.
        OrchestratorMisbehaved = "orchestrator-misbehaved", @ PeerMisbehaved,
            "Do not use what it answered. Look into the orchestrator; custodians and keys are not affected.";
        /// The orchestrator cannot be reached, does not answer as one, or reaches no custodian.
        /// Nothing is known then, not even that there is nothing.
        Unreachable = "unreachable", transient @ PeerAbsent,
            "Check the endpoint in `client.toml`, and that `quorate orchestrator run` is running. If no custodian answers it: check that NATS and the agents are.";
        /// The person at the terminal said no when the command asked.
        Declined = "declined", @ Denied,
            "Nothing was done. `--yes` answers for scripts.";
        /// The command was called with something that it cannot work with.
        Misuse = "misuse", @ Caller,
            "The message says what is wrong; `quorate COMMAND --help` has examples.";
        /// The command failed on this machine.
        Client = "client", @ LocalFault,
            "The message says what failed.";
    }
}

impl From<RefusalCode> for ProblemCode {
    fn from(code: RefusalCode) -> Self {
        FailureCode::from(code).into()
    }
}

impl From<PayloadCode> for ProblemCode {
    fn from(code: PayloadCode) -> Self {
        RefusalCode::from(code).into()
    }
}
