//! Which messages a protocol has, in the order they are waited for, and how large an honest one can be.

use quorate_types::CeremonyKind;

/// One kind of message of a protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundRule {
    /// The library's number.
    pub number: u16,
    /// Broadcast, or one to each peer.
    pub broadcast: bool,
}

const fn broadcast(number: u16) -> RoundRule {
    RoundRule {
        number,
        broadcast: true,
    }
}

const fn direct(number: u16) -> RoundRule {
    RoundRule {
        number,
        broadcast: false,
    }
}

/// The messages of one protocol.
#[derive(Debug)]
pub(crate) struct Rules {
    /// In the order a party waits for them.
    pub rounds: &'static [RoundRule],
    /// The longest encoded message accepted, in bytes.
    pub max_len: usize,
    /// The longest string or byte string inside a message. An integer is a string of hexadecimal digits, and what a peer's
    /// long one costs to compute with grows with the cube of its length (T13).
    pub max_item: usize,
}

/// Hexadecimal digits of the longest integer in a proof, with the level's 3072-bit moduli.
const MAX_INTEGER: usize = 2560;

impl Rules {
    pub(crate) fn round(&self, number: u16) -> Option<&RoundRule> {
        self.rounds.iter().find(|r| r.number == number)
    }
}

/// `cggmp24_keygen::ThresholdMsg`: Round1, Round2Broad, Round2Uni, Round3, ReliabilityCheck are 0 to 4.
pub(crate) static KEYGEN: Rules = Rules {
    rounds: &[
        broadcast(0),
        broadcast(4),
        broadcast(1),
        direct(2),
        broadcast(3),
    ],
    max_len: 8 * 1024,
    max_item: 128,
};

/// `cggmp24::key_refresh::Msg`: Round1, Round2, Round3, ReliabilityCheck are 0 to 3.
pub(crate) static AUX: Rules = Rules {
    rounds: &[broadcast(0), broadcast(3), broadcast(1), direct(2)],
    max_len: 320 * 1024,
    max_item: MAX_INTEGER,
};

/// `cggmp24::signing::Msg`: Round1a, Round1b, Round2, Round3, Round4, ReliabilityCheck are 0 to 5.
pub(crate) static ECDSA: Rules = Rules {
    rounds: &[
        broadcast(0),
        direct(1),
        broadcast(5),
        direct(2),
        broadcast(3),
        broadcast(4),
    ],
    max_len: 64 * 1024,
    max_item: MAX_INTEGER,
};

/// The same without Round4, the partial signatures.
pub(crate) static PRESIGN: Rules = Rules {
    rounds: &[
        broadcast(0),
        direct(1),
        broadcast(5),
        direct(2),
        broadcast(3),
    ],
    max_len: ECDSA.max_len,
    max_item: ECDSA.max_item,
};

/// RFC 9591: commitments, then shares with an echo of the commitments.
pub(crate) static FROST: Rules = Rules {
    rounds: &[broadcast(0), broadcast(1)],
    max_len: 1024,
    max_item: 256,
};

/// The longest payload a ceremony of this kind accepts, in bytes; anything longer can be dropped before it is opened.
#[must_use]
pub fn max_message_len(kind: CeremonyKind) -> usize {
    match kind {
        CeremonyKind::Keygen | CeremonyKind::Reshare => KEYGEN.max_len,
        CeremonyKind::Aux => AUX.max_len,
        CeremonyKind::Presign => PRESIGN.max_len,
        CeremonyKind::Sign => ECDSA.max_len,
        // No ceremony of these protocols.
        CeremonyKind::Spend => 0,
    }
}
