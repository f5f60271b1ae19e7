//! T14 and T27: who is let in by the NATS server and by the API, and what a party that is let in can do to others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use quorate_messaging::envelope::{Header, SealedPayload};
use quorate_messaging::permissions::certificate_uri;
use quorate_messaging::{
    NatsOptions, NatsTransport, PartyKeys, Subject, Transport, TransportError,
};
use quorate_service::now_ms;
use quorate_types::{
    Action, CeremonyKind, DerivationPath, Intent, KeyRecord, Network, Payload, Recipient, SessionId,
};
use rand_core::OsRng;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use reqwest::{Certificate, Identity};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::cluster::{party, tls};
use crate::support::hostile::{Hostile, begin, options, signatures};
use crate::support::{Cluster, Setup, payloads, wait_for};

/// Certificates for `name` and its key under an authority, as files `<label>.crt` and `<label>.key`.
fn certificate(
    dir: &Path,
    label: &str,
    authority: &Issuer<'_, KeyPair>,
    name: &str,
) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::URI(certificate_uri(name).try_into().unwrap())];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let files = (
        dir.join(format!("{label}.crt")),
        dir.join(format!("{label}.key")),
    );
    std::fs::write(&files.0, certificate.pem()).unwrap();
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    files
}

fn authority(key: KeyPair) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Quorate CA of quorate");
    Issuer::new(params, key)
}

/// The cluster's own authority: its key is in the provisioned directory.
fn cluster_authority(cluster: &Cluster) -> Issuer<'static, KeyPair> {
    let pem = std::fs::read_to_string(cluster.root().join("ca/ca.key")).unwrap();
    authority(KeyPair::from_pem(&pem).unwrap())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn t14_the_nats_server_admits_only_users_it_knows_with_certificates_of_the_clusters_authority() {
    let cluster = Cluster::start(Setup::new(2, 3));
    let runtime = runtime();
    let dir = cluster.file("");
    let own = authority(KeyPair::generate().unwrap());
    let ours = cluster_authority(&cluster);
    let ca = tls(&cluster.root(), "party-1").join("ca.crt");
    let connect = |(cert, key): (PathBuf, PathBuf), user: &str| {
        let options = NatsOptions::new(&cluster.nats_url(), user, &ca, &cert, &key);
        runtime.block_on(NatsTransport::connect(options))
    };
    let self_made = connect(certificate(&dir, "self-made", &own, "party-1"), "party-1");
    assert!(
        matches!(self_made, Err(TransportError::Refused { .. })),
        "{self_made:?}"
    );
    let nobody = connect(certificate(&dir, "nobody", &ours, "party-9"), "party-9");
    assert!(
        matches!(nobody, Err(TransportError::Refused { .. })),
        "{nobody:?}"
    );
    // An operator may use the API, not NATS.
    let client = connect(
        certificate(&dir, "client", &ours, "client-operator"),
        "client-operator",
    );
    assert!(
        matches!(client, Err(TransportError::Refused { .. })),
        "{client:?}"
    );
    // The test's certificates are good: one for a party that exists is let in.
    connect(certificate(&dir, "known", &ours, "party-1"), "party-1").unwrap();
}

#[test]
fn t14_the_nats_server_lets_a_party_speak_and_hear_only_as_itself() {
    let cluster = Cluster::start(Setup::new(2, 3));
    let runtime = runtime();
    let transport = runtime
        .block_on(NatsTransport::connect(options(&cluster, "party-1")))
        .unwrap();
    let session = SessionId::from_bytes([7; 32]);
    let (kind, other) = (CeremonyKind::Sign, party(2));
    let forbidden = [
        Subject::Broadcast {
            kind,
            session,
            sender: other.clone(),
        },
        Subject::Direct {
            kind,
            session,
            recipient: party(3),
            sender: other.clone(),
        },
        Subject::Control {
            kind,
            session,
            sender: other.clone(),
        },
        Subject::Link {
            recipient: party(3),
            sender: other.clone(),
        },
        Subject::Presence(other),
        Subject::Node(party(3)),
    ];
    for (count, subject) in (1..).zip(forbidden) {
        runtime
            .block_on(transport.publish(subject.to_string(), Bytes::from_static(b"x")))
            .unwrap();
        refused_so_far(&transport, count, &subject.to_string());
    }
    let before = transport.violations();
    for (count, pattern) in
        (before + 1..).zip([">", "mpc.>", "mpc.node.party-2", "_INBOX_orchestrator.>"])
    {
        // Whether the call itself fails depends on when the server's refusal arrives.
        drop(runtime.block_on(transport.subscribe(pattern.to_owned())));
        refused_so_far(&transport, count, pattern);
    }
    let own = Subject::Broadcast {
        kind,
        session,
        sender: party(1),
    };
    let before = transport.violations();
    runtime
        .block_on(transport.publish(own.to_string(), Bytes::from_static(b"x")))
        .unwrap();
    runtime.block_on(transport.sync()).unwrap();
    assert_eq!(transport.violations(), before, "under its own name it may");

    // The orchestrator commands agents and hears no session.
    let transport = runtime
        .block_on(NatsTransport::connect(options(&cluster, "orchestrator")))
        .unwrap();
    drop(runtime.block_on(transport.subscribe("mpc.*.*.broadcast.*".to_owned())));
    refused_so_far(&transport, 1, "a session's broadcasts");
    let sender = party(1);
    let subject = Subject::Control {
        kind,
        session,
        sender,
    }
    .to_string();
    runtime
        .block_on(transport.publish(subject, Bytes::from_static(b"x")))
        .unwrap();
    refused_so_far(&transport, 2, "a session's control");
}

