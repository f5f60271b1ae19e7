//! Codes of agents that do not take part.

use super::{PayloadCode, codes};

codes! {
    /// Why an agent does not do what it is asked.
    pub enum RefusalCode includes Payload(PayloadCode) {
        /// The request's time to be acted on has passed.
        IntentExpired = "intent-expired", @ Caller,
            "Make the request again, with a longer `--valid-for` if people need longer. If it was new, check this machine's clock.";
        /// The request is not well formed, lies too far in the future, or is valid for too long.
        IntentInvalid = "intent-invalid", @ Caller,
            "The message names the field. If it is about time, check this machine's clock.";
        /// The operator's signature on the request does not verify.
        OperatorSignature = "operator-signature", @ Denied,
            "Sign with the key that the custodians' roster has for this operator.";
        /// The request is signed by somebody whom the custodians' roster does not list.
        OperatorUnknown = "operator-unknown", @ Denied,
            "Have the custodians add the operator, or sign as one whom they know.";
        /// The request was made for another roster than the custodian has.
        OtherRoster = "other-roster", @ Caller,
            "Get the cluster's current roster from your administrator.";
        /// The custodian has no key with this name or id.
        KeyUnknown = "key-unknown", @ Caller,
            "`quorate key list` shows the keys there are.";
        /// Not every custodian has attested the key yet, so none signs with it.
        KeyNotActive = "key-not-active", @ PeerAbsent,
            "`quorate key list` makes custodians activate keys whose attestations are all there; `quorate status` shows who is away.";
        /// The key is in force with the custodian, so it is not discarded.
        KeyInForce = "key-in-force", @ Caller,
            "`quorate key list` shows which keys are unfinished; only those can be discarded.";
        /// Another key has this name, or is being made under it.
        KeyNameTaken = "key-name-taken", @ Caller,
            "Choose another `--name`; `quorate key list` shows those in use.";
        /// CGGMP24 needs the committee's auxiliary information, and it has not been made.
        CommitteeNotSetUp = "committee-not-set-up", @ Caller,
            "Run `quorate committee setup` once; for 2-of-3 it takes about a minute.";
        /// The committee's auxiliary information exists already.
        CommitteeSetUp = "committee-set-up", @ Caller,
            "Nothing: every key of the committee uses it.";
        /// A custodian has fewer safe primes than committee setup needs; it is still searching.
        PrimesNotReady = "primes-not-ready", transient @ PeerAbsent,
            "Wait: `quorate status` shows how many each custodian has, and `quorate committee setup` waits for them.";
        /// A record is not attested by every custodian, or is about another key or committee.
        NotAttested = "not-attested", @ PeerMisbehaved,
            "Ask for it again. If it stays, the custodians hold different records; compare `quorate key show` at each.";
        /// The participants named cannot run this: too few, too many, or not of the committee.
        Participants = "participants", @ Bug,
            "Please report it, with the orchestrator's log.";
        /// The request was tried as often as one request may be.
        AttemptsExhausted = "attempts-exhausted", @ Caller,
            "Make the request again, once `quorate status` shows enough custodians.";
        /// Nothing was prepared for this try, or it waited for too long.
        NotPrepared = "not-prepared", transient @ PeerAbsent,
            "Send the request again.";
        /// The list of nonces does not hold this custodian's own in its place.
        Nonces = "nonces", @ PeerMisbehaved,
            "Please report it, with the orchestrator's log.";
        /// The try was begun before, perhaps before the orchestrator was restarted. It is not run
        /// twice.
        Repeated = "repeated", transient @ PeerAbsent,
            "Nothing: the next try has another number. What the first one yielded is returned for the same request.";
        /// The custodian's store is closed: it holds no share in memory.
        Sealed = "sealed", @ PeerAbsent,
            "On that custodian's machine: `quorate agent unseal`.";
        /// The custodian knows less than its peers say it once did: its disk was put back.
        Quarantined = "quarantined", @ PeerAbsent,
            "`quorate agent status` on that machine says why and what to do.";
        /// The custodian has just started and asks its peers what they last heard from it.
        Confirming = "confirming", transient @ PeerAbsent,
            "Try again in a few seconds.";
        /// The request is older than the custodian's restore, and it may have forgotten what it did
        /// about it.
        BeforeRestore = "before-restore", @ PeerAbsent,
            "Make the request again, a minute after the custodian came back.";
        /// The custodian's clock is before the last entry of its ledger.
        ClockBack = "clock-back", @ LocalFault,
            "Set that machine's clock; if the ledger's times are the wrong ones: `quorate agent accept-clock`.";
        /// The custodian has no policy, and without one it signs nothing.
        PolicyNone = "policy-none", @ Denied,
            "An admin publishes one: `quorate policy init`, `sign`, `publish`.";
        /// The policy lets the request through once people have approved it, or time has passed.
        PolicyPending = "policy-pending", @ Waiting,
            "`quorate request list` shows what waits for whom. Approvers: `quorate approve REQUEST`.";
        /// The request has been signed: what people say of it comes too late.
        AlreadySigned = "already-signed", @ Caller,
            "`quorate request show REQUEST` has the signature. What was signed cannot be taken back here; act on its chain, or freeze what is to come: `quorate freeze`.";
        /// A rule of the policy forbids the request.
        PolicyDenied = "policy-denied", @ Denied,
            "`quorate policy explain` shows the rules; `quorate policy simulate` tries a transaction.";
        /// Another version of the policy came into force while the request was being worked on.
        PolicyChanged = "policy-changed", transient @ PeerAbsent,
            "Send the request again; it is judged by the new version.";
        /// A rolling limit counts the request, and too few custodians were named to acknowledge
        /// what it spends.
        LimitAcknowledgements = "limit-acknowledgements", transient @ PeerAbsent,
            "More custodians must be online: `quorate status`.";
        /// The policy bundle is not the next version, or is not signed by enough admins.
        BundleRefused = "bundle-refused", @ Denied,
            "`quorate policy history` shows the version in force; make the new one from it and have the admins sign it.";
        /// The bundle's rules cannot be evaluated.
        BundleRules = "bundle-rules", @ Caller,
            "`quorate policy check` shows where.";
        /// An approval, rejection, withdrawal or freeze is not by whom it says, or not about this
        /// request.
        ApprovalRefused = "approval-refused", @ Denied,
            "`quorate policy explain` lists who may say what. If you are among them, sign again with the credential that the policy lists.";
        /// Another custodian did not show its spend records in time.
        SpendingMissing = "spending-missing", transient @ PeerAbsent,
            "`quorate status` shows who answers.";
        /// Another custodian showed two different spend records where there can be one.
        SpendingConflict = "spending-conflict", transient @ PeerMisbehaved,
            "Look into the named custodian: its disk may have been put back, or it lies.";
        /// Another custodian's spend records cannot be used: not signed, or not in order.
        SpendingUnusable = "spending-unusable", transient @ PeerMisbehaved,
            "Compare versions with `quorate status`; otherwise look into the named custodian.";
        /// Another custodian ended the exchange of spend records.
        SpendingPeer = "spending-peer", transient @ PeerAbsent,
            "Look at the quoted reason, and at that custodian's log.";
        /// The custodian cannot exchange spend records for a reason of its own: messages,
        /// signatures or memory.
        SpendingLocal = "spending-local", transient @ LocalFault,
            "Look at that custodian's log.";
        /// The custodian was restored and has not heard from enough peers what was spent.
        SpendingForgotten = "spending-forgotten", transient @ PeerAbsent,
            "Let every custodian be online once.";
        /// The protocol does not sign for keys of this kind, or has nothing to renew.
        ProtocolUnfit = "protocol-unfit", @ Caller,
            "`quorate key show` says the key's curve and scheme; ECDSA keys have `cggmp24` and `dkls23`.";
        /// The key is signed for by this protocol already.
        ProtocolInForce = "protocol-in-force", @ Caller,
            "Nothing; or `--renew` for a new DKLs23 setup.";
        /// Custodians do not agree on the protocol that signs for the key: one missed a change.
        ProtocolDiffers = "protocol-differs", transient @ PeerAbsent,
            "`quorate key list` brings custodians to agree; then try again.";
        /// A later change of the key's protocol is in force.
        ProtocolOutdated = "protocol-outdated", @ Caller,
            "`quorate key show` says what is in force.";
        /// The custodian has banned another one for this key: it failed a consistency check of
        /// DKLs23.
        CounterpartyBanned = "counterparty-banned", transient @ PeerMisbehaved,
            "`quorate status` shows who has banned whom; other custodians sign without them.";
        /// There is no ban of this custodian for this key to lift.
        NotBanned = "not-banned", @ Caller,
            "`quorate status` shows who has banned whom.";
        /// The custodian was restored, or lost its DKLs23 setup, and may have forgotten whom it
        /// banned.
        SetupLost = "setup-lost", @ PeerAbsent,
            "`quorate key set-protocol KEY dkls23 --renew`.";
        /// No partial signature of this custodian waits for the signatures that were sent.
        NothingIssued = "nothing-issued", @ Caller,
            "Nothing: it was told before, or has restarted since.";
        /// The custodian's pool of presignatures for this key, child and signers is full or not
        /// wanted.
        PresignaturesFull = "presignatures-full", transient @ PeerAbsent,
            "Nothing: they are made when they are used up.";
        /// The presignature or nonce was used before, or died with a restart.
        PresignatureUnavailable = "presignature-unavailable", transient @ PeerAbsent,
            "Nothing: another one is tried, or the interactive protocol.";
        /// The number of presignatures does not fit what there is to sign.
        PresignatureCount = "presignature-count", @ Bug,
            "Please report it, with the orchestrator's log.";
        /// A rolling limit counts the request, so custodians must show each other what was spent
        /// before they sign.
        MustBePrepared = "must-be-prepared", transient @ PeerAbsent,
            "Nothing: the orchestrator prepares it.";
        /// The request is for another epoch of the key's shares than the custodian has.
        Epoch = "epoch", @ Caller,
            "`quorate key show` says the epoch; make the request again.";
        /// The custodian, or the orchestrator, works on as much as it takes at once.
        Busy = "busy", transient @ PeerAbsent,
            "Try again after the seconds in `Retry-After`, or in a moment.";
        /// An operator, a person or a custodian has as much kept or worked on here as one may
        /// have; others are not affected.
        Quota = "quota", transient @ Caller,
            "Wait until earlier requests have ended or expired; the message says what there is too much of.";
        /// The bytes are no request of this protocol.
        Unreadable = "unreadable", @ Caller,
            "Compare versions with `quorate status` and `quorate version`.";
        /// The two programs speak versions of the protocol that are more than one apart.
        VersionUnsupported = "version-unsupported", @ PeerAbsent,
            "Upgrade the older program; `quorate status` and `quorate version` name the versions. Adjacent ones work together.";
        /// Another participant speaks a version of the protocol that is not adjacent to the
        /// custodian's.
        PeerVersion = "peer-version", transient @ PeerAbsent,
            "Nothing: custodians that work together are chosen. `quorate status` names the versions; upgrade the older programs.";
        /// The custodian's disk is full, so it cannot record what it does, and does nothing.
        DiskFull = "disk-full", @ LocalFault,
            "Free some space on that custodian's machine; it goes on by itself.";
        /// The custodian's store or ledger cannot be read or written.
        Storage = "storage", @ LocalFault,
            "Look at that custodian's log; it may need to be restored from a backup.";
        /// The program failed inside: a thread ended, or what it had stored is damaged.
        LocalFault = "local-fault", @ LocalFault,
            "Look at that custodian's log.";
    }
}
