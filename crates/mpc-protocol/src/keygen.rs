//! Distributed key generation: CGGMP24's threshold DKG (ePrint 2021/060, figure 5, with Feldman sharing), on any of the three
//! curves, with its own echo of the commitments and an agreed chain code.

use cggmp24_keygen::{ExecutionId, ThresholdMsg};
use generic_ec::curves::{Ed25519, Secp256k1, Secp256r1};
use key_share::CoreKeyShare;
use quorate_types::{Curve, Threshold};
use round_based::state_machine::wrap_protocol;

use crate::adapter::{Adapter, conclude};
use crate::rules;
use crate::share::IntoShare;
use crate::{Abort, Ceremony, CeremonyRng, Outcome, Production, Seat};

type Msg<E> = ThresholdMsg<E, Production, sha2::Sha256>;

/// A DKG for `threshold` on `curve`. The seat's index is the party's position in the committee; its evaluation point is
/// that plus one.
///
/// # Errors
/// A threshold for another number of parties than the seat's.
pub fn keygen(
    seat: Seat,
    threshold: Threshold,
    curve: Curve,
    rng: CeremonyRng,
) -> Result<Box<dyn Ceremony>, Abort> {
    if threshold.n() != seat.parties() {
        return Err(Abort::local(format!(
            "threshold {threshold} with {} participants",
            seat.parties()
        )));
    }
    Ok(match curve {
        Curve::Secp256k1 => run::<Secp256k1>(seat, threshold, rng),
        Curve::P256 => run::<Secp256r1>(seat, threshold, rng),
        Curve::Ed25519 => run::<Ed25519>(seat, threshold, rng),
    })
}

fn run<E>(seat: Seat, threshold: Threshold, mut rng: CeremonyRng) -> Box<dyn Ceremony>
where
    E: generic_ec::Curve,
    CoreKeyShare<E>: IntoShare,
{
    let session = *seat.session();
    let (me, n, t) = (seat.me(), seat.parties(), threshold.t());
    let machine = wrap_protocol::<Msg<E>, _>(move |party| async move {
        let result = cggmp24_keygen::keygen::<E>(ExecutionId::new(session.as_bytes()), me, n)
            .set_threshold(t)
            .enforce_reliable_broadcast(true)
            .hd_wallet(true)
            .start(&mut rng, party)
            .await;
        conclude(result, &rules::KEYGEN, |share| {
            Ok(Outcome::Share(share.into_share()))
        })
    });
    Box::new(Adapter::new(seat, &rules::KEYGEN, machine))
}
