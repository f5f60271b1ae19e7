//! Committee setups of a party whose Paillier modulus has prime factors of its choice (T01). All
//! that is true of the modulus is proved, and of what is not true as much as can be, so that each
//! modulus is left to exactly one check.
//!
//! Unlike other malicious parties this one needs the libraries' types: its proofs answer to the
//! randomness of all parties.

use std::collections::BTreeMap;

use cggmp24::ExecutionId;
use cggmp24::backend::Integer;
use cggmp24::key_refresh::msg::{Msg, MsgRound2, MsgRound3};
use cggmp24::paillier_zk::InvalidProof;
use cggmp24::paillier_zk::no_small_factor as factors;
use cggmp24::paillier_zk::paillier_blum_modulus as blum;
use cggmp24::security_level::{M, SecurityLevel, define_security_level};
use quorate_mpc_protocol::{
    Abort, Ceremony, CeremonyRng, DangerTestLevel, Effect, Incoming, Level, PrimeSet, SafePrime,
    Seat, aux_info,
};
use quorate_types::SessionId;
use rand_core::SeedableRng as _;
use sha2::Sha256;

use crate::malicious::{PLACE_LEN, Recording, with_payload};

/// Round in which moduli are shown, as the library numbers it.
pub const OPEN: u16 = 1;
/// Round in which they are proved.
pub const PROVE: u16 = 2;

/// [`DangerTestLevel`] for a party that does not look at the lengths of its own primes.
#[derive(Clone)]
pub struct CarelessTest;

define_security_level!(CarelessTest {
    kappa_bits: 256,
    rsa_prime_bitlen: 2,
    rsa_pubkey_bitlen: 1039,
    epsilon: 320,
    ell: 256,
    ell_prime: 576,
    m: 128,
});

impl Level for CarelessTest {}

/// [`quorate_mpc_protocol::Production`] for such a party.
#[derive(Clone)]
pub struct CarelessProduction;

define_security_level!(CarelessProduction {
    kappa_bits: 256,
    rsa_prime_bitlen: 2,
    rsa_pubkey_bitlen: 3071,
    epsilon: 512,
    ell: 256,
    ell_prime: 1280,
    m: 128,
});

impl Level for CarelessProduction {}

/// Messages do not depend on the level.
type Message = Msg<Sha256, DangerTestLevel>;

/// Prime factors of a Paillier modulus, with multiplicity, each 3 modulo 4.
#[derive(Clone)]
pub struct Modulus {
    primes: Vec<Integer>,
    /// How many of them, from the first, make the first of the two factors that the party pretends
    /// to know.
    split: usize,
}

impl Modulus {
    /// Primes of the given lengths in bits, and one that makes the product as long as a modulus of
    /// `bits` bits may be; `split` as the first factor.
    #[must_use]
    pub fn random(lengths: &[u32], bits: u64, split: usize, seed: u64) -> Self {
        let mut rng = CeremonyRng::seed_from_u64(seed);
        let primes = lengths.iter().map(|bits| blum_prime(&mut rng, *bits));
        Self {
            primes: primes.collect(),
            split,
        }
        .completed(bits, &mut rng)
    }

    /// The square of a prime of this length, and a prime that makes the product as long as a
    /// modulus of `bits` bits may be.
    #[must_use]
    pub fn with_square(length: u32, bits: u64, seed: u64) -> Self {
        let mut rng = CeremonyRng::seed_from_u64(seed);
        Self {
            primes: vec![blum_prime(&mut rng, length); 2],
            split: 2,
        }
        .completed(bits, &mut rng)
    }

    /// Two primes.
    #[must_use]
    pub fn of_two(primes: [&SafePrime; 2]) -> Self {
        let primes = primes.map(|p| Integer::from_bytes_msf(p.as_secret_bytes()));
        Self {
            primes: primes.to_vec(),
            split: 1,
        }
    }

    fn completed(mut self, bits: u64, rng: &mut CeremonyRng) -> Self {
        let missing = bits - product(&self.primes).significant_bits();
        let last = blum_prime(rng, u32::try_from(missing).unwrap());
        self.primes.push(last);
        self
    }

    /// A party's committee setup with this modulus, and with two good primes for its Pedersen
    /// parameters; the library proves the modulus as if the two factors were primes.
    ///
    /// # Errors
    /// As [`aux_info`].
    pub fn setup_by_library<L: Level>(
        &self,
        seat: &Seat,
        pedersen: [SafePrime; 2],
        rng: CeremonyRng,
    ) -> Result<Box<dyn Ceremony>, Abort> {
        let (first, second) = self.primes.split_at(self.split);
        let [first, second] = [first, second]
            .map(|primes| SafePrime::from_secret_bytes(&product(primes).to_bytes_msf()));
        let [third, fourth] = pedersen;
        let primes = PrimeSet::new([first, second, third, fourth]).unwrap();
        aux_info::<L>(seat.clone(), primes, rng)
    }

