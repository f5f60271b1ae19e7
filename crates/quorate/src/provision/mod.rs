//! Writes everything a new cluster needs: a directory for each custodian that can be handed over alone, and no file that holds
//! two custodians' secrets.

mod certificates;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_messaging::{NatsServerSpec, PartyKeys, nats_server_config};
use quorate_orchestrator::OrchestratorConfig;
use quorate_party_agent::config::{NatsConfig, Timeouts};
use quorate_party_agent::{AgentConfig, PresignConfig, boot};
use quorate_policy::{Header, check_rules, compile};
use quorate_service::now_ms;
use quorate_storage::{
    EncryptedFileStore, Passphrase, SealedBox, create_private_dir, write_private,
};
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Admin, AdminSignature, Admins, BitcoinNetwork, Hash32, OperatorEntry, OperatorId, PartyEntry,
    PartyId, PersonId, Roster, SignedBundle, Threshold, ValidRoster,
};
use rand_core::OsRng;

use crate::exit::misuse;
use crate::operator::ClientConfig;
use certificates::{Authority, Leaf};

/// What kind of cluster.
pub struct Spec {
    /// `t` of `n`.
    pub threshold: Threshold,
    /// Its name.
    pub name: String,
    /// Host under which NATS and the API are reached.
    pub host: String,
    /// NATS port.
    pub nats_port: u16,
    /// API port.
    pub api_port: u16,
    /// Who signs policies: so many admins, and how many of them are needed.
    pub admins: (u16, u16),
    /// People who may approve, each with a key of their own.
    pub approvers: Vec<PersonId>,
    /// The first policy's text.
    pub policy: String,
}

impl Spec {
    /// A cluster on this machine with one operator and one admin.
    pub fn local(threshold: Threshold, name: &str) -> Self {
        Self {
            threshold,
            name: name.to_owned(),
            host: "127.0.0.1".to_owned(),
            nats_port: 4222,
            api_port: 7777,
            admins: (1, 1),
            approvers: Vec::new(),
            policy: plain_policy(BitcoinNetwork::Mainnet),
        }
    }
}

/// A human's or program's new key, and where its files go.
struct Signer {
    id: PersonId,
    /// Below the cluster's directory.
    dir: PathBuf,
    key: SigningKey,
}

impl Signer {
    fn new(parent: &str, id: PersonId) -> Self {
        Self {
            dir: Path::new(parent).join(id.as_str()),
            key: SigningKey::generate(&mut OsRng),
            id,
        }
    }

    fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }
}

/// The largest message NATS carries, in bytes.
const MAX_PAYLOAD: usize = 2 << 20;

