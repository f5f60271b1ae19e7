//! What a ceremony costs one party here and through the bare library calls: the difference is our overhead.
//!
//! Everything runs in one thread; that thread's CPU time is divided by the number of participants. `docs/benchmarks-parts.md` records
//! the results.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark stops where an assumption fails, and criterion's macros make an undocumented function"
)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cggmp24::backend::Integer;
use cggmp24::fast_paillier::EncryptionKey;
use cggmp24::key_share::{AuxInfo, KeyShare, Valid};
use cggmp24::security_level::SecurityLevel as _;
use cggmp24::{ExecutionId, PrehashedDataToSign};
use cpu_time::ThreadTime;
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use dkls23::protocols::re_key::re_key;
use dkls23::protocols::signing::{SignData, TransmitPhase1to2, TransmitPhase2to3};
use dkls23::protocols::{Parameters, Party};
use frost_core::keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::{Ciphersuite, Identifier, SigningPackage, VerifyingKey};
use generic_ec::curves::Secp256k1;
use generic_ec::{Point, Scalar};
use k256_dkls::Secp256k1 as Dkls;
use key_share::CoreKeyShare;
use paillier_zk::IntegerExt as _;
use paillier_zk::paillier_encryption_in_range_with_el_gamal as pi_enc_elg;
use quorate_mpc_protocol::{
    Aux, Ceremony, DklsSetup, Effect, FrostMessage, Incoming, Outcome, Presignature, Production,
    ReadyAux, Seat, Share, TaprootTweak, To, aux_info, dkls_setup, keygen, presign, sign_dkls,
    sign_ecdsa, sign_frost,
};
use quorate_testkit::sim::{ceremony_rng, session_id};
use quorate_testkit::{committee, primes};
use quorate_types::{Curve, DerivationPath, HashAlgorithm, Preimage, Threshold};
use sha2::Sha256;

const COMMITTEES: [(u16, u16); 2] = [(2, 3), (3, 5)];

/// Runs a whole committee without any network.
fn run(start: impl FnMut(Seat) -> Box<dyn Ceremony>, parties: u16, session: u64) -> Vec<Outcome> {
    let session = session_id(session);
    let mut ceremonies: Vec<_> = (0..parties)
        .map(|me| Seat::new(session, me, parties).unwrap())
        .map(start)
        .collect();
    let mut outcomes: Vec<Option<Outcome>> = (0..parties).map(|_| None).collect();
    let mut queue: VecDeque<(u16, Incoming)> = VecDeque::new();
    let mut apply = |from: u16, effects: Vec<Effect>, queue: &mut VecDeque<_>| {
        for effect in effects {
            match effect {
                Effect::Send(m) => {
                    let receivers = (0..parties).filter(|to| *to != from);
                    queue.extend(
                        receivers
                            .filter(|to| m.to == To::Everyone || m.to == To::Party(*to))
                            .map(|to| {
                                let incoming = Incoming {
                                    from,
                                    round: m.round,
                                    broadcast: m.to == To::Everyone,
                                    payload: m.payload.clone(),
                                    statement: None,
                                };
                                (to, incoming)
                            }),
                    );
                }
                Effect::Done(outcome) => outcomes[usize::from(from)] = Some(*outcome),
                Effect::Abort(abort) => panic!("{abort}"),
                Effect::Need { .. } => {}
            }
        }
    };
    for (me, ceremony) in (0u16..).zip(&mut ceremonies) {
        apply(me, ceremony.begin(), &mut queue);
    }
    while let Some((to, message)) = queue.pop_front() {
        let effects = ceremonies[usize::from(to)].deliver(message);
        apply(to, effects, &mut queue);
    }
    outcomes.into_iter().map(Option::unwrap).collect()
}

/// Measures `committee(run number)`, divided by its size.
fn per_party(
    c: &mut Criterion,
    name: &str,
    who: &str,
    parties: u16,
    mut committee: impl FnMut(u64),
) {
    let slow = name.starts_with("cggmp24");
    let mut group = c.benchmark_group(name);
    if slow {
        group
            .sample_size(10)
            .sampling_mode(SamplingMode::Flat)
            .warm_up_time(Duration::from_millis(1));
    } else {
        group
            .sample_size(50)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(4));
    }
    let mut number = 0;
    group.bench_function(who, |b| {
        b.iter_custom(|iterations| {
            let start = ThreadTime::now();
            for _ in 0..iterations {
                number += 1;
                committee(number);
            }
            start.elapsed() / u32::from(parties)
        });
    });
    group.finish();
}

