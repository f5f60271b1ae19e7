//! The signing ceremony: ePrint 2023/765, protocol 3.6, steps 4 to 10, in three rounds of which the second has two messages.
//!
//! | round | to | what | bytes |
//! |---|---|---|---|
//! | 0 | each peer | commitment to the own nonce point; the receiver's part of a multiplication | 26 785 |
//! | 1 | everyone | nonce point and public key share | 100 |
//! | 2 | each peer | the same again with its opening; the sender's part of a multiplication, adjustments | 55 419 |
//! | 3 | everyone | echo of round 1, and the two parts of the signature | 130 |
//!
//! The sizes do not depend on the quorum. The protocol itself sends nonce points and public key shares to each peer alone and
//! relies on no broadcast: each pair's multiplication is checked against the points told to that peer, and a cheat who tells two
//! peers different ones gets no signature. Here they are broadcast too, must be the ones opened, and the last message carries
//! a hash of those received, so that whoever sends two is convicted by what it signed. The last messages themselves have no echo:
//! told differently, they make some finish and some not.

use std::collections::BTreeMap;

use dkls23::protocols::derivation::DerivData;
use dkls23::protocols::signing::{
    Broadcast3to4, KeepPhase1to2, KeepPhase2to3, SignData, TransmitPhase1to2, TransmitPhase2to3,
    UniqueKeep1to2, UniqueKeep2to3,
};
use dkls23::protocols::{Abort as LibraryAbort, Party, PartyIndex};
use dkls23::utilities::multiplication::{L, OT_WIDTH};
use dkls23::utilities::ot::extension::{BATCH_SIZE, KAPPA};
use generic_ec::curves::{Secp256k1, Secp256r1};
use generic_ec::{NonZero, Point, Scalar};
use hd_wallet::{DeriveShift, Slip10};
use k256_dkls::elliptic_curve::CurveArithmetic;
use k256_dkls::elliptic_curve::ff::Field as _;
use key_share::CoreKeyShare;
use quorate_types::canonical::tagged_hash;
use quorate_types::{DerivationPath, EcdsaSignature, Hash32, Preimage, Signature};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use super::blame;
use super::curve::{self, Suite};
use super::mailbox::{Driven, Mailbox, Round, Steps, decode};
use super::state::{DklsSetup, Pairwise, State};
use crate::ecdsa::{check_signers, finish};
use crate::{Abort, AbortReason, Ceremony, Effect, Outcome, Seat, Share, To, hd};

const OFFER: u16 = 0;
const POINTS: u16 = 1;
const ANSWER: u16 = 2;
const PARTS: u16 = 3;
/// The longest string of bytes in a message: the receiver's matrix, 256 rows of 78 bytes.
const MAX_ITEM: usize = 256 * 78;
/// Bytes of a commitment's salt.
const SALT: usize = 64;

/// Signs a message, which is hashed here. `signers` as in [`crate::sign_ecdsa`]; `setup` is this
/// party's of [`crate::dkls_setup`], and everyone's must have the same [`DklsSetup::id`].
///
/// The signature has a low `s` and has been verified under the derived key, by another library than made it.
///
/// The library draws its own randomness; it is unaudited. On [`AbortReason::ConsistencyCheck`] the culprit must be banned from the key
/// for good.
///
/// # Errors
/// A share of another curve, a wrong signer list, a setup of another key, committee or party.
pub fn sign_dkls(
    seat: Seat,
    share: &Share,
    setup: &DklsSetup,
    signers: &[u16],
    path: &DerivationPath,
    message: &Preimage,
) -> Result<Box<dyn Ceremony>, Abort> {
    check_signers(&seat, share, signers)?;
    setup.check_fits(share)?;
    let job = Job {
        share,
        setup,
        signers,
        path,
        hash: *message.digest(),
    };
    match (share, &setup.state) {
        (Share::Secp256k1(core), State::Secp256k1(pairs)) => {
            let signing = job.signing::<Secp256k1, _>(&seat, core, pairs)?;
            Ok(Box::new(Driven::new(seat, signing)))
        }
        (Share::P256(core), State::P256(pairs)) => {
            let signing = job.signing::<Secp256r1, _>(&seat, core, pairs)?;
            Ok(Box::new(Driven::new(seat, signing)))
        }
        _ => Err(Abort::local(
            "DKLs23 signs ECDSA only, with its key's setup",
        )),
    }
}

