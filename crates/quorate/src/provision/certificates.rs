//! The cluster's private certificate authority. Party and client certificates name their user in a URI, which is what the
//! NATS server maps to permissions.

use anyhow::Context as _;
use quorate_messaging::permissions::certificate_uri;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate authority and its key.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
    key_pem: String,
}

/// A certificate under the authority, and its key, both PEM.
pub struct Leaf {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key.
    pub key_pem: String,
}

impl Authority {
    /// A new authority with an ECDSA P-256 key.
    pub fn create(cluster: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let key_pem = key.serialize_pem();
        let mut params = named(&format!("Quorate CA of {cluster}"))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
            key_pem,
        })
    }

    /// The authority's certificate.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The authority's key: whoever has it can admit anyone to NATS and the API.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A client certificate for the user `name`.
    pub fn client(&self, name: &str) -> anyhow::Result<Leaf> {
        let mut params = named(name)?;
        params.subject_alt_names = vec![uri(name)?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// A certificate for a server on `host` and this machine that is also the user `name`.
    pub fn server(&self, name: &str, host: &str) -> anyhow::Result<Leaf> {
        let mut params = named(name)?;
        let mut names = vec![uri(name)?];
        for host in std::collections::BTreeSet::from([host, "localhost", "127.0.0.1"]) {
            names.push(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.try_into().context("the host name")?),
            });
        }
        params.subject_alt_names = names;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> anyhow::Result<Leaf> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

fn named(name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn uri(name: &str) -> anyhow::Result<SanType> {
    Ok(SanType::URI(certificate_uri(name).try_into()?))
}