fn shares((t, n): (u16, u16), curve: Curve, seed: u64) -> Vec<Share> {
    let threshold = Threshold::new(t, n).unwrap();
    let start = |seat: Seat| {
        let rng = ceremony_rng(seed, seat.me());
        keygen(seat, threshold, curve, rng).unwrap()
    };
    run(start, n, seed)
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Share(share) => share,
            other => panic!("not a share: {other:?}"),
        })
        .collect()
}

fn bench_keygen(c: &mut Criterion) {
    for (t, n) in COMMITTEES {
        let name = format!("dkg secp256k1 {t}-of-{n}");
        per_party(c, &name, "ours", n, |number| {
            assert_eq!(
                shares((t, n), Curve::Secp256k1, number).len(),
                usize::from(n)
            );
        });
        per_party(c, &name, "library", n, |number| bare_keygen(t, n, number));
    }
}

fn bare_keygen(t: u16, n: u16, number: u64) {
    let session = session_id(number);
    round_based::sim::run(n, |me, party| {
        let mut rng = ceremony_rng(number, me);
        async move {
            cggmp24_keygen::keygen::<Secp256k1>(ExecutionId::new(session.as_bytes()), me, n)
                .set_threshold(t)
                .enforce_reliable_broadcast(true)
                .hd_wallet(true)
                .start(&mut rng, party)
                .await
        }
    })
    .unwrap()
    .expect_ok();
}

fn bench_frost(c: &mut Criterion) {
    for (t, n) in COMMITTEES {
        let message = FrostMessage::Ed25519(vec![7; 32]);
        let shares_ed = shares((t, n), Curve::Ed25519, 1);
        let name = format!("frost ed25519 {t}-of-{n}");
        per_party(c, &name, "ours", t, |k| {
            ours_frost(&shares_ed, t, &message, k)
        });
        let keys = bare_keys::<frost_ed25519::Ed25519Sha512, _>(
            shares_ed.iter().map(|share| match share {
                Share::Ed25519(core) => core,
                _ => panic!("wrong curve"),
            }),
            |bytes| bytes.iter().rev().copied().collect(),
        );
        per_party(c, &name, "library", t, |k| bare_frost(&keys, t, k));

        let message = FrostMessage::Bip340 {
            message: [7; 32],
            tweak: TaprootTweak::None,
        };
        let shares_k1 = shares((t, n), Curve::Secp256k1, 1);
        let name = format!("frost bip340 {t}-of-{n}");
        per_party(c, &name, "ours", t, |k| {
            ours_frost(&shares_k1, t, &message, k)
        });
        let keys = bare_keys::<frost_secp256k1_tr::Secp256K1Sha256TR, _>(
            shares_k1.iter().map(core_secp256k1),
            <[u8]>::to_vec,
        );
        per_party(c, &name, "library", t, |k| bare_frost(&keys, t, k));
    }
}

fn core_secp256k1(share: &Share) -> &CoreKeyShare<Secp256k1> {
    match share {
        Share::Secp256k1(core) => core,
        _ => panic!("wrong curve"),
    }
}

fn ours_frost(shares: &[Share], t: u16, message: &FrostMessage, number: u64) {
    let signers: Vec<u16> = (0..t).collect();
    let root = DerivationPath::root();
    let start = |seat: Seat| {
        let rng = ceremony_rng(number, seat.me());
        let share = &shares[usize::from(seat.me())];
        sign_frost(seat, share, &signers, &root, message, rng).unwrap()
    };
    assert_eq!(run(start, t, number).len(), usize::from(t));
}

type BareKeys<C> = (Vec<KeyPackage<C>>, PublicKeyPackage<C>);