/// What is to be signed and with what.
struct Job<'a> {
    share: &'a Share,
    setup: &'a DklsSetup,
    signers: &'a [u16],
    path: &'a DerivationPath,
    hash: [u8; 32],
}

impl Job<'_> {
    fn signing<E, C>(
        &self,
        seat: &Seat,
        core: &CoreKeyShare<E>,
        pairs: &Pairwise<C>,
    ) -> Result<Signing<E, C>, Abort>
    where
        E: generic_ec::Curve,
        C: Suite,
        Slip10: DeriveShift<E>,
    {
        curve::check_points(core)?;
        let child = hd::derive::<E, Slip10>(core, self.path)?;
        let me = curve::party(self.share.index())?;
        let others: Vec<PartyIndex> = self
            .signers
            .iter()
            .filter(|j| **j != self.share.index())
            .map(|j| curve::party(*j))
            .collect::<Result<_, _>>()?;
        let root: &Scalar<E> = core.x.as_ref();
        let mut secret = root + child.shift;
        let poly_point = curve::scalar::<E, C>(&secret);
        secret.zeroize();
        let pairs = pairs.only(&others);
        let pk = curve::point::<E, C>(&child.public_key)?;
        let threshold = self.share.threshold().map_err(Abort::local)?;
        let chain_code = core
            .chain_code
            .ok_or_else(|| Abort::local("the key has no chain code"))?;
        let party = Party {
            parameters: curve::parameters(threshold)?,
            party_index: me,
            session_id: self.setup.header.id.to_vec(),
            poly_point: poly_point?,
            pk,
            zero_share: pairs.zero,
            mul_senders: pairs.senders,
            mul_receivers: pairs.receivers,
            // Of this, signing reads the chain code only.
            derivation_data: DerivData {
                depth: 0,
                child_number: 0,
                parent_fingerprint: [0; 4],
                poly_point: C::Scalar::ZERO,
                pk,
                chain_code,
            },
            address: String::new(),
        };
        Ok(Signing {
            party,
            data: SignData {
                sign_id: seat.session().as_bytes().to_vec(),
                counterparties: others,
                message_hash: self.hash,
            },
            signers: self.signers.to_vec(),
            public_key: child.public_key,
            stage: Stage::New,
            offers: BTreeMap::new(),
            points: BTreeMap::new(),
            answers: BTreeMap::new(),
            parts: BTreeMap::new(),
        })
    }
}

/// Round 1.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Points<C: Suite> {
    nonce: <C as CurveArithmetic>::AffinePoint,
    key_share: <C as CurveArithmetic>::AffinePoint,
}

/// Round 3.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Parts<C: Suite> {
    echo: [u8; 32],
    parts: Broadcast3to4<C>,
}

/// What is kept from one step for the next, and gone when that is done.
enum Stage<C: Suite> {
    New,
    Offered(UniqueKeep1to2<C>, BTreeMap<PartyIndex, KeepPhase1to2<C>>),
    Answered(UniqueKeep2to3<C>, BTreeMap<PartyIndex, KeepPhase2to3<C>>),
    /// The x-coordinate of the nonce point, and the echo of round 1.
    Signed(String, Hash32),
    Done,
}

struct Signing<E: generic_ec::Curve, C: Suite> {
    party: Party<C>,
    data: SignData,
    /// Committee indices in session order.
    signers: Vec<u16>,
    /// The child's.
    public_key: NonZero<Point<E>>,
    stage: Stage<C>,
    // By seat; `points` and `parts` with our own.
    offers: BTreeMap<u16, TransmitPhase1to2>,
    points: BTreeMap<u16, (Vec<u8>, Points<C>)>,
    answers: BTreeMap<u16, TransmitPhase2to3<C>>,
    parts: BTreeMap<u16, Parts<C>>,
}

