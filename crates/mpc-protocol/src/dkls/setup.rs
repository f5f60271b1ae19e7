//! The setup ceremony: phases 2 to 4 of the library's DKG (ePrint 2023/602, protocol 9.1, with the initialisation of ePrint
//! 2023/765, functionalities 3.4 and 3.5), on the polynomial that the key has already instead of a new one.
//!
//! | round | to | what | bytes |
//! |---|---|---|---|
//! | 0 | each peer | commitments to the proof of the own share, to the seed for shares of zero, to a chain code | 131 |
//! | 1 | each peer | their openings; base oblivious transfers of both directions | 147 826 |
//!
//! The sizes do not depend on the committee. Nothing is broadcast and so nothing echoed: each pair's state comes from that pair's
//! messages alone, the proof is of a public share that everyone knows already, and the chain code, which the
//! library insists on, is thrown away. Whoever tells two peers different things has two different, valid setups with them.

use std::collections::BTreeMap;

use dkls23::protocols::dkg::{
    self, BroadcastDerivationPhase2to4, BroadcastDerivationPhase3to4, KeepInitMulPhase3to4,
    KeepInitZeroSharePhase2to3, KeepInitZeroSharePhase3to4, ProofCommitment, SessionData,
    TransmitInitMulPhase3to4, TransmitInitZeroSharePhase2to4, TransmitInitZeroSharePhase3to4,
    UniqueKeepDerivationPhase2to3,
};
use dkls23::protocols::{PartiesMessage, Party, PartyIndex};
use dkls23::utilities::ot::extension::KAPPA;
use dkls23::utilities::proofs::{DLogProof, R, T};
use dkls23::utilities::zero_shares::ZeroShare;
use generic_ec::curves::{Secp256k1, Secp256r1};
use k256_dkls::elliptic_curve::CurveArithmetic;
use key_share::CoreKeyShare;
use quorate_types::canonical::tagged_hash;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::blame;
use super::curve::{self, Suite};
use super::mailbox::{Driven, Mailbox, Round, Steps, decode};
use super::state::{DklsSetup, Header, Pairwise, State};
use crate::{Abort, Ceremony, Effect, Outcome, Seat, Share, To};

const COMMIT: u16 = 0;
const OPEN: u16 = 1;
/// The longest string of bytes in a message: a point.
const MAX_ITEM: usize = 64;
/// Bytes of a commitment's salt.
const SALT: usize = 64;

/// Makes the state with which the share's committee can sign by DKLs23 from now on. Everyone of the committee takes part,
/// seated in committee order.
///
/// Ends with [`Outcome::DklsSetup`]. A setup that ended for some and not for others is of no use to anyone: keep it pending until
/// all have one of the same [`DklsSetup::id`]. As a [`quorate_types::CeremonyKind`] it is an `Aux`.
///
/// The library draws its own randomness; it is unaudited.
///
/// # Errors
/// An Ed25519 share, one whose evaluation points are not 1 to n, a seat that is not the share's.
pub fn dkls_setup(seat: Seat, share: &Share) -> Result<Box<dyn Ceremony>, Abort> {
    let threshold = share.threshold().map_err(Abort::local)?;
    if seat.parties() != threshold.n() || seat.me() != share.index() {
        return Err(Abort::local(
            "a setup seats the whole committee in its order",
        ));
    }
    match share {
        Share::Secp256k1(core) => {
            let setup = Setup::new::<Secp256k1>(&seat, share, core, State::Secp256k1)?;
            Ok(Box::new(Driven::new(seat, setup)))
        }
        Share::P256(core) => {
            let setup = Setup::new::<Secp256r1>(&seat, share, core, State::P256)?;
            Ok(Box::new(Driven::new(seat, setup)))
        }
        Share::Ed25519(_) => Err(Abort::local("Ed25519 keys do not sign ECDSA")),
    }
}

/// Round 0.
#[derive(Serialize, Deserialize)]
struct Commitments {
    proof: [u8; 32],
    zero: TransmitInitZeroSharePhase2to4,
    chain_code: BroadcastDerivationPhase2to4,
}

/// Round 1.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Openings<C: Suite> {
    proof: DLogProof<C>,
    zero: TransmitInitZeroSharePhase3to4,
    multiplication: TransmitInitMulPhase3to4<C>,
    chain_code: BroadcastDerivationPhase3to4,
}