/// Creates the directory and fills it.
///
/// # Errors
/// A directory that exists and is not empty, an impossible name, the file system's.
pub fn create(dir: &Path, spec: &Spec, mut progress: impl FnMut(&str)) -> anyhow::Result<()> {
    if dir.exists() && dir.read_dir()?.next().is_some() {
        misuse!(
            "{} exists and is not empty; choose a new directory",
            dir.display()
        );
    }
    // The name is part of every key's roster; hold it to the same rules as other names.
    PartyId::new(&spec.name).context("the cluster's name")?;
    create_private_dir(dir)?;
    progress("a private certificate authority");
    let authority = Authority::create(&spec.name)?;
    let ca = Files::new(&dir.join("ca"))?;
    ca.write("ca.crt", authority.certificate_pem().as_bytes())?;
    ca.write("ca.key", authority.key_pem().as_bytes())?;

    let operator_id = OperatorId::new("operator")?;
    let operator = Signer {
        dir: "operator".into(),
        ..Signer::new("", operator_id.person())
    };
    let admins = (1..=spec.admins.0)
        .map(|n| Ok(Signer::new("admins", PersonId::new(&format!("admin-{n}"))?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let people = spec.approvers.iter().cloned();
    let people: Vec<_> = people.map(|id| Signer::new("people", id)).collect();
    let mut parties = Vec::new();
    let mut stores = Vec::new();
    for number in 1..=spec.threshold.n() {
        let id = PartyId::new(&format!("party-{number}"))?;
        progress(&format!("custodian {id}"));
        let custodian = dir.join("custodians").join(id.as_str());
        let keys = PartyKeys::generate(&mut OsRng);
        parties.push(PartyEntry {
            id: id.clone(),
            identity: keys.identity(),
            channel: keys.channel(),
        });
        write_store(&custodian, &id, &keys)?;
        stores.push((custodian, id));
    }
    let roster = Roster {
        cluster: spec.name.clone(),
        threshold: spec.threshold,
        parties,
        operators: vec![OperatorEntry {
            id: operator_id.clone(),
            key: operator.public(),
        }],
        admins: Admins {
            quorum: spec.admins.1,
            members: admins
                .iter()
                .map(|admin| Admin {
                    id: admin.id.clone(),
                    key: admin.public(),
                })
                .collect(),
        },
    };
    let roster_json = serde_json::to_vec_pretty(&roster)?;
    let roster = ValidRoster::try_from(roster)?;
    progress("the first policy");
    let policy = first_policy(dir, spec, &roster, &admins, &people)?;
    for (custodian, id) in &stores {
        let shared = Shared {
            roster: &roster_json,
            policy: &policy,
        };
        write_custodian(custodian, id, spec, &authority, &shared)?;
    }
    progress("NATS, orchestrator, operator, admins and approvers");
    write_nats(dir, spec, &authority, &roster)?;
    write_orchestrator(dir, spec, &authority, &roster_json)?;
    for signer in [operator].iter().chain(&admins).chain(&people) {
        write_signer(dir, spec, &authority, &roster_json, signer)?;
    }
    Ok(())
}

/// The plain policy that a new cluster gets, for its one Bitcoin network.
pub fn plain_policy(bitcoin: BitcoinNetwork) -> String {
    let main = format!("network = \"{}\"", BitcoinNetwork::Mainnet);
    START.replace(&main, &format!("network = \"{bitcoin}\""))
}

/// The same for the main network, as it is printed.
pub const START: &str = include_str!("../../policies/start.toml");

/// Compiles, signs and writes the first policy; returns the bundle's JSON.
fn first_policy(
    dir: &Path,
    spec: &Spec,
    roster: &ValidRoster,
    admins: &[Signer],
    people: &[Signer],
) -> anyhow::Result<Vec<u8>> {
    let mut text = spec.policy.clone();
    if !people.is_empty() {
        text.push_str("\n# --- people, and the keys they were given\n");
    }
    for person in people {
        text.push_str(&format!(
            "[people.{}]\ngroups = [\"approvers\"]\nguardian = true\ned25519 = [\"{}\"]\n",
            person.id,
            hex::encode(person.public())
        ));
    }
    let header = Header {
        cluster: roster.cluster_id(),
        version: 1,
        previous: Hash32::from_bytes([0; 32]),
        issued_at: now_ms(),
        admins: roster.roster().admins.clone(),
        lifts: Vec::new(),
    };
    let bundle = compile(&text, header).context("the policy")?;
    check_rules(&bundle).context("the policy")?;
    let message = bundle.signing_bytes();
    let signatures = admins.iter().map(|admin| AdminSignature {
        admin: admin.id.clone(),
        signature: admin.key.sign(&message).to_bytes(),
    });
    let signed = SignedBundle {
        signatures: signatures.collect(),
        bundle,
    };
    signed.clone().follow(roster, None).context("the policy")?;
    let json = serde_json::to_vec_pretty(&signed)?;
    let files = Files::new(&dir.join("policy"))?;
    files.write("policy.toml", text.as_bytes())?;
    files.write("bundle-1.json", &json)?;
    Ok(json)
}

/// What every custodian gets.
struct Shared<'a> {
    roster: &'a [u8],
    policy: &'a [u8],
}

/// A new private directory being filled.
struct Files(PathBuf);

impl Files {
    fn new(dir: &Path) -> anyhow::Result<Self> {
        create_private_dir(dir)?;
        Ok(Self(dir.to_owned()))
    }

    fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        Ok(write_private(&self.0.join(name), content)?)
    }

    fn write_tls(&self, authority: &Authority, leaf: &Leaf) -> anyhow::Result<()> {
        let tls = Self::new(&self.0.join("tls"))?;
        tls.write("ca.crt", authority.certificate_pem().as_bytes())?;
        tls.write("cert.pem", leaf.certificate_pem.as_bytes())?;
        tls.write("key.pem", leaf.key_pem.as_bytes())
    }

    /// In a file of its own for its owner to replace or carry off.
    fn write_passphrase(&self) -> anyhow::Result<Passphrase> {
        let passphrase = Passphrase::generate();
        passphrase.write_to(&self.0.join("passphrase"))?;
        Ok(passphrase)
    }
}

fn write_store(dir: &Path, id: &PartyId, keys: &PartyKeys) -> anyhow::Result<()> {
    let files = Files::new(dir)?;
    let passphrase = files.write_passphrase()?;
    let data = dir.join("data");
    create_private_dir(&data)?;
    let store = EncryptedFileStore::create(&boot::store_dir(&data), id, &passphrase)?;
    store.put(boot::identity_item(), &keys.to_secret_bytes())?;
    Ok(())
}

fn write_custodian(
    dir: &Path,
    id: &PartyId,
    spec: &Spec,
    authority: &Authority,
    shared: &Shared<'_>,
) -> anyhow::Result<()> {
    let files = Files::new(dir)?;
    files.write("roster.json", shared.roster)?;
    files.write("policy.json", shared.policy)?;
    files.write_tls(authority, &authority.client(id.as_str())?)?;
    let config = AgentConfig {
        party: id.clone(),
        roster: "roster.json".into(),
        policy: Some("policy.json".into()),
        data: "data".into(),
        passphrase_file: Some("passphrase".into()),
        hsm: None,
        tpm: None,
        kms: None,
        backup: None,
        nats: NatsConfig {
            url: format!("tls://{}:{}", spec.host, spec.nats_port),
            ca: "tls/ca.crt".into(),
            certificate: "tls/cert.pem".into(),
            key: "tls/key.pem".into(),
        },
        presign: PresignConfig::default(),
        timeouts: Timeouts::default(),
    };
    files.write("agent.toml", toml::to_string(&config)?.as_bytes())
}

fn write_nats(
    dir: &Path,
    spec: &Spec,
    authority: &Authority,
    roster: &ValidRoster,
) -> anyhow::Result<()> {
    let files = Files::new(&dir.join("nats"))?;
    files.write_tls(authority, &authority.server("nats", &spec.host)?)?;
    let listen = format!("0.0.0.0:{}", spec.nats_port);
    files.write(
        "nats.conf",
        nats_config(roster, &listen, Path::new("tls")).as_bytes(),
    )
}

/// The NATS server's configuration, with the TLS files in `tls`.
pub fn nats_config(roster: &ValidRoster, listen: &str, tls: &Path) -> String {
    nats_server_config(&NatsServerSpec {
        listen: listen.to_owned(),
        cert_file: tls.join("cert.pem"),
        key_file: tls.join("key.pem"),
        ca_file: tls.join("ca.crt"),
        parties: roster.party_ids(),
        orchestrators: vec![ORCHESTRATOR.to_owned()],
        max_payload: MAX_PAYLOAD,
    })
}

/// The orchestrator's NATS user.
pub const ORCHESTRATOR: &str = "orchestrator";

fn write_orchestrator(
    dir: &Path,
    spec: &Spec,
    authority: &Authority,
    roster: &[u8],
) -> anyhow::Result<()> {
    let files = Files::new(&dir.join("orchestrator"))?;
    files.write("roster.json", roster)?;
    files.write_tls(authority, &authority.server(ORCHESTRATOR, &spec.host)?)?;
    let config = OrchestratorConfig {
        name: ORCHESTRATOR.to_owned(),
        roster: "roster.json".into(),
        listen: SocketAddr::from(([0, 0, 0, 0], spec.api_port)),
        ca: "tls/ca.crt".into(),
        certificate: "tls/cert.pem".into(),
        key: "tls/key.pem".into(),
        nats: format!("tls://{}:{}", spec.host, spec.nats_port),
    };
    files.write("orchestrator.toml", toml::to_string(&config)?.as_bytes())
}

fn write_signer(
    dir: &Path,
    spec: &Spec,
    authority: &Authority,
    roster: &[u8],
    signer: &Signer,
) -> anyhow::Result<()> {
    let Signer { id, key, .. } = signer;
    let files = Files::new(&dir.join(&signer.dir))?;
    files.write("roster.json", roster)?;
    files.write_tls(authority, &authority.client(&format!("client-{id}"))?)?;
    let passphrase = files.write_passphrase()?;
    let sealed = SealedBox::seal(
        &passphrase,
        &crate::operator::key_purpose(id),
        &key.to_bytes(),
    )?;
    files.write("key.json", &serde_json::to_vec_pretty(&sealed)?)?;
    let up = signer.dir.iter().map(|_| "..").collect::<PathBuf>();
    let config = ClientConfig {
        name: id.clone(),
        endpoint: format!("https://{}:{}", spec.host, spec.api_port),
        endpoint_file: Some(up.join("operator/endpoint")),
        roster: "roster.json".into(),
        key: "key.json".into(),
        passphrase_file: Some("passphrase".into()),
        tls: crate::operator::ClientTls {
            ca: "tls/ca.crt".into(),
            certificate: "tls/cert.pem".into(),
            key: "tls/key.pem".into(),
        },
    };
    files.write("client.toml", toml::to_string(&config)?.as_bytes())
}