    /// Like [`Self::setup_by_library`], with the best proof of the modulus that there is.
    ///
    /// # Errors
    /// As [`aux_info`].
    pub fn setup<L: Level>(
        &self,
        seat: &Seat,
        pedersen: [SafePrime; 2],
        rng: CeremonyRng,
    ) -> Result<Box<dyn Ceremony>, Abort> {
        Ok(Box::new(Prover {
            honest: self.setup_by_library::<L>(seat, pedersen, rng.clone())?,
            modulus: self.clone(),
            session: *seat.session(),
            me: seat.me(),
            shown: BTreeMap::new(),
            proof: None,
            rng,
        }))
    }

    /// Proof of the modulus as the library makes it, for as many of the points as this modulus
    /// allows.
    fn prove(&self, state: &impl udigest::Digestable, rng: &mut CeremonyRng) -> blum::NiProof<M> {
        let n = product(&self.primes);
        let data = blum::Data { n: &n };
        let commitment = blum::interactive::commit(data, rng);
        let challenge = blum::non_interactive::challenge::<M, Sha256>(state, data, &commitment);
        let (root, fourth_root) = (self.root(&n), self.fourth_root());
        let points = challenge.ys.map(|y| {
            let (a, b, residue) = self.residue(&y, &commitment.w, &n);
            blum::ProofPoint {
                x: residue.pow_mod_ref(&fourth_root, &n).unwrap(),
                a,
                b,
                z: y.pow_mod_ref(&root, &n).unwrap(),
            }
        });
        blum::NiProof {
            commitment,
            proof: blum::Proof { points },
        }
    }

    /// Each prime once.
    fn distinct(&self) -> Vec<&Integer> {
        let mut distinct: Vec<_> = self.primes.iter().collect();
        distinct.dedup();
        distinct
    }

    /// The exponent of N-th roots, where there are any: modulo every prime factor.
    fn root(&self, n: &Integer) -> Integer {
        let minus_one: Vec<_> = self.distinct().into_iter().map(|p| p - 1u8).collect();
        n.invert_ref(&product(&minus_one)).unwrap()
    }

    /// The exponent of fourth roots among squares, a group of odd order because every prime is 3
    /// modulo 4.
    fn fourth_root(&self) -> Integer {
        let distinct = self.distinct().into_iter();
        let order = distinct.fold(product(&self.primes), |order, p| {
            order / p * ((p - 1u8) >> 1u32)
        });
        Integer::from(4).invert_ref(&order).unwrap()
    }

    /// A square among `y`, `-y`, `wy` and `-wy`. Of more than two primes there need not be one; `y`
    /// then.
    fn residue(&self, y: &Integer, w: &Integer, n: &Integer) -> (bool, bool, Integer) {
        let squares = |x: &Integer| self.distinct().into_iter().all(|p| x.jacobi(p) == 1);
        let turned = |(a, b): (bool, bool)| {
            let y = if a { n - y } else { y.clone() };
            let y = if b { (y * w).modulo(n) } else { y };
            (a, b, y)
        };
        let turns = [(false, false), (true, false), (false, true), (true, true)];
        turns
            .into_iter()
            .map(turned)
            .find(|(_, _, y)| squares(y))
            .unwrap_or((false, false, y.clone()))
    }
}

fn product(integers: &[Integer]) -> Integer {
    integers
        .iter()
        .fold(Integer::one(), |product, integer| product * integer)
}

fn blum_prime(rng: &mut CeremonyRng, bits: u32) -> Integer {
    loop {
        let prime = Integer::generate_prime(rng, bits);
        if prime.mod_u(4) == 3 {
            return prime;
        }
    }
}

/// What a proof of a modulus is bound to: `cggmp24::key_refresh::aux_only::unambiguous::ProofMod`.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.aux_gen.proof_mod")]
struct ModulusPlace<'a> {
    sid: ExecutionId<'a>,
    #[udigest(as_bytes)]
    rho: &'a [u8],
    prover: u16,
}

/// What a proof of factors is bound to: `ProofFac` beside it.
#[derive(udigest::Digestable)]
#[udigest(tag = "dfns.cggmp24.aux_gen.proof_fac")]
struct FactorsPlace<'a> {
    sid: ExecutionId<'a>,
    #[udigest(as_bytes)]
    rho: &'a [u8],
    prover: u16,
}