impl<E: generic_ec::Curve, C: Suite> Signing<E, C> {
    fn blame(&self) -> impl Fn(LibraryAbort) -> Abort + use<'_, E, C> {
        |error| blame::abort(&error, &self.signers)
    }

    fn to(&self, party: PartyIndex) -> Result<To, Abort> {
        let index = curve::index(party);
        (0u16..)
            .zip(&self.signers)
            .find(|(_, member)| **member == index)
            .map(|(seat, _)| To::Party(seat))
            .ok_or_else(|| Abort::local("the library answers someone who does not sign"))
    }

    /// Whether the content names the seats the message came from and to.
    fn is_addressed(&self, from: u16, parties: &dkls23::protocols::PartiesMessage) -> bool {
        self.signers.get(usize::from(from)) == Some(&curve::index(parties.sender))
            && parties.receiver == self.party.party_index
    }

    // Steps 4 to 6
    fn offer(&mut self, post: &Mailbox) -> Result<Vec<Effect>, Abort> {
        let (unique, kept, offers) = self.party.sign_phase1(&self.data).map_err(self.blame())?;
        let effects = offers
            .iter()
            .map(|offer| post.send(self.to(offer.parties.receiver)?, OFFER, offer))
            .collect::<Result<_, _>>()?;
        self.stage = Stage::Offered(unique, kept);
        Ok(effects)
    }

    // Step 7
    fn answer(
        &mut self,
        post: &Mailbox,
        unique: UniqueKeep1to2<C>,
        kept: BTreeMap<PartyIndex, KeepPhase1to2<C>>,
    ) -> Result<Vec<Effect>, Abort> {
        let offers: Vec<_> = self.offers.values().cloned().collect();
        let (unique, kept, answers) = self
            .party
            .sign_phase2(&self.data, unique, kept, &offers)
            .map_err(self.blame())?;
        let points = Points::<C> {
            nonce: unique.instance_point,
            key_share: unique.public_share,
        };
        let mut effects = vec![post.send(To::Everyone, POINTS, &points)?];
        for answer in &answers {
            effects.push(post.send(self.to(answer.parties.receiver)?, ANSWER, answer)?);
        }
        let encoded = postcard::to_extend(&points, Vec::new()).map_err(Abort::local)?;
        self.points.insert(post.seat.me(), (encoded, points));
        self.stage = Stage::Answered(unique, kept);
        Ok(effects)
    }

    // Steps 8 and 9
    fn sign(
        &mut self,
        post: &Mailbox,
        unique: UniqueKeep2to3<C>,
        kept: BTreeMap<PartyIndex, KeepPhase2to3<C>>,
    ) -> Result<Effect, Abort> {
        for (from, answer) in &self.answers {
            let same = self.points.get(from).is_some_and(|(_, points)| {
                points.nonce == answer.instance_point && points.key_share == answer.public_share
            });
            if !same {
                let detail = "opens other points than it broadcast";
                return Err(Abort::invalid_message(*from, ANSWER, detail));
            }
        }
        let answers: Vec<_> = self.answers.values().cloned().collect();
        let (x, parts) = self
            .party
            .sign_phase3(&self.data, unique, kept, &answers)
            .map_err(self.blame())?;
        let echo = self.echo();
        let parts = Parts {
            echo: *echo.as_bytes(),
            parts,
        };
        let effect = post.send(To::Everyone, PARTS, &parts)?;
        self.parts.insert(post.seat.me(), parts);
        self.stage = Stage::Signed(x, echo);
        Ok(effect)
    }

    /// Hash of everyone's round 1 in session order. The place each came in binds the session.
    fn echo(&self) -> Hash32 {
        let parts: Vec<&[u8]> = std::iter::once(self.data.sign_id.as_slice())
            .chain(self.points.values().map(|(bytes, _)| bytes.as_slice()))
            .collect();
        tagged_hash("quorate/dkls-echo/v1", &parts)
    }

    fn check_echoes(&self, echo: Hash32) -> Result<(), Abort> {
        if self.parts.values().all(|p| p.echo == *echo.as_bytes()) {
            return Ok(());
        }
        let reason = AbortReason::UnreliableBroadcast { round: POINTS };
        Err(Abort::blaming(reason, Vec::new()))
    }

    // Step 10
    fn combine(&self, x: &str) -> Result<Effect, Abort> {
        let parts: Vec<_> = self.parts.values().map(|p| p.parts.clone()).collect();
        let (s, _) = self
            .party
            .sign_phase4(&self.data, x, &parts, true)
            .map_err(self.blame())?;
        let signature = self.verified(x, &s)?;
        Ok(Effect::Done(Box::new(Outcome::Signature(
            Signature::Ecdsa(signature),
        ))))
    }

    /// From the library's hexadecimal digits, verified under the child's key.
    fn verified(&self, r: &str, s: &str) -> Result<EcdsaSignature, Abort> {
        let (r, s) = (from_hex::<E>(r)?, from_hex::<E>(s)?);
        let hash = Scalar::from_be_bytes_mod_order(self.data.message_hash);
        finish(&cggmp24::Signature { r, s }, &self.public_key, hash)
    }

    fn keep_offer(&mut self, from: u16, bytes: &[u8]) -> Result<(), String> {
        let offer: TransmitPhase1to2 = decode(bytes, MAX_ITEM)?;
        if !self.is_addressed(from, &offer.parties) {
            return Err("the content names another sender or receiver".to_owned());
        }
        let kappa = usize::from(KAPPA);
        if offer.mul_transmit.u.len() != kappa || offer.mul_transmit.verify_t.len() != kappa {
            return Err("a list of the wrong length".to_owned());
        }
        self.offers.insert(from, offer);
        Ok(())
    }

    fn keep_answer(&mut self, from: u16, bytes: &[u8]) -> Result<(), String> {
        let answer: TransmitPhase2to3<C> = decode(bytes, MAX_ITEM)?;
        if !self.is_addressed(from, &answer.parties) {
            return Err("the content names another sender or receiver".to_owned());
        }
        let sent = &answer.mul_transmit;
        let fits = answer.salt.len() == SALT
            && sent.vector_of_tau.len() == usize::from(OT_WIDTH)
            && sent
                .vector_of_tau
                .iter()
                .all(|tau| tau.len() == usize::from(BATCH_SIZE))
            && sent.verify_u.len() == usize::from(L)
            && sent.gamma_sender.len() == usize::from(L);
        if !fits {
            return Err("a list of the wrong length".to_owned());
        }
        self.answers.insert(from, answer);
        Ok(())
    }
}