/// What is kept from the first step for the second.
struct Committed<C: Suite> {
    proof: ProofCommitment<C>,
    zero: BTreeMap<PartyIndex, KeepInitZeroSharePhase2to3>,
    chain_code: UniqueKeepDerivationPhase2to3,
    chain_code_commitment: BroadcastDerivationPhase2to4,
}

/// What is kept from the second step for the last.
struct Opened<C: Suite> {
    proof: ProofCommitment<C>,
    zero: BTreeMap<PartyIndex, KeepInitZeroSharePhase3to4>,
    multiplication: BTreeMap<PartyIndex, KeepInitMulPhase3to4<C>>,
    chain_code_commitment: BroadcastDerivationPhase2to4,
    chain_code: BroadcastDerivationPhase3to4,
}

// The library does not zeroize these.
impl<C: Suite> Drop for Committed<C> {
    fn drop(&mut self) {
        for kept in self.zero.values_mut() {
            kept.seed.zeroize();
            kept.salt.zeroize();
        }
    }
}

impl<C: Suite> Drop for Openings<C> {
    fn drop(&mut self) {
        self.zero.seed.zeroize();
        self.zero.salt.zeroize();
    }
}

impl<C: Suite> Drop for Opened<C> {
    fn drop(&mut self) {
        for kept in self.zero.values_mut() {
            kept.seed.zeroize();
        }
        for kept in self.multiplication.values_mut() {
            kept.ot_sender.s.zeroize();
            kept.correlation.zeroize();
            kept.vec_r.zeroize();
        }
    }
}

struct Setup<C: Suite> {
    data: SessionData,
    header: Header,
    wrap: fn(Pairwise<C>) -> State,
    secret: Zeroizing<Vec<<C as CurveArithmetic>::Scalar>>,
    public_key: <C as CurveArithmetic>::AffinePoint,
    /// In committee order.
    public_shares: Vec<<C as CurveArithmetic>::AffinePoint>,
    committed: Option<Committed<C>>,
    opened: Option<Opened<C>>,
    commitments: BTreeMap<u16, Commitments>,
    openings: BTreeMap<u16, Openings<C>>,
}

impl<C: Suite> Setup<C> {
    fn new<E: generic_ec::Curve>(
        seat: &Seat,
        share: &Share,
        core: &CoreKeyShare<E>,
        wrap: fn(Pairwise<C>) -> State,
    ) -> Result<Self, Abort> {
        curve::check_points(core)?;
        let header = header(seat, share)?;
        let threshold = share.threshold().map_err(Abort::local)?;
        Ok(Self {
            data: SessionData {
                parameters: curve::parameters(threshold)?,
                party_index: curve::party(seat.me())?,
                session_id: header.id.to_vec(),
            },
            header,
            wrap,
            secret: Zeroizing::new(vec![curve::scalar::<E, C>(core.x.as_ref())?]),
            public_key: curve::point::<E, C>(&core.shared_public_key)?,
            public_shares: core
                .public_shares
                .iter()
                .map(curve::point::<E, C>)
                .collect::<Result<_, _>>()?,
            committed: None,
            opened: None,
            commitments: BTreeMap::new(),
            openings: BTreeMap::new(),
        })
    }

    fn between(&self, from: u16, to: u16) -> Result<PartiesMessage, Abort> {
        Ok(PartiesMessage {
            sender: curve::party(from)?,
            receiver: curve::party(to)?,
        })
    }

