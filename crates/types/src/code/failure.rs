//! Codes of ceremonies that ended without a result.

use super::{RefusalCode, codes};

codes! {
    /// Why a ceremony ended without a result.
    pub enum FailureCode includes Refused(RefusalCode) {
        /// Custodians that take part stayed silent for longer than a round may take.
        PartyMissing = "party-missing", @ PeerAbsent,
            "`quorate status` shows who answers. Another quorum is tried by itself where there is one.";
        /// A custodian was restarted during the ceremony and has lost the session.
        PartyRestarted = "party-restarted", transient @ PeerAbsent,
            "Nothing: it is tried again. If it happens often, look into that custodian's log.";
        /// A custodian was still running the ceremony when the others had ended.
        NotFinished = "not-finished", transient @ PeerAbsent,
            "Send the request again. Its end may still arrive: the same request is never signed twice.";
        /// A custodian was ready, but others did not begin.
        NotBegun = "not-begun", transient @ PeerAbsent,
            "Send the request again, and look at what the other custodians answered.";
        /// Another custodian ended the ceremony; its reason is quoted.
        PeerAborted = "peer-aborted", @ PeerAbsent,
            "Look at the quoted reason, and at that custodian's log.";
        /// A custodian sent a message that is not of the protocol: it cannot be decoded, or is of
        /// another size.
        InvalidMessage = "invalid-message", @ PeerMisbehaved,
            "Compare versions with `quorate status`. With the same version everywhere, treat the named custodian as compromised.";
        /// A proof or share that a custodian sent does not verify.
        FailedCheck = "failed-check", @ PeerMisbehaved,
            "Treat the named custodian as compromised until its machine has been looked into; sign with others meanwhile.";
        /// A consistency check of DKLs23 failed at a custodian, which banned the other for this
        /// key.
        ConsistencyCheck = "consistency-check", @ PeerMisbehaved,
            "Look into the named custodian's machine; then `quorate key set-protocol KEY dkls23 --renew` and `quorate agent lift-ban`.";
        /// Custodians received different versions of one broadcast, and nobody has shown both yet.
        UnreliableBroadcast = "unreliable-broadcast", transient @ PeerMisbehaved,
            "Try again: with both signed versions in hand the sender is named.";
        /// A check failed and the protocol cannot say whose message was wrong.
        Unattributable = "unattributable", @ PeerMisbehaved,
            "Sign with presignatures, where a wrong part names its sender, or with another quorum.";
        /// A custodian signed two different broadcasts of one round. Both statements are the proof.
        Equivocation = "equivocation", @ PeerMisbehaved,
            "Treat the named custodian as compromised. The proof is in the agents' logs.";
        /// A partial signature is wrong, or is not signed by the custodian that sent it.
        WrongPartial = "wrong-partial", @ PeerMisbehaved,
            "Treat the named custodian as compromised until its machine has been looked into. Others sign without it.";
        /// A custodian handed out FROST nonce commitments that are no curve points.
        WrongCommitments = "wrong-commitments", @ PeerMisbehaved,
            "Treat the named custodian as compromised until its machine has been looked into. Others sign without it.";
        /// The custodian's identity key, in a token, cannot be used now, so it cannot sign what it
        /// says.
        IdentityUnavailable = "identity-unavailable", transient @ LocalFault,
            "Put the token back, or start its service, on that custodian's machine.";
        /// Messages cannot be sent: the connection to NATS is down, or refuses what is sent.
        Messaging = "messaging", transient @ LocalFault,
            "Look at that custodian's log and at the NATS server's.";
    }
}
