//! T07: evaluation points that are zero, repeated or equal modulo the group order, and other inconsistent shares, are refused.

use ciborium::Value;
use quorate_mpc_protocol::{Share, ShareError};
use quorate_testkit::committee;
use quorate_testkit::keys::Identities;
use quorate_types::{Curve, Threshold};

/// Group orders, big-endian.
fn order(curve: Curve) -> Vec<u8> {
    hex::decode(match curve {
        Curve::Secp256k1 => "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        Curve::P256 => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        Curve::Ed25519 => "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed",
    })
    .unwrap()
}

fn plus(mut number: Vec<u8>, add: u8) -> Vec<u8> {
    let last = number.last_mut().unwrap();
    *last = last.checked_add(add).unwrap();
    number
}

/// The first party's share of a 2-of-4 key, to be edited.
fn share(curve: Curve) -> Value {
    let identities = Identities::new(Threshold::new(2, 4).unwrap(), 7);
    let share = committee::shares(&identities, curve, 50).remove(0);
    ciborium::from_reader(share.to_secret_bytes().unwrap().as_slice()).unwrap()
}

fn field<'v>(value: &'v mut Value, name: &str) -> &'v mut Value {
    let Value::Map(entries) = value else {
        panic!("{name}: not in a map");
    };
    entries
        .iter_mut()
        .find(|(key, _)| key.as_text() == Some(name))
        .map(|(_, value)| value)
        .unwrap_or_else(|| panic!("no field {name}"))
}

fn point(share: &mut Value, index: usize) -> &mut Value {
    element(field(field(share, "vss_setup"), "I"), index)
}

fn element(list: &mut Value, index: usize) -> &mut Value {
    &mut list.as_array_mut().unwrap()[index]
}

fn decoded(curve: Curve, value: &Value) -> Result<Share, ShareError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    Share::from_secret_bytes(curve, &bytes)
}

/// Replaces an evaluation point, given big-endian, in the encoding the share uses.
fn set_point(share: &mut Value, index: usize, number: &[u8]) {
    let slot = point(share, index);
    let Value::Bytes(old) = slot else {
        panic!("points are byte strings, not {slot:?}");
    };
    assert_eq!(old.len(), number.len());
    assert!(
        old.iter().rev().skip(1).all(|b| *b == 0),
        "points are small numbers, big-endian: {old:?}"
    );
    *old = number.to_vec();
}

fn small(number: u8) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes[31] = number;
    bytes
}

/// Editing alone changes nothing: the same path accepts the untouched share, and a point rewritten to what it was.
#[test]
fn t07_an_untouched_share_is_accepted() {
    for curve in Curve::ALL {
        let mut value = share(*curve);
        assert!(decoded(*curve, &value).is_ok());
        for index in 0..4 {
            set_point(&mut value, index, &small(index as u8 + 1));
        }
        assert!(decoded(*curve, &value).is_ok());
    }
}

#[test]
fn t07_a_zero_point_is_refused_also_as_the_group_order() {
    for curve in Curve::ALL {
        for index in 0..4 {
            for zero in [small(0), order(*curve)] {
                let mut value = share(*curve);
                set_point(&mut value, index, &zero);
                assert!(decoded(*curve, &value).is_err(), "{curve} {index}");
            }
        }
    }
}

#[test]
fn t07_repeated_points_are_refused_also_modulo_the_group_order() {
    for curve in Curve::ALL {
        for (index, other) in [(0, 1), (1, 0), (2, 3), (3, 0), (3, 2)] {
            let number = other as u8 + 1;
            for repeated in [small(number), plus(order(*curve), number)] {
                let mut value = share(*curve);
                set_point(&mut value, index, &repeated);
                assert!(decoded(*curve, &value).is_err(), "{curve} {index} {other}");
            }
        }
    }
}

/// The library compares only the first t points with each other, and a repeated point with a repeated public share is consistent:
/// two parties would hold the same share.
#[test]
fn t07_a_repeated_party_is_refused_by_its_point() {
    for curve in Curve::ALL {
        let mut value = share(*curve);
        let copied_point = point(&mut value, 2).clone();
        *point(&mut value, 3) = copied_point;
        let shares = field(&mut value, "public_shares");
        let copied_share = element(shares, 2).clone();
        *element(shares, 3) = copied_share;
        let error = decoded(*curve, &value).unwrap_err();
        let repeated = ShareError::RepeatedPoint {
            first: 2,
            second: 3,
        };
        assert_eq!(error, repeated);
    }
}

