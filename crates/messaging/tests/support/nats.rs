//! A real `nats-server` on a loopback port, with its own certificate authority.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_messaging::permissions::{MAX_MESSAGE, certificate_uri};
use quorate_messaging::{
    NatsOptions, NatsServerSpec, NatsTransport, TransportError, nats_server_config,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use tempfile::TempDir;

use super::party;

/// A user of the test's server with all permissions, standing for whoever runs the network.
pub const WIRETAP: &str = "wiretap";

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes `<name>.pem` and `<name>.key`.
    fn issue(&self, dir: &Path, name: &str, sans: Vec<SanType>) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = sans;
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let paths = (
            dir.join(format!("{name}.pem")),
            dir.join(format!("{name}.key")),
        );
        std::fs::write(&paths.0, cert.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    pub fn issue_client(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let uri = SanType::URI(certificate_uri(name).try_into().unwrap());
        self.issue(dir, name, vec![uri])
    }
}

pub struct Server {
    pub dir: TempDir,
    pub authority: Authority,
    pub port: u16,
    process: Child,
}

/// `QUORATE_NATS_SERVER`, then PATH, then `.venv/bin` of the workspace.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("QUORATE_NATS_SERVER") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin");
    std::env::split_paths(&path)
        .chain([venv])
        .map(|dir| dir.join("nats-server"))
        .find(|file| file.is_file())
        .expect("nats-server is missing: run `make tools` (or set QUORATE_NATS_SERVER to its path)")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(dir: &Path, port: u16) -> Child {
    let log = std::fs::File::create(dir.join("server.log")).unwrap();
    let child = Command::new(binary())
        .arg("-c")
        .arg(dir.join("nats.conf"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        let log = std::fs::read_to_string(dir.join("server.log")).unwrap();
        assert!(
            Instant::now() < deadline,
            "nats-server does not listen:\n{log}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

impl Server {
    pub fn start(parties: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, &authority.pem).unwrap();
        let sans = vec![
            SanType::DnsName("localhost".try_into().unwrap()),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        let (cert_file, key_file) = authority.issue(dir.path(), "server", sans);
        let port = free_port();
        let config = nats_server_config(&NatsServerSpec {
            listen: format!("127.0.0.1:{port}"),
            cert_file,
            key_file,
            ca_file,
            parties: (1..=parties).map(party).collect(),
            orchestrators: vec!["orchestrator".into()],
            max_payload: MAX_MESSAGE,
        });
        let wiretap = format!("users: [\n{{ user: \"{}\" }}\n", certificate_uri(WIRETAP));
        let config = config.replace("users: [\n", &wiretap);
        std::fs::write(dir.path().join("nats.conf"), config).unwrap();
        let process = spawn(dir.path(), port);
        Self {
            dir,
            authority,
            port,
            process,
        }
    }

    pub fn stop(&mut self) {
        // The process was started here; only it is ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn start_again(&mut self) {
        self.process = spawn(self.dir.path(), self.port);
    }

    pub fn options(&self, user: &str, cert: &Path, key: &Path) -> NatsOptions {
        let server = format!("tls://127.0.0.1:{}", self.port);
        NatsOptions::new(&server, user, &self.dir.path().join("ca.pem"), cert, key)
    }

    /// Connects with a certificate of the server's own authority.
    pub async fn connect(&self, user: &str) -> Result<Arc<NatsTransport>, TransportError> {
        let (cert, key) = self.authority.issue_client(self.dir.path(), user);
        NatsTransport::connect(self.options(user, &cert, &key)).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
