//! Child keys: BIP-32/SLIP-10 on secp256k1 and P-256, `hd-wallet`'s Edwards scheme on Ed25519 (secure, but no standard).

use generic_ec::Scalar;
use hd_wallet::{DeriveShift, Edwards, ExtendedPublicKey, NonHardenedIndex, Slip10};
use key_share::CoreKeyShare;
use quorate_types::{Curve, DerivationPath, PublicKey};

use crate::{Abort, Share};

/// What is added to the root's secret key, and the child's public key.
pub(crate) struct Child<E: generic_ec::Curve> {
    pub shift: Scalar<E>,
    pub public_key: generic_ec::NonZero<generic_ec::Point<E>>,
}

/// Walks the path from the root, adding up the shifts.
pub(crate) fn derive<E, Hd>(
    share: &CoreKeyShare<E>,
    path: &DerivationPath,
) -> Result<Child<E>, Abort>
where
    E: generic_ec::Curve,
    Hd: DeriveShift<E>,
{
    let root = share
        .extended_public_key()
        .ok_or_else(|| Abort::local("the key has no chain code"))?;
    let start = (Scalar::<E>::zero(), root);
    let (shift, child) = path.components().iter().try_fold(
        start,
        |(total, parent): (Scalar<E>, ExtendedPublicKey<E>), index| {
            let index = NonHardenedIndex::try_from(*index)
                .map_err(|_| Abort::local("hardened derivation needs the private key"))?;
            let step = Hd::derive_public_shift(&parent, index);
            Ok::<_, Abort>((total + step.shift, step.child_public_key))
        },
    )?;
    let public_key = generic_ec::NonZero::from_point(child.public_key)
        .ok_or_else(|| Abort::local("the derived public key is the identity"))?;
    Ok(Child { shift, public_key })
}

/// The public key of a child of this share's key.
///
/// # Errors
/// A share without chain code.
pub fn child_public_key(share: &Share, path: &DerivationPath) -> Result<PublicKey, Abort> {
    let encoded = match share {
        Share::Secp256k1(s) => {
            crate::share::encode_point(Curve::Secp256k1, &derive::<_, Slip10>(s, path)?.public_key)
        }
        Share::P256(s) => {
            crate::share::encode_point(Curve::P256, &derive::<_, Slip10>(s, path)?.public_key)
        }
        Share::Ed25519(s) => {
            crate::share::encode_point(Curve::Ed25519, &derive::<_, Edwards>(s, path)?.public_key)
        }
    };
    encoded.ok_or_else(|| Abort::local("public key of unexpected length"))
}