fn refused_so_far(transport: &NatsTransport, count: u64, what: &str) {
    wait_for(what, Duration::from_secs(10), || {
        (transport.violations() >= count).then_some(())
    });
}

#[test]
fn t14_forged_envelopes_from_an_insiders_nats_user_are_refused_and_the_session_finishes() {
    let cluster = Cluster::start(Setup::new(2, 3));
    let hostile = Hostile::new(&cluster);
    let listing = cluster.create_key("sol", "ed25519", &[]);
    let record: KeyRecord = serde_json::from_value(listing["record"].clone()).unwrap();
    let intent = hostile.signed(Action::Sign {
        key: record.id,
        path: DerivationPath::root(),
        network: Some(Network::Solana),
        payload: Payload::SolanaMessage(payloads::solana_transfer(
            record.public_key.as_bytes(),
            &[7; 32],
            5,
        )),
        purpose: String::new(),
    });
    let quorum = [1, 2];
    let nonces = hostile.nonces(&intent, 0, &quorum);
    let kind = CeremonyKind::Sign;
    let session = hostile
        .session(kind, intent.intent.hash(), record.id, &quorum, &nonces)
        .session_id();

    // party-3 knows the session and may publish under its own name, but has no part in it and no one else's keys.
    let insider = hostile
        .runtime
        .block_on(NatsTransport::connect(options(&cluster, "party-3")))
        .unwrap();
    let stranger = PartyKeys::generate(&mut OsRng);
    let envelope = |sender: u16| {
        let header = Header {
            session,
            kind,
            round: 1,
            sender: party(sender),
            recipient: Recipient::Everyone,
            sequence: 0,
            timestamp: now_ms(),
        };
        SealedPayload::seal(header, b"forged", &mut OsRng)
            .unwrap()
            .envelope(&stranger, &[])
            .unwrap()
    };
    let sender = party(3);
    let to_all = Subject::Broadcast {
        kind,
        session,
        sender: sender.clone(),
    };
    let to_first = Subject::Direct {
        kind,
        session,
        recipient: party(1),
        sender: sender.clone(),
    };
    let control = Subject::Control {
        kind,
        session,
        sender,
    };
    let inject = || {
        for (subject, payload) in [
            (&to_all, envelope(2)),
            (&to_all, envelope(3)),
            (&to_first, envelope(2)),
            (
                &to_first,
                Bytes::from_static(b"\xff\xff\xff not an envelope"),
            ),
            (&control, envelope(2)),
        ] {
            hostile
                .runtime
                .block_on(insider.publish(subject.to_string(), payload))
                .unwrap();
        }
        hostile.runtime.block_on(insider.sync()).unwrap();
    };
    inject();
    let start = begin(&intent, 0, &nonces);
    // One of them runs already and waits for the other when the second wave arrives.
    hostile.send(1, &start);
    wait_for("party-1 runs", Duration::from_secs(30), || {
        (hostile.status(1).running == 1).then_some(())
    });
    inject();
    for reply in hostile.finish(&start, &quorum) {
        signatures(reply);
    }
    wait_for(
        "party-1 has refused something",
        Duration::from_secs(10),
        || cluster.agent(1).log().contains("refused").then_some(()),
    );
    assert_eq!(
        insider.violations(),
        0,
        "the server had no reason to refuse"
    );
}

