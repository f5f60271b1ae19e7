use age::x25519::Identity;
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_types::Threshold;

use super::contribution::forge;
use super::*;
use crate::backup::{self, Lock, Opener};

struct World {
    keys: Vec<Identity>,
    package: EscrowPackage,
}

const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

fn custodians(keys: &[Identity]) -> Vec<Custodian> {
    let custodian = |(key, name): (&Identity, &&str)| Custodian {
        name: (*name).to_owned(),
        recipient: key.to_public().to_string(),
    };
    keys.iter().zip(&NAMES).map(custodian).collect()
}

fn make(t: u16, custodians: &[Custodian]) -> Result<EscrowPackage, EscrowError> {
    let signer = SigningKey::from_bytes(&[5; 32]);
    let identity = signer.verifying_key().to_bytes();
    let party = PartyId::new("party-1").unwrap();
    create(&party, identity, t, custodians, 1000, |message| {
        Ok::<_, std::convert::Infallible>(signer.sign(message).to_bytes())
    })
}

fn world(t: u16, n: usize) -> World {
    let keys: Vec<_> = (0..n).map(|_| Identity::generate()).collect();
    let package = make(t, &custodians(&keys)).unwrap();
    World { keys, package }
}

impl World {
    fn contribution(&self, number: usize, request: &RecoveryRequest) -> Vec<u8> {
        let own = vec![self.keys[number].clone()];
        let made = contribute(&self.package, request, own).unwrap();
        made.to_json().unwrap()
    }
}

fn finish(
    state: &RecoveryState,
    package: &EscrowPackage,
    contributions: &[Vec<u8>],
) -> Result<Recovered, EscrowError> {
    let files = NAMES.iter().copied().cycle();
    state.finish(package, files.zip(contributions.iter().map(Vec::as_slice)))
}

fn subsets(n: usize, size: usize) -> Vec<Vec<usize>> {
    (0u32..1 << n)
        .filter(|bits| bits.count_ones() as usize == size)
        .map(|bits| (0..n).filter(|i| bits >> i & 1 == 1).collect())
        .collect()
}

#[test]
fn any_three_of_five_open_what_was_encrypted_to_the_escrow_and_no_two_do() {
    let world = world(3, 5);
    let lock = Lock::to_recipients([world.package.recipient()]).unwrap();
    let sealed = backup::encrypt(b"the backup", &lock).unwrap();
    let state = RecoveryState::start(&world.package, "test", 1);
    let all: Vec<_> = (0..5)
        .map(|i| world.contribution(i, state.request()))
        .collect();
    for subset in subsets(5, 3) {
        let some: Vec<_> = subset.iter().map(|i| all[*i].clone()).collect();
        let recovered = finish(&state, &world.package, &some).unwrap();
        let opened = backup::decrypt(&sealed, &recovered.opener, 100).unwrap();
        assert_eq!(&**opened, b"the backup");
        assert_eq!(recovered.used.len(), 3);
    }
    for subset in subsets(5, 2) {
        let some: Vec<_> = subset.iter().map(|i| all[*i].clone()).collect();
        let error = finish(&state, &world.package, &some).unwrap_err();
        assert!(matches!(
            error,
            EscrowError::TooFew {
                good: 2,
                needed: 3,
                ..
            }
        ));
    }
}

#[test]
fn fewer_parts_than_the_threshold_give_a_key_that_opens_nothing() {
    // Past every check of the program: the attacker interpolates whatever parts there are.
    let split = split::split(Threshold::new(3, 5).unwrap()).unwrap();
    let lock = Lock::Recipients(vec![split.identity.to_public()]);
    let sealed = backup::encrypt(b"the backup", &lock).unwrap();
    let committed =
        |n| split::Commitments::decode(&split.commitments, Threshold::new(n, 5).unwrap());
    assert!(
        committed(2).is_err(),
        "a lower threshold does not fit the commitments"
    );
    let commitments = committed(3).unwrap();
    for subset in subsets(5, 2) {
        let parts: Vec<_> = subset
            .iter()
            .map(|i| (*i as u16 + 1, split.parts[*i].clone()))
            .collect();
        assert!(commitments.combine(&parts).is_err());
    }
    for (number, part) in (1u16..).zip(&split.parts) {
        assert!(commitments.admit(number, part));
        assert!(!commitments.admit(number % 5 + 1, part));
        assert!(!commitments.admit(0, part));
        // A part used as if it were the secret.
        let as_secret = Opener::Identities(backup::parse_identities(&text_of(part)).unwrap());
        assert!(backup::decrypt(&sealed, &as_secret, 100).is_err());
    }
}

fn text_of(key: &[u8; 32]) -> String {
    let prefix = bech32::Hrp::parse("age-secret-key-").unwrap();
    bech32::encode_upper::<bech32::Bech32>(prefix, key).unwrap()
}