#[test]
fn t07_inconsistent_public_parts_are_refused() {
    for curve in Curve::ALL {
        for index in 0..4 {
            let mut value = share(*curve);
            let other = element(field(&mut value, "public_shares"), (index + 1) % 4).clone();
            *element(field(&mut value, "public_shares"), index) = other;
            assert!(decoded(*curve, &value).is_err(), "{curve} {index}");
        }
        let mut value = share(*curve);
        let other = element(field(&mut value, "public_shares"), 2).clone();
        *field(&mut value, "shared_public_key") = other;
        assert!(decoded(*curve, &value).is_err(), "another public key");
        let mut value = share(*curve);
        *field(&mut value, "chain_code") = Value::Null;
        assert_eq!(
            decoded(*curve, &value).unwrap_err(),
            ShareError::NoChainCode
        );
        let mut value = share(*curve);
        *field(&mut value, "vss_setup") = Value::Null;
        assert_eq!(decoded(*curve, &value).unwrap_err(), ShareError::NotShamir);
    }
}

#[test]
fn t07_a_secret_that_is_not_the_index_own_is_refused() {
    for curve in Curve::ALL {
        let mut value = share(*curve);
        *field(&mut value, "i") = Value::from(1);
        assert!(decoded(*curve, &value).is_err(), "another index");
        *field(&mut value, "i") = Value::from(4);
        assert!(decoded(*curve, &value).is_err(), "an index out of range");
        let mut value = share(*curve);
        let wrong = point(&mut value, 2).clone();
        *field(&mut value, "x") = wrong;
        assert!(decoded(*curve, &value).is_err(), "another secret");
    }
}

#[test]
fn t07_a_share_of_another_curve_is_refused() {
    for curve in Curve::ALL {
        let value = share(*curve);
        for other in Curve::ALL.iter().filter(|other| *other != curve) {
            assert!(decoded(*other, &value).is_err(), "{curve} as {other}");
        }
    }
}

/// A stated threshold above the true one passes the library's validation; the true one below is what this catches.
#[test]
fn t07_a_threshold_that_is_not_the_true_one_is_refused() {
    for curve in Curve::ALL {
        for stated in [3, 4] {
            let mut value = share(*curve);
            *field(field(&mut value, "vss_setup"), "min_signers") = Value::from(stated);
            let expected = ShareError::ThresholdNotMinimal { t: stated };
            assert_eq!(decoded(*curve, &value).unwrap_err(), expected);
        }
        for stated in [0, 1, 5, 16, 65535] {
            let mut value = share(*curve);
            *field(field(&mut value, "vss_setup"), "min_signers") = Value::from(stated);
            assert!(decoded(*curve, &value).is_err(), "{curve} {stated}");
        }
    }
}

/// All parties hold the secret itself: no sharing at all, stated as 2 of 4.
#[test]
fn t07_a_constant_polynomial_is_refused() {
    for curve in Curve::ALL {
        let mut value = share(*curve);
        let own = element(field(&mut value, "public_shares"), 0).clone();
        for index in 1..4 {
            *element(field(&mut value, "public_shares"), index) = own.clone();
        }
        *field(&mut value, "shared_public_key") = own;
        let expected = ShareError::ThresholdNotMinimal { t: 2 };
        assert_eq!(decoded(*curve, &value).unwrap_err(), expected);
    }
}

#[test]
fn t07_truncated_shares_are_refused() {
    for curve in Curve::ALL {
        let value = share(*curve);
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        for len in 0..bytes.len() {
            assert!(
                Share::from_secret_bytes(*curve, &bytes[..len]).is_err(),
                "{len}"
            );
        }
    }
}

#[test]
fn t07_trailing_bytes_are_refused() {
    for curve in Curve::ALL {
        let mut bytes = Vec::new();
        ciborium::into_writer(&share(*curve), &mut bytes).unwrap();
        bytes.push(0);
        assert!(Share::from_secret_bytes(*curve, &bytes).is_err(), "{curve}");
    }
}