/// An HTTPS client that trusts the cluster's authority, with a certificate of its own or none.
fn client(cluster: &Cluster, identity: Option<(PathBuf, PathBuf)>) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = std::fs::read(tls(&cluster.root(), "operator").join("ca.crt")).unwrap();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([Certificate::from_pem(&ca).unwrap()]);
    if let Some((cert, key)) = identity {
        let pem = [std::fs::read(cert).unwrap(), std::fs::read(key).unwrap()].concat();
        builder = builder.identity(Identity::from_pem(&pem).unwrap());
    }
    builder.build().unwrap()
}

/// The operator's own client.
pub fn operator(cluster: &Cluster) -> reqwest::Client {
    let tls = tls(&cluster.root(), "operator");
    client(cluster, Some((tls.join("cert.pem"), tls.join("key.pem"))))
}

/// Status, content type, and body.
fn answer(
    runtime: &Runtime,
    request: reqwest::RequestBuilder,
) -> Result<(u16, String, Value), reqwest::Error> {
    runtime.block_on(async {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let kind = response
            .headers()
            .get("content-type")
            .map(|v| v.to_str().unwrap().to_owned());
        let body = response.bytes().await?;
        Ok((
            status,
            kind.unwrap_or_default(),
            serde_json::from_slice(&body).unwrap_or(Value::Null),
        ))
    })
}

/// Posts bytes as an intent, as the operator.
pub fn post_intent(cluster: &Cluster, endpoint: &str, bytes: &[u8]) -> (u16, Value) {
    let request = operator(cluster)
        .post(format!("{endpoint}/v1/intents"))
        .body(bytes.to_vec());
    let (status, _, body) = answer(&runtime(), request).unwrap();
    (status, body)
}

#[test]
fn t27_the_api_refuses_clients_without_a_certificate_of_the_clusters_authority() {
    let cluster = Cluster::start(Setup::new(2, 3));
    let runtime = runtime();
    let dir = cluster.file("");
    let status = format!("{}/v1/status", cluster.endpoint());
    let own = authority(KeyPair::generate().unwrap());
    for identity in [
        None,
        Some(certificate(&dir, "self-made", &own, "client-operator")),
    ] {
        let refused = answer(&runtime, client(&cluster, identity).get(&status));
        assert!(refused.is_err(), "{refused:?}");
    }
    let plain = answer(
        &runtime,
        operator(&cluster).get(status.replace("https:", "http:")),
    );
    assert!(plain.is_err(), "{plain:?}");
    assert_eq!(
        answer(&runtime, operator(&cluster).get(&status)).unwrap().0,
        200
    );
}

#[test]
fn t27_whatever_the_api_cannot_use_is_a_problem_document_and_nothing_happens() {
    let cluster = Cluster::start(Setup::new(2, 3));
    let runtime = runtime();
    let client = operator(&cluster);
    let url = |path: &str| format!("{}{path}", cluster.endpoint());
    let hash = "00".repeat(32);
    for (expected, request) in [
        (404, client.get(url("/v1/nothing"))),
        (404, client.get(url(&format!("/v1/intents/{hash}")))),
        (400, client.get(url("/v1/intents/xyz"))),
        (
            400,
            client.get(url(&format!("/v1/intents/{hash}?wait_ms=soon"))),
        ),
        (
            400,
            client.get(url(&format!("/v1/intents/{hash}?colour=blue"))),
        ),
        (405, client.delete(url("/v1/keys"))),
        (400, client.post(url("/v1/intents")).body("not an intent")),
        (400, client.post(url("/v1/intents"))),
    ] {
        let asked = format!("{request:?}");
        let (status, kind, body) = answer(&runtime, request).unwrap();
        assert_eq!(status, expected, "{asked}");
        assert_eq!(kind, "application/problem+json", "{asked}");
        assert_eq!(body["status"], expected, "{asked}: {body}");
        assert!(
            body["code"].is_string() && body["detail"].is_string(),
            "{asked}: {body}"
        );
    }
    // The API answers before it has read all of a body that is too long, and then closes; the client may notice either first.
    let long = client
        .post(url("/v1/intents"))
        .body(vec![0u8; Intent::MAX_LEN + 1]);
    match answer(&runtime, long) {
        Ok((status, kind, _)) => {
            assert_eq!((status, kind.as_str()), (413, "application/problem+json"));
        }
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    let hostile = Hostile::new(&cluster);
    for number in [1, 2, 3] {
        assert_eq!(hostile.status(number).running, 0);
    }
    assert_eq!(cluster.json(&["key", "list"]), Value::Array(Vec::new()));
}
