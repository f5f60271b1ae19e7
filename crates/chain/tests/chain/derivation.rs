use bitcoin::base58;
use bitcoin::bip32::Xpub;
use quorate_chain::hd::{check_point, derive_child};
use quorate_types::{Curve, PublicKey};

use crate::common::{LocalKey, code};

fn path(text: &str) -> quorate_types::DerivationPath {
    text.parse().unwrap()
}

/// Public key and chain code of a serialised extended key (BIP-32).
pub fn extended(text: &str) -> (PublicKey, [u8; 32]) {
    let bytes = base58::decode_check(text).unwrap();
    let key = PublicKey::new(Curve::Secp256k1, &bytes[45..78]).unwrap();
    (key, bytes[13..45].try_into().unwrap())
}

/// BIP-32, test vectors 1 and 2: the steps that are not hardened.
#[test]
fn bip32_public_derivation_vectors() {
    let steps = [
        (
            "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
            "m/1",
            "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
        ),
        (
            "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
            "m/2/1000000000",
            "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
        ),
        (
            "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
            "m/0",
            "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
        ),
    ];
    for (parent, step, child) in steps {
        let (root, chain_code) = extended(parent);
        let derived = derive_child(&root, &chain_code, &path(step)).unwrap();
        assert_eq!(derived, extended(child).0, "{step}");
    }
}

#[test]
fn agrees_with_another_bip32_implementation() {
    let text = "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB";
    let (root, chain_code) = extended(text);
    let xpub: Xpub = text.parse().unwrap();
    let secp = secp256k1::Secp256k1::new();
    for text in ["m", "m/0/0", "m/2147483647", "m/1/2/3/4/5/6/7/8/9/10"] {
        let theirs: bitcoin::bip32::DerivationPath = text.parse().unwrap();
        let theirs = xpub.derive_pub(&secp, &theirs).unwrap().public_key;
        let ours = derive_child(&root, &chain_code, &path(text)).unwrap();
        assert_eq!(ours.as_bytes(), theirs.serialize(), "{text}");
    }
}

/// SLIP-10, test vector 1 for nist256p1: the steps that are not hardened.
#[test]
fn slip10_p256_public_derivation_vectors() {
    let steps = [
        (
            "0384610f5ecffe8fda089363a41f56a5c7ffc1d81b59a612d0d649b2d22355590c",
            "3460cea53e6a6bb5fb391eeef3237ffd8724bf0a40e94943c98b83825342ee11",
            "m/1",
            "03526c63f8d0b4bbbf9c80df553fe66742df4676b241dabefdef67733e070f6844",
        ),
        (
            "0359cf160040778a4b14c5f4d7b76e327ccc8c4a6086dd9451b7482b5a4972dda0",
            "98c7514f562e64e74170cc3cf304ee1ce54d6b6da4f880f313e8204c2a185318",
            "m/2/1000000000",
            "02216cd26d31147f72427a453c443ed2cde8a1e53c9cc44e5ddf739725413fe3f4",
        ),
    ];
    for (parent, chain_code, step, child) in steps {
        let root = PublicKey::new(Curve::P256, &hex::decode(parent).unwrap()).unwrap();
        let chain_code = hex::decode(chain_code).unwrap().try_into().unwrap();
        let derived = derive_child(&root, &chain_code, &path(step)).unwrap();
        assert_eq!(derived.to_string(), child, "{step}");
    }
}

/// The formula in the documentation, computed with other libraries.
#[test]
fn edwards_derivation_is_the_documented_formula() {
    use generic_ec::{Point, Scalar, curves::Ed25519};
    let root = LocalKey::new(9).ed25519();
    let mut chain_code = [3u8; 32];
    let mut point = Point::<Ed25519>::from_bytes(root.as_bytes()).unwrap();
    for index in [5u32, 77] {
        let mut block = [0u8; 128];
        block[..32].copy_from_slice(&chain_code);
        let pad = |x: u8| block.map(|b| b ^ x);
        let message = [point.to_bytes(true).as_bytes(), &[0], &index.to_be_bytes()].concat();
        let inner = <sha2::Sha512 as sha2::Digest>::digest([&pad(0x36)[..], &message].concat());
        let mac = <sha2::Sha512 as sha2::Digest>::digest([&pad(0x5c)[..], &inner].concat());
        point += Point::generator() * Scalar::from_be_bytes_mod_order(&mac[..32]);
        chain_code = mac[32..].try_into().unwrap();
    }
    let derived = derive_child(&root, &[3; 32], &path("m/5/77")).unwrap();
    assert_eq!(derived.as_bytes(), point.to_bytes(true).as_bytes());
}

#[test]
fn the_root_path_is_the_root_key() {
    let key = LocalKey::new(1);
    for root in [key.secp256k1(), key.p256(), key.ed25519()] {
        assert_eq!(derive_child(&root, &[7; 32], &path("m")).unwrap(), root);
        assert_ne!(derive_child(&root, &[7; 32], &path("m/0")).unwrap(), root);
    }
}

#[test]
fn bytes_off_the_curve_are_refused() {
    let off_curve = [2u8; 33].map(|b| if b == 2 { 0xff } else { b });
    let mut identity = [0u8; 32];
    identity[0] = 1;
    let small_order = [0u8; 32];
    let keys = [
        PublicKey::new(Curve::Secp256k1, &off_curve).unwrap(),
        PublicKey::new(Curve::P256, &off_curve).unwrap(),
        PublicKey::new(Curve::Ed25519, &[0xff; 32]).unwrap(),
        PublicKey::new(Curve::Ed25519, &identity).unwrap(),
        PublicKey::new(Curve::Ed25519, &small_order).unwrap(),
    ];
    for key in keys {
        assert_eq!(code(check_point(&key)), "key-not-a-point", "{key:?}");
        let derived = derive_child(&key, &[0; 32], &path("m/0"));
        assert_eq!(code(derived), "key-not-a-point", "{key:?}");
    }
}
