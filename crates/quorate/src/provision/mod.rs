//! Writes everything a new cluster needs: a directory for each custodian that can be handed over alone, and no file that holds
//! two custodians' secrets.

mod certificates;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ed25519_dalek::SigningKey;
use quorate_messaging::{NatsServerSpec, PartyKeys, nats_server_config};
use quorate_orchestrator::OrchestratorConfig;
use quorate_party_agent::config::{NatsConfig, Timeouts};
use quorate_party_agent::{AgentConfig, boot};
use quorate_storage::{
    EncryptedFileStore, Passphrase, SealedBox, create_private_dir, write_private,
};
use quorate_types::{
    OperatorEntry, OperatorId, PartyEntry, PartyId, Roster, Threshold, ValidRoster,
};
use rand_core::OsRng;

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
}

/// The largest message NATS carries, in bytes.
const MAX_PAYLOAD: usize = 2 << 20;

/// Creates the directory and fills it.
///
/// # Errors
/// A directory that exists and is not empty, an impossible name, the file system's.
pub fn create(dir: &Path, spec: &Spec, mut progress: impl FnMut(&str)) -> anyhow::Result<()> {
    if dir.exists() && dir.read_dir()?.next().is_some() {
        bail!(
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

    let operator = SigningKey::generate(&mut OsRng);
    let operator_id = OperatorId::new("operator")?;
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
            key: operator.verifying_key().to_bytes(),
        }],
    };
    let roster_json = serde_json::to_vec_pretty(&roster)?;
    let roster = ValidRoster::try_from(roster)?;
    for (custodian, id) in &stores {
        write_custodian(custodian, id, spec, &authority, &roster_json)?;
    }
    progress("NATS, orchestrator and operator");
    write_nats(dir, spec, &authority, &roster)?;
    write_orchestrator(dir, spec, &authority, &roster_json)?;
    write_operator(dir, spec, &authority, &roster_json, &operator_id, &operator)
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
    roster: &[u8],
) -> anyhow::Result<()> {
    let files = Files::new(dir)?;
    files.write("roster.json", roster)?;
    files.write_tls(authority, &authority.client(id.as_str())?)?;
    let config = AgentConfig {
        party: id.clone(),
        roster: "roster.json".into(),
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

fn write_operator(
    dir: &Path,
    spec: &Spec,
    authority: &Authority,
    roster: &[u8],
    id: &OperatorId,
    key: &SigningKey,
) -> anyhow::Result<()> {
    let files = Files::new(&dir.join("operator"))?;
    files.write("roster.json", roster)?;
    files.write_tls(authority, &authority.client(&format!("client-{id}"))?)?;
    let passphrase = files.write_passphrase()?;
    let sealed = SealedBox::seal(
        &passphrase,
        &crate::operator::key_purpose(id),
        &key.to_bytes(),
    )?;
    files.write("operator-key.json", &serde_json::to_vec_pretty(&sealed)?)?;
    let config = ClientConfig {
        operator: id.clone(),
        endpoint: format!("https://{}:{}", spec.host, spec.api_port),
        endpoint_file: Some("endpoint".into()),
        roster: "roster.json".into(),
        key: "operator-key.json".into(),
        passphrase_file: Some("passphrase".into()),
        tls: crate::operator::ClientTls {
            ca: "tls/ca.crt".into(),
            certificate: "tls/cert.pem".into(),
            key: "tls/key.pem".into(),
        },
    };
    files.write("client.toml", toml::to_string(&config)?.as_bytes())
}