    fn open(&mut self, post: &Mailbox) -> Result<Vec<Effect>, Abort> {
        let kept = self
            .committed
            .take()
            .ok_or_else(|| Abort::local("the commitments are already opened"))?;
        let (zero_keep, zero, keep, multiplication, chain_code) =
            dkg::phase3::<C>(&self.data, &kept.zero, &kept.chain_code);
        let proof = kept.proof.clone();
        let effects = zero
            .into_iter()
            .zip(multiplication)
            .map(|(zero, multiplication)| {
                let to = To::Party(curve::index(zero.parties.receiver));
                let openings = Openings {
                    proof: proof.proof.clone(),
                    zero,
                    multiplication,
                    chain_code: chain_code.clone(),
                };
                post.send(to, OPEN, &openings)
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.opened = Some(Opened {
            proof,
            zero: zero_keep,
            multiplication: keep,
            chain_code_commitment: kept.chain_code_commitment.clone(),
            chain_code,
        });
        Ok(effects)
    }

    fn finish(&mut self) -> Result<Effect, Abort> {
        let kept = self
            .opened
            .take()
            .ok_or_else(|| Abort::local("the setup is already finished"))?;
        let mut peers = Peers::collect(&self.commitments, &self.openings)?;
        let me = self.data.party_index;
        // The library wants our own among them.
        peers.proofs.push(kept.proof.clone());
        peers
            .chain_code_commitments
            .insert(me, kept.chain_code_commitment.clone());
        peers.chain_codes.insert(me, kept.chain_code.clone());
        let secret = self
            .secret
            .first()
            .ok_or_else(|| Abort::local("the setup has no share"))?;
        let (mut party, _) = dkg::phase4::<C>(
            &self.data,
            secret,
            &peers.proofs,
            &kept.zero,
            &peers.zero_commitments,
            &peers.zero_openings,
            &kept.multiplication,
            &peers.multiplications,
            &peers.chain_code_commitments,
            &peers.chain_codes,
            |_| String::new(),
        )
        .map_err(|error| {
            let members: Vec<u16> = (0..self.header.parties).collect();
            blame::abort(&error, &members)
        })?;
        if party.pk != self.public_key {
            return Err(Abort::local("the share is not of its own public key"));
        }
        let setup = DklsSetup {
            header: self.header.clone(),
            state: (self.wrap)(taken(&mut party)),
        };
        Ok(Effect::Done(Box::new(Outcome::DklsSetup(setup))))
    }

    fn check_openings(&self, from: u16, openings: &Openings<C>) -> Result<(), &'static str> {
        let proofs = [&openings.proof, &openings.multiplication.dlog_proof];
        let proofs_fit = proofs.iter().all(|proof| {
            proof.rand_commitments.len() == usize::from(R)
                && proof.proofs.len() == usize::from(R)
                && proof
                    .proofs
                    .iter()
                    .all(|p| p.challenge.len() == usize::from(T / 8))
        });
        let fits = proofs_fit
            && openings.multiplication.enc_proofs.len() == usize::from(KAPPA)
            && openings.zero.salt.len() == SALT
            && openings.chain_code.cc_salt.len() == SALT;
        if !fits {
            return Err("a list of the wrong length");
        }
        if self.public_shares.get(usize::from(from)) != Some(&openings.proof.point) {
            return Err("the proof is of another share than the sender's");
        }
        Ok(())
    }
}

/// The peers' messages, as the library wants them.
struct Peers<C: Suite> {
    proofs: Vec<ProofCommitment<C>>,
    zero_commitments: Vec<TransmitInitZeroSharePhase2to4>,
    zero_openings: Vec<TransmitInitZeroSharePhase3to4>,
    multiplications: Vec<TransmitInitMulPhase3to4<C>>,
    chain_code_commitments: BTreeMap<PartyIndex, BroadcastDerivationPhase2to4>,
    chain_codes: BTreeMap<PartyIndex, BroadcastDerivationPhase3to4>,
}

impl<C: Suite> Peers<C> {
    fn collect(
        commitments: &BTreeMap<u16, Commitments>,
        openings: &BTreeMap<u16, Openings<C>>,
    ) -> Result<Self, Abort> {
        let mut peers = Self {
            proofs: Vec::new(),
            zero_commitments: Vec::new(),
            zero_openings: Vec::new(),
            multiplications: Vec::new(),
            chain_code_commitments: BTreeMap::new(),
            chain_codes: BTreeMap::new(),
        };
        for ((from, committed), opened) in commitments.iter().zip(openings.values()) {
            let index = curve::party(*from)?;
            peers.proofs.push(ProofCommitment {
                index,
                proof: opened.proof.clone(),
                commitment: committed.proof,
            });
            peers.zero_commitments.push(committed.zero.clone());
            peers.zero_openings.push(opened.zero.clone());
            peers.multiplications.push(opened.multiplication.clone());
            peers
                .chain_code_commitments
                .insert(index, committed.chain_code.clone());
            peers.chain_codes.insert(index, opened.chain_code.clone());
        }
        Ok(peers)
    }
}

impl<C: Suite> Drop for Peers<C> {
    fn drop(&mut self) {
        for opening in &mut self.zero_openings {
            opening.seed.zeroize();
        }
    }
}

/// What the setup is for; its id binds session, key and committee.
fn header(seat: &Seat, share: &Share) -> Result<Header, Abort> {
    let public_key = share
        .public_key()
        .ok_or_else(|| Abort::local("the share has no public key"))?;
    let chain_code = share
        .chain_code()
        .ok_or_else(|| Abort::local("the share has no chain code"))?;
    let id = tagged_hash(
        "quorate/dkls-setup/v1",
        &[
            seat.session().as_bytes(),
            share.curve().to_string().as_bytes(),
            public_key.as_bytes(),
            chain_code.as_bytes(),
            &seat.parties().to_le_bytes(),
        ],
    );
    Ok(Header {
        id: *id.as_bytes(),
        public_key: public_key.as_bytes().to_vec(),
        index: seat.me(),
        parties: seat.parties(),
    })
}

/// Moves the pairwise state out; the rest of the party is zeroized by its owner.
fn taken<C: Suite>(party: &mut Party<C>) -> Pairwise<C> {
    let nothing = ZeroShare::initialize(Vec::new());
    Pairwise {
        zero: std::mem::replace(&mut party.zero_share, nothing),
        senders: std::mem::take(&mut party.mul_senders),
        receivers: std::mem::take(&mut party.mul_receivers),
    }
}

fn same(found: &PartiesMessage, expected: &PartiesMessage) -> bool {
    found.sender == expected.sender && found.receiver == expected.receiver
}

impl<C: Suite> Steps for Setup<C> {
    const ROUNDS: &'static [Round] = &[
        Round {
            broadcast: false,
            max_len: 256,
        },
        Round {
            broadcast: false,
            max_len: 160 * 1024,
        },
    ];