#[test]
fn a_bad_contribution_is_named_and_does_not_stop_the_good_ones() {
    let world = world(3, 5);
    let state = RecoveryState::start(&world.package, "test", 1);
    let other = RecoveryState::start(&world.package, "test", 1);
    let own = |i: usize| vec![world.keys[i].clone()];
    let json = |c: Contribution| c.to_json().unwrap();
    let request = state.request();
    let bob = contribute(&world.package, request, own(1)).unwrap();
    let mut renamed = bob.clone();
    renamed.custodian = PartyId::new("carol").unwrap();
    let cases = [
        (
            json(forge::wrong_part(&world.package, request, own(0))),
            "sent and signed by alice: the part in it does not fit the commitments",
        ),
        (json(forge::altered(bob.clone())), "said to be from bob"),
        (
            json(renamed),
            "sent and signed by bob: it says to be from carol",
        ),
        (
            world.contribution(1, other.request()),
            "said to be from bob: it is for another recovery",
        ),
        (
            world.contribution(2, request),
            "carol sent its part already",
        ),
        (b"{}".to_vec(), "not a contribution"),
    ];
    let good: Vec<_> = (2..5).map(|i| world.contribution(i, request)).collect();
    for (bad, says) in cases {
        let mut all = good.clone();
        all.push(bad.clone());
        let recovered = finish(&state, &world.package, &all).unwrap();
        let rejected: Vec<_> = recovered.rejected.iter().map(ToString::to_string).collect();
        assert_eq!(rejected.len(), 1);
        assert!(rejected[0].contains(says), "{rejected:?}");
        let too_few = finish(
            &state,
            &world.package,
            &[good[0].clone(), bad, good[1].clone()],
        );
        let error = too_few.unwrap_err().to_string();
        assert!(
            error.starts_with("2 good contributions, 3 are needed; "),
            "{error}"
        );
    }
}

#[test]
fn the_recoverer_alone_can_open_contributions() {
    let world = world(2, 3);
    let state = RecoveryState::start(&world.package, "test", 1);
    let other = RecoveryState::start(&world.package, "test", 1);
    let contribution = world.contribution(0, state.request());
    // The relay changes whom it is sealed for: the part's key has signed the request as the custodian saw it.
    let error = finish(
        &other,
        &world.package,
        &[contribution.clone(), contribution],
    );
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("sealed to somebody else")
    );
}

#[test]
fn a_wrong_part_is_found_when_its_custodian_contributes() {
    let first = world(2, 3);
    let second = make(2, &custodians(&first.keys)).unwrap();
    let signer = SigningKey::from_bytes(&[5; 32]);
    // The party puts the first package's part, or another custodian's, into the second, and signs it.
    let resigned = |part: PartOwner| {
        let mut json: serde_json::Value =
            serde_json::from_slice(&second.to_json().unwrap()).unwrap();
        json["body"]["parts"][0] = serde_json::to_value(part).unwrap();
        let body: package::Body = serde_json::from_value(json["body"].clone()).unwrap();
        let message = quorate_types::canonical::Canonical::signing_bytes(&body);
        json["signature"] = hex::encode(signer.sign(&message).to_bytes()).into();
        EscrowPackage::from_json(json.to_string().as_bytes()).unwrap()
    };
    let other_custodians = PartOwner {
        sealed: second.owners()[1].sealed.clone(),
        ..second.owners()[0].clone()
    };
    for (part, says) in [
        (
            first.package.owners()[0].clone(),
            "made for another package",
        ),
        (other_custodians, "does not open"),
    ] {
        let package = resigned(part);
        let state = RecoveryState::start(&package, "test", 1);
        let own = vec![first.keys[0].clone()];
        let error = contribute(&package, state.request(), own).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains("part of alice"), "{error}");
    }
}

/// A stranger copies a party's parts into a package of their own, under a name that nobody would mind recovering.
#[test]
fn parts_lifted_into_a_strangers_package_are_not_contributed() {
    let world = world(2, 3);
    let stranger = SigningKey::from_bytes(&[6; 32]);
    let mut json: serde_json::Value =
        serde_json::from_slice(&world.package.to_json().unwrap()).unwrap();
    json["body"]["party"] = "rehearsal".into();
    json["body"]["identity"] = hex::encode(stranger.verifying_key().to_bytes()).into();
    let body: package::Body = serde_json::from_value(json["body"].clone()).unwrap();
    let message = quorate_types::canonical::Canonical::signing_bytes(&body);
    json["signature"] = hex::encode(stranger.sign(&message).to_bytes()).into();
    let lifted = EscrowPackage::from_json(json.to_string().as_bytes()).unwrap();
    let state = RecoveryState::start(&lifted, "the yearly rehearsal", 1);
    let error = contribute(&lifted, state.request(), vec![world.keys[0].clone()]).unwrap_err();
    assert!(
        error.to_string().contains("copied into this one"),
        "{error}"
    );
}

#[test]
fn packages_are_held_to_their_signature_threshold_and_names() {
    let world = world(2, 3);
    let json = String::from_utf8(world.package.to_json().unwrap()).unwrap();
    assert_eq!(
        EscrowPackage::from_json(json.as_bytes()).unwrap(),
        world.package
    );
    let altered = json.replace("\"made_at\": 1000", "\"made_at\": 1001");
    let error = EscrowPackage::from_json(altered.as_bytes()).unwrap_err();
    assert!(matches!(error, EscrowError::PackageSignature(_)));
    let three = custodians(&world.keys);
    for t in [0, 1, 4] {
        assert!(matches!(make(t, &three), Err(EscrowError::Threshold(_))));
    }
    let twice = [three[0].clone(), three[1].clone(), three[0].clone()];
    assert!(matches!(make(2, &twice), Err(EscrowError::Repeated(_))));
    let stranger = vec![Identity::generate()];
    let state = RecoveryState::start(&world.package, "test", 1);
    let error = contribute(&world.package, state.request(), stranger).unwrap_err();
    assert!(matches!(error, EscrowError::NoPart(_)));
    let other = self::world(2, 3);
    let error = contribute(&other.package, state.request(), vec![other.keys[0].clone()]);
    assert!(matches!(error, Err(EscrowError::OtherPackage(_))));
}

#[test]
fn t23_debug_shows_no_secret() {
    let world = world(2, 3);
    let state = RecoveryState::start(&world.package, "test", 1);
    assert!(!format!("{state:?}").contains("AGE-SECRET-KEY"));
    let again = RecoveryState::from_json(&state.to_json().unwrap()).unwrap();
    assert_eq!(again.request().fingerprint(), state.request().fingerprint());
}