/// The same shares in FROST's types, converted once.
fn bare_keys<'a, C: Ciphersuite, E: generic_ec::Curve + 'a>(
    shares: impl Iterator<Item = &'a CoreKeyShare<E>>,
    scalar: impl Fn(&[u8]) -> Vec<u8>,
) -> BareKeys<C> {
    let shares: Vec<_> = shares.collect();
    let info = &shares[0].key_info;
    let min_signers = info.vss_setup.as_ref().unwrap().min_signers;
    let key = VerifyingKey::<C>::deserialize(&info.shared_public_key.to_bytes(true)).unwrap();
    let public: Vec<_> = info
        .public_shares
        .iter()
        .map(|point| VerifyingShare::<C>::deserialize(&point.to_bytes(true)).unwrap())
        .collect();
    let identifiers: Vec<Identifier<C>> = (1..=public.len())
        .map(|i| Identifier::try_from(u16::try_from(i).unwrap()).unwrap())
        .collect();
    let packages = shares
        .iter()
        .zip(identifiers.iter().zip(&public))
        .map(|(share, (id, public))| {
            let secret: &Scalar<E> = share.x.as_ref();
            let secret = SigningShare::deserialize(&scalar(&secret.to_be_bytes())).unwrap();
            KeyPackage::new(*id, secret, *public, key, min_signers)
        })
        .collect();
    let all: BTreeMap<_, _> = identifiers.into_iter().zip(public).collect();
    (packages, PublicKeyPackage::new(all, key, Some(min_signers)))
}

/// Everyone commits, signs and aggregates.
fn bare_frost<C: Ciphersuite>((packages, public): &BareKeys<C>, t: u16, number: u64) {
    let signers = &packages[..usize::from(t)];
    let mut nonces = Vec::new();
    let mut commitments = BTreeMap::new();
    for (me, package) in (0u16..).zip(signers) {
        let mut rng = ceremony_rng(number, me);
        let (nonce, commitment) = frost_core::round1::commit(package.signing_share(), &mut rng);
        nonces.push(nonce);
        commitments.insert(*package.identifier(), commitment);
    }
    let signing = SigningPackage::new(commitments, &[7; 32]);
    let shares: BTreeMap<_, _> = signers
        .iter()
        .zip(&nonces)
        .map(|(package, nonce)| {
            let share = frost_core::round2::sign(&signing, nonce, package).unwrap();
            (*package.identifier(), share)
        })
        .collect();
    for _ in signers {
        let signature = frost_core::aggregate(&signing, &shares, public).unwrap();
        std::hint::black_box(signature);
    }
}

fn production_aux(n: u16) -> Vec<Aux> {
    let start = |seat: Seat| {
        let rng = ceremony_rng(9, seat.me());
        let primes = primes::full(seat.me());
        aux_info::<Production>(seat, primes, rng).unwrap()
    };
    run(start, n, 9)
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Aux(aux) => aux,
            other => panic!("not aux: {other:?}"),
        })
        .collect()
}

/// Verification of one proof such as `psi1` of round 1, from `prover` to `verifier`.
fn psi_verification(
    verifier: &KeyShare<Secp256k1, Production>,
    prover: &KeyShare<Secp256k1, Production>,
) -> impl Fn() -> bool {
    let mut rng = ceremony_rng(3, 0);
    let pedersen = pi_enc_elg::Aux::from(&verifier.aux.pedersen_params[0]);
    let key = EncryptionKey::from_n(prover.aux.N[1].clone());
    let [plain, a, b] = std::array::from_fn(|_| Scalar::<Secp256k1>::random(&mut rng));
    let plaintext = Integer::from_bytes_msf(&plain.to_be_bytes()) >> 1;
    let (ciphertext, nonce) = key.encrypt_with_random(&mut rng, &plaintext).unwrap();
    let generator = Point::<Secp256k1>::generator();
    let (a_point, b_point) = (generator * a, generator * b);
    let x_point = a_point * b + generator * plaintext.to_scalar::<Secp256k1>();
    let security = pi_enc_elg::SecurityParams {
        l: Production::ELL,
        epsilon: Production::EPSILON,
    };
    let prove = |data| {
        let secret = pi_enc_elg::PrivateData {
            plaintext: &plaintext,
            nonce: &nonce,
            b: &b,
        };
        let mut rng = ceremony_rng(4, 0);
        pi_enc_elg::non_interactive::prove::<Secp256k1, Sha256>(
            &"", &pedersen, data, secret, &security, &mut rng,
        )
    };
    let proof = prove(pi_enc_elg::Data {
        key: &key,
        ciphertext: &ciphertext,
        a: &a_point,
        b: &b_point,
        x: &x_point,
    })
    .unwrap();
    move || {
        let data = pi_enc_elg::Data {
            key: &key,
            ciphertext: &ciphertext,
            a: &a_point,
            b: &b_point,
            x: &x_point,
        };
        pi_enc_elg::non_interactive::verify::<Secp256k1, Sha256>(
            &"", &pedersen, data, &proof, &security,
        )
        .is_ok()
    }
}

