//! Scalars and points of `generic-ec` as those of the library, and back.

use dkls23::curve::DklsCurve;
use dkls23::protocols::{Parameters, PartyIndex};
use generic_ec::{NonZero, Point, Scalar};
use k256_dkls::elliptic_curve::ff::PrimeField;
use k256_dkls::elliptic_curve::group::GroupEncoding;
use k256_dkls::elliptic_curve::{CurveArithmetic, FieldBytes};
use key_share::CoreKeyShare;
use quorate_types::Threshold;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::Abort;

/// A curve of the library whose messages can be encoded.
pub(super) trait Suite: DklsCurve
    + CurveArithmetic<AffinePoint: Serialize + DeserializeOwned, Scalar: Serialize + DeserializeOwned>
{
}

impl Suite for k256_dkls::Secp256k1 {}
impl Suite for p256_dkls::NistP256 {}

/// The library's scalar of the same value.
pub(super) fn scalar<E: generic_ec::Curve, C: Suite>(
    value: &Scalar<E>,
) -> Result<C::Scalar, Abort> {
    let bytes = Zeroizing::new(value.to_be_bytes().as_ref().to_vec());
    let repr = FieldBytes::<C>::try_from(bytes.as_slice()).map_err(Abort::local)?;
    Option::from(C::Scalar::from_repr(repr))
        .ok_or_else(|| Abort::local("a scalar that the library does not know"))
}

/// The library's point of the same coordinates.
pub(super) fn point<E: generic_ec::Curve, C: Suite>(
    value: &NonZero<Point<E>>,
) -> Result<C::AffinePoint, Abort> {
    let unknown = || Abort::local("a point that the library does not know");
    let mut repr = <C::AffinePoint as GroupEncoding>::Repr::default();
    let bytes = value.to_bytes(true);
    if repr.as_ref().len() != bytes.len() {
        return Err(unknown());
    }
    repr.as_mut().copy_from_slice(&bytes);
    Option::from(C::AffinePoint::from_bytes(&repr)).ok_or_else(unknown)
}

/// The library's name of a party: its index in the committee, from 1, which is also its evaluation point.
pub(super) fn party(index: u16) -> Result<PartyIndex, Abort> {
    index
        .checked_add(1)
        .and_then(|number| u8::try_from(number).ok())
        .and_then(|number| PartyIndex::new(number).ok())
        .ok_or_else(|| Abort::local("more parties than the library can number"))
}

/// A committee index, from the library's name.
pub(super) fn index(party: PartyIndex) -> u16 {
    u16::from(party.as_u8()).saturating_sub(1)
}

/// `t` of `n`, as the library has it.
pub(super) fn parameters(threshold: Threshold) -> Result<Parameters, Abort> {
    let small = |number: u16| u8::try_from(number).map_err(Abort::local);
    Parameters::new(small(threshold.t())?, small(threshold.n())?).map_err(Abort::local)
}

/// The library evaluates polynomials at 1 to n only, in committee order; so does the DKG, but not every reshare.
pub(super) fn check_points<E: generic_ec::Curve>(core: &CoreKeyShare<E>) -> Result<(), Abort> {
    let setup = core
        .vss_setup
        .as_ref()
        .ok_or_else(|| Abort::local("the key share has no Shamir setup"))?;
    let counted = (1u64..).map(Scalar::<E>::from);
    if setup
        .I
        .iter()
        .zip(counted)
        .all(|(point, number)| *point.as_ref() == number)
    {
        Ok(())
    } else {
        Err(Abort::local(
            "the key's evaluation points are not 1 to n in committee order, which DKLs23 signing needs",
        ))
    }
}