fn from_hex<E: generic_ec::Curve>(digits: &str) -> Result<NonZero<Scalar<E>>, Abort> {
    let wrong = || Abort::local("the library's signature is not two scalars");
    let bytes = (0..digits.len())
        .step_by(2)
        .map(|at| digits.get(at..at + 2))
        .map(|pair| pair.and_then(|p| u8::from_str_radix(p, 16).ok()))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(wrong)?;
    let scalar = Scalar::<E>::from_be_bytes(&bytes).map_err(|_| wrong())?;
    NonZero::from_scalar(scalar).ok_or_else(wrong)
}

impl<E: generic_ec::Curve, C: Suite> Steps for Signing<E, C> {
    const ROUNDS: &'static [Round] = &[
        Round {
            broadcast: false,
            max_len: 28 * 1024,
        },
        Round {
            broadcast: true,
            max_len: 256,
        },
        Round {
            broadcast: false,
            max_len: 56 * 1024,
        },
        Round {
            broadcast: true,
            max_len: 256,
        },
    ];

    fn begin(&mut self, post: &Mailbox) -> Result<Vec<Effect>, Abort> {
        self.offer(post)
    }

    fn keep(&mut self, from: u16, round: u16, bytes: &[u8]) -> Result<(), Abort> {
        match round {
            OFFER => self.keep_offer(from, bytes),
            POINTS => decode(bytes, MAX_ITEM).map(|points| {
                self.points.insert(from, (bytes.to_vec(), points));
            }),
            ANSWER => self.keep_answer(from, bytes),
            _ => decode(bytes, MAX_ITEM).map(|parts| {
                self.parts.insert(from, parts);
            }),
        }
        .map_err(|detail| Abort::invalid_message(from, round, detail))
    }

    fn advance(&mut self, post: &Mailbox) -> Result<Vec<Effect>, Abort> {
        let mut effects = Vec::new();
        loop {
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Offered(unique, kept) if post.is_full(OFFER) => {
                    effects.extend(self.answer(post, unique, kept)?);
                }
                Stage::Answered(unique, kept) if post.is_full(POINTS) && post.is_full(ANSWER) => {
                    effects.push(self.sign(post, unique, kept)?);
                }
                Stage::Signed(x, echo) => {
                    self.check_echoes(echo)?;
                    if post.is_full(PARTS) {
                        effects.push(self.combine(&x)?);
                    } else {
                        self.stage = Stage::Signed(x, echo);
                    }
                    return Ok(effects);
                }
                waiting => {
                    self.stage = waiting;
                    return Ok(effects);
                }
            }
        }
    }
}