/// The library's ceremony, which proves of two numbers that they are primes; the proof of the
/// modulus is replaced by the best there is.
struct Prover {
    honest: Box<dyn Ceremony>,
    modulus: Modulus,
    session: SessionId,
    me: u16,
    /// Randomness of each party, as shown in round [`OPEN`].
    shown: BTreeMap<u16, Vec<u8>>,
    proof: Option<blum::NiProof<M>>,
    rng: CeremonyRng,
}

impl Prover {
    fn note(&mut self, from: u16, round: u16, payload: &[u8]) {
        if round == OPEN {
            let rho = opened(payload).rho_bytes.as_ref().to_vec();
            self.shown.insert(from, rho);
        }
    }

    fn change(&mut self, effect: Effect) -> Effect {
        let Effect::Send(message) = effect else {
            return effect;
        };
        self.note(self.me, message.round, &message.payload);
        if message.round != PROVE {
            return Effect::Send(message);
        }
        let mut proofs = proved(&message.payload);
        proofs.mod_proof = self.proof().clone();
        let place = message.payload[..PLACE_LEN].to_vec();
        let payload = postcard::to_extend(&Message::Round3(proofs), place).unwrap();
        Effect::Send(with_payload(&message, payload))
    }

    fn proof(&mut self) -> &blum::NiProof<M> {
        let Self { modulus, rng, .. } = self;
        let place = ModulusPlace {
            sid: ExecutionId::new(self.session.as_bytes()),
            rho: &all_of(self.shown.values()),
            prover: self.me,
        };
        self.proof.get_or_insert_with(|| modulus.prove(&place, rng))
    }
}

impl Ceremony for Prover {
    fn begin(&mut self) -> Vec<Effect> {
        let step = self.honest.begin();
        step.into_iter().map(|e| self.change(e)).collect()
    }

    fn deliver(&mut self, message: Incoming) -> Vec<Effect> {
        self.note(message.from, message.round, &message.payload);
        let step = self.honest.deliver(message);
        step.into_iter().map(|e| self.change(e)).collect()
    }
}

fn all_of<'a>(shown: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    shown.into_iter().fold(vec![0; 32], |all, one| {
        all.iter().zip(one).map(|(x, y)| x ^ y).collect()
    })
}

fn opened(payload: &[u8]) -> MsgRound2<DangerTestLevel> {
    match postcard::from_bytes::<Message>(&payload[PLACE_LEN..]).unwrap() {
        Message::Round2(parameters) => parameters,
        _ => panic!("no parameters"),
    }
}

fn proved(payload: &[u8]) -> MsgRound3 {
    match postcard::from_bytes::<Message>(&payload[PLACE_LEN..]).unwrap() {
        Message::Round3(proofs) => proofs,
        _ => panic!("no proofs"),
    }
}

/// What the library's two verifiers say of a party's proofs, each by itself: which check failed, if
/// one did.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// That the modulus is one of two primes (Pi-mod).
    pub modulus: Option<String>,
    /// That neither is small (Pi-fac).
    pub factors: Option<String>,
}

impl Verdicts {
    /// Of the proofs that `from` sent to `to` in a session of `parties` at the test level.
    #[must_use]
    pub fn of(sent: &Recording, session: SessionId, parties: u16, [from, to]: [u16; 2]) -> Self {
        type L = DangerTestLevel;
        let other = |j: u16| (j + 1) % parties;
        let parameters = |j: u16| opened(sent.payload(j, OPEN, other(j)));
        let rho: Vec<_> = (0..parties)
            .map(|j| parameters(j).rho_bytes.as_ref().to_vec())
            .collect();
        let (sid, rho) = (ExecutionId::new(session.as_bytes()), all_of(&rho));
        let (n, verifier) = (parameters(from).N, parameters(to));
        let proofs = proved(sent.payload(from, PROVE, to));
        let mut rng = CeremonyRng::seed_from_u64(0);
        let (rho, prover) = (rho.as_slice(), from);
        let modulus = blum::non_interactive::verify::<M, Sha256>(
            &ModulusPlace { sid, rho, prover },
            blum::Data { n: &n },
            &proofs.mod_proof,
            &mut rng,
        );
        let factors = factors::non_interactive::verify::<Sha256>(
            &FactorsPlace { sid, rho, prover },
            &factors::Aux {
                s: verifier.s,
                t: verifier.t,
                rsa_modulo: verifier.hat_N,
                multiexp: None,
                crt: None,
            },
            factors::Data {
                n: &n,
                n_root: &n.sqrt_ref().unwrap(),
            },
            &factors::SecurityParams {
                l: L::ELL,
                epsilon: L::EPSILON,
            },
            &proofs.fac_proof,
        );
        let failed = |verdict: Result<(), InvalidProof>| verdict.err().map(|e| format!("{e:?}"));
        Self {
            modulus: failed(modulus),
            factors: failed(factors),
        }
    }
}