/// With and without tables, and what is left to do when the message is there.
fn bench_presign(c: &mut Criterion, shares: &[Share], stored: &[Aux]) {
    let (t, signers, root) = (2, [0, 1], DerivationPath::root());
    let plain: Vec<ReadyAux<Production>> = stored.iter().map(|a| a.ready().unwrap()).collect();
    let tables: Vec<ReadyAux<Production>> = stored
        .iter()
        .map(|a| a.ready().unwrap().with_tables().unwrap())
        .collect();
    println!("tables of an agent: {} bytes", tables[0].tables_len());
    let make = |aux: &[ReadyAux<Production>], number| {
        let start = |seat: Seat| {
            let rng = ceremony_rng(number, seat.me());
            let me = usize::from(seat.me());
            presign::<Production>(seat, &shares[me], &aux[me], &signers, &root, rng).unwrap()
        };
        run(start, t, number)
    };
    let name = "cggmp24 secp256k1 2-of-3, presignature";
    per_party(c, name, "ours", t, |number| {
        assert_eq!(make(&plain, number).len(), usize::from(t));
    });
    per_party(c, name, "ours, with tables", t, |number| {
        assert_eq!(make(&tables, number).len(), usize::from(t));
    });
    let message = committee::preimage(6);
    let made = make(&tables, 1).remove(0);
    let Outcome::Presignature(presignature) = made else {
        panic!("not a presignature")
    };
    let stored = presignature.to_secret_bytes().unwrap();
    per_party(c, name, "opening and issuing", 1, |_| {
        let opened = Presignature::from_secret_bytes(&stored).unwrap();
        opened.issue(&message).unwrap();
    });
}

/// 3072-bit moduli; the setup before takes a minute.
fn bench_cggmp24(c: &mut Criterion) {
    let (t, n) = (2, 3);
    let signers: Vec<u16> = (0..t).collect();
    let shares = shares((t, n), Curve::Secp256k1, 1);
    let stored = production_aux(n);
    let aux: Vec<ReadyAux<Production>> = stored.iter().map(|a| a.ready().unwrap()).collect();
    let message = committee::preimage(5);
    let name = "cggmp24 secp256k1 2-of-3, no presignature";
    let root = DerivationPath::root();
    per_party(c, name, "ours", t, |number| {
        let start = |seat: Seat| {
            let rng = ceremony_rng(number, seat.me());
            let me = usize::from(seat.me());
            sign_ecdsa::<Production>(seat, &shares[me], &aux[me], &signers, &root, &message, rng)
                .unwrap()
        };
        assert_eq!(run(start, t, number).len(), usize::from(t));
    });
    per_party(
        c,
        name,
        "decoding the aux info, once for an agent",
        1,
        |_| {
            assert_eq!(stored[0].ready::<Production>().unwrap().tables_len(), 0);
        },
    );
    per_party(c, name, "building its tables, once for an agent", 1, |_| {
        let ready = stored[0].ready::<Production>().unwrap();
        assert!(ready.with_tables().unwrap().tables_len() > 0);
    });
    bench_presign(c, &shares, &stored);
    let keys: Vec<KeyShare<Secp256k1, Production>> = shares
        .iter()
        .zip(&stored)
        .map(|(share, aux)| {
            let aux: AuxInfo<Production> = ciborium::from_reader(aux.as_secret_bytes()).unwrap();
            Valid::from_parts((core_secp256k1(share).clone(), aux)).unwrap()
        })
        .collect();
    let verify = psi_verification(&keys[0], &keys[1]);
    per_party(
        c,
        name,
        "ours, the range proof the library skips",
        1,
        |_| {
            assert!(verify());
        },
    );
    let data = PrehashedDataToSign::from_scalar(Scalar::from_be_bytes_mod_order(message.digest()));
    per_party(c, name, "library", t, |number| {
        let session = session_id(number);
        let (keys, signers, data) = (&keys, &signers, &data);
        round_based::sim::run(t, |me, party| {
            let mut rng = ceremony_rng(number, me);
            async move {
                let eid = ExecutionId::new(session.as_bytes());
                cggmp24::signing::<Secp256k1, Production>(eid, me, signers, &keys[usize::from(me)])
                    .set_digest::<Sha256>()
                    .enforce_reliable_broadcast(true)
                    .sign(&mut rng, party, data)
                    .await
            }
        })
        .unwrap()
        .expect_ok();
    });
}

