//! Points of the groups that are signed in.

use generic_ec::curves::{Ed25519, Secp256k1, Secp256r1};
use generic_ec::{Curve as Group, Point};
use quorate_types::{Curve, NonceCommitments};

/// The point of the prime-order group that this is the one encoding of, unless it is the identity.
pub(crate) fn decode<E: Group>(bytes: &[u8]) -> Option<Point<E>> {
    Point::<E>::from_bytes(bytes)
        .ok()
        .filter(|point| !point.is_zero() && *point.to_bytes(true) == *bytes)
}

/// Whether both of a signer's nonce commitments are points that FROST on this curve takes (RFC 9591, section 5.2): whoever hands out others
/// spoils every signature they are put into.
#[must_use]
pub fn are_commitments(curve: Curve, commitments: &NonceCommitments) -> bool {
    let is_point = match curve {
        Curve::Ed25519 => |bytes: &[u8]| decode::<Ed25519>(bytes).is_some(),
        Curve::Secp256k1 => |bytes: &[u8]| decode::<Secp256k1>(bytes).is_some(),
        Curve::P256 => |bytes: &[u8]| decode::<Secp256r1>(bytes).is_some(),
    };
    is_point(&commitments.hiding) && is_point(&commitments.binding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(bytes: &[u8]) -> NonceCommitments {
        NonceCommitments {
            hiding: bytes.to_vec(),
            binding: bytes.to_vec(),
        }
    }

    #[test]
    fn generators_are_commitments_and_of_their_curve_only() {
        let ed25519 = Point::<Ed25519>::generator().to_point().to_bytes(true);
        let secp256k1 = Point::<Secp256k1>::generator().to_point().to_bytes(true);
        assert!(are_commitments(Curve::Ed25519, &both(&ed25519)));
        assert!(are_commitments(Curve::Secp256k1, &both(&secp256k1)));
        assert!(!are_commitments(Curve::Secp256k1, &both(&ed25519)));
        assert!(!are_commitments(Curve::Ed25519, &both(&secp256k1)));
    }

    #[test]
    fn what_frost_would_refuse_is_no_commitment() {
        let identity = Point::<Ed25519>::zero().to_bytes(true);
        // Of order two: y is -1, which is p - 1.
        let mut of_order_two = [0xff; 32];
        of_order_two[0] = 0xec;
        of_order_two[31] = 0x7f;
        for bytes in [&*identity, &of_order_two, &[0xff; 32], &[], &[7; 31]] {
            assert!(!are_commitments(Curve::Ed25519, &both(bytes)), "{bytes:?}");
        }
        let uncompressed = Point::<Secp256k1>::generator().to_point().to_bytes(false);
        for bytes in [&*uncompressed, &[0; 33], &[2; 32]] {
            assert!(
                !are_commitments(Curve::Secp256k1, &both(bytes)),
                "{bytes:?}"
            );
        }
        let generator = Point::<Ed25519>::generator().to_point().to_bytes(true);
        let half = NonceCommitments {
            hiding: generator.to_vec(),
            binding: identity.to_vec(),
        };
        assert!(!are_commitments(Curve::Ed25519, &half));
    }
}