    fn begin(&mut self, post: &Mailbox) -> Result<Vec<Effect>, Abort> {
        let (mut secret, proof, keep, zero, chain_code, chain_code_commitment) =
            dkg::phase2::<C>(&self.data, &self.secret);
        secret.zeroize();
        let effects = zero
            .into_iter()
            .map(|zero| {
                let to = To::Party(curve::index(zero.parties.receiver));
                let message = Commitments {
                    proof: proof.commitment,
                    zero,
                    chain_code: chain_code_commitment.clone(),
                };
                post.send(to, COMMIT, &message)
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.committed = Some(Committed {
            proof,
            zero: keep,
            chain_code,
            chain_code_commitment,
        });
        Ok(effects)
    }

    fn keep(&mut self, from: u16, round: u16, bytes: &[u8]) -> Result<(), Abort> {
        let invalid = |detail: &str| Abort::invalid_message(from, round, detail);
        let between = self.between(from, self.header.index)?;
        let misaddressed = "the content names another sender or receiver";
        if round == COMMIT {
            let message: Commitments = decode(bytes, MAX_ITEM).map_err(|e| invalid(&e))?;
            if !same(&message.zero.parties, &between)
                || message.chain_code.sender_index != between.sender
            {
                return Err(invalid(misaddressed));
            }
            self.commitments.insert(from, message);
        } else {
            let message: Openings<C> = decode(bytes, MAX_ITEM).map_err(|e| invalid(&e))?;
            if !same(&message.zero.parties, &between)
                || !same(&message.multiplication.parties, &between)
                || message.chain_code.sender_index != between.sender
            {
                return Err(invalid(misaddressed));
            }
            self.check_openings(from, &message).map_err(invalid)?;
            self.openings.insert(from, message);
        }
        Ok(())
    }

    fn advance(&mut self, post: &Mailbox) -> Result<Vec<Effect>, Abort> {
        let mut effects = Vec::new();
        if self.committed.is_some() && post.is_full(COMMIT) {
            effects.extend(self.open(post)?);
        }
        if self.opened.is_some() && post.is_full(OPEN) {
            effects.push(self.finish()?);
        }
        Ok(effects)
    }
}