type DklsParty = Party<Dkls>;

fn bench_dkls(c: &mut Criterion) {
    for (t, n) in COMMITTEES {
        let name = format!("dkls23 secp256k1 {t}-of-{n}");
        let shares = shares((t, n), Curve::Secp256k1, 1);
        let setups: Vec<DklsSetup> = run(
            |seat| {
                let share = &shares[usize::from(seat.me())];
                dkls_setup(seat, share).unwrap()
            },
            n,
            2,
        )
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::DklsSetup(setup) => setup,
            other => panic!("not a setup: {other:?}"),
        })
        .collect();
        let signers: Vec<u16> = (0..t).collect();
        let root = DerivationPath::root();
        per_party(c, &name, "ours", t, |number| {
            let message = Preimage::new(HashAlgorithm::Sha256, number.to_le_bytes().to_vec());
            let start = |seat: Seat| {
                let me = usize::from(seat.me());
                sign_dkls(seat, &shares[me], &setups[me], &signers, &root, &message).unwrap()
            };
            assert_eq!(run(start, t, number).len(), usize::from(t));
        });
        let parameters = Parameters::new(t.try_into().unwrap(), n.try_into().unwrap()).unwrap();
        let key = k256_dkls::Scalar::from(7u64);
        let (parties, _) = re_key::<Dkls>(&parameters, &[7; 32], &key, None, |_| String::new());
        per_party(c, &name, "library", t, |number| {
            bare_dkls(&parties[..usize::from(t)], number);
        });
    }
}

/// The library's four steps of everyone, with nothing encoded in between.
fn bare_dkls(parties: &[DklsParty], number: u64) {
    let data: Vec<SignData> = parties
        .iter()
        .map(|me| SignData {
            sign_id: session_id(number).as_bytes().to_vec(),
            counterparties: parties
                .iter()
                .map(|party| party.party_index)
                .filter(|index| *index != me.party_index)
                .collect(),
            message_hash: [7; 32],
        })
        .collect();
    let of_all = parties.iter().zip(&data);
    let mut offers = Vec::new();
    let mut kept = Vec::new();
    for (party, data) in of_all.clone() {
        let (unique, each, sent) = party.sign_phase1(data).unwrap();
        kept.push((unique, each));
        offers.extend(sent);
    }
    let mut answers = Vec::new();
    let mut then = Vec::new();
    for ((party, data), (unique, each)) in of_all.clone().zip(kept) {
        let to = |m: &&TransmitPhase1to2| m.parties.receiver == party.party_index;
        let received: Vec<_> = offers.iter().filter(to).cloned().collect();
        let (unique, each, sent) = party.sign_phase2(data, unique, each, &received).unwrap();
        then.push((unique, each));
        answers.extend(sent);
    }
    let mut parts = Vec::new();
    let mut x = String::new();
    for ((party, data), (unique, each)) in of_all.clone().zip(then) {
        let to = |m: &&TransmitPhase2to3<Dkls>| m.parties.receiver == party.party_index;
        let received: Vec<_> = answers.iter().filter(to).cloned().collect();
        let (point, part) = party.sign_phase3(data, unique, each, &received).unwrap();
        parts.push(part);
        x = point;
    }
    for (party, data) in of_all {
        party.sign_phase4(data, &x, &parts, true).unwrap();
    }
}

criterion_group!(
    benches,
    bench_keygen,
    bench_frost,
    bench_dkls,
    bench_cggmp24
);
criterion_main!(benches);
