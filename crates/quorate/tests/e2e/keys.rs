//! Keys of every scheme, in clusters of two sizes: created, listed, used by different quorums.

use serde_json::Value;

use crate::support::{Cluster, Setup, payloads};

/// Something every scheme can sign, as arguments of `sign` and `verify`.
struct Case {
    key: &'static str,
    curve: &'static str,
    create: &'static [&'static str],
    what: Vec<String>,
}

fn cases(cluster: &Cluster) -> Vec<Case> {
    let own = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    cluster.create_key("hot", "secp256k1", &[]);
    cluster.create_key("web", "p256", &["--raw-signing"]);
    cluster.create_key("vault", "secp256k1", &["--scheme", "bip340"]);
    cluster.create_key("sol", "ed25519", &[]);

    let address = |key: &str, chain: &str, path: &str| {
        let shown = cluster.json(&["address", "--key", key, "--chain", chain, "--path", path]);
        shown["address"].as_str().unwrap().to_owned()
    };
    assert!(address("hot", "ethereum", "m/1").starts_with("0x"));
    assert_ne!(
        address("hot", "ethereum", "m/1"),
        address("hot", "ethereum", "m/2")
    );
    assert!(address("hot", "bitcoin", "m").starts_with("bc1q"));
    assert!(address("vault", "bitcoin-regtest", "m/0/7").starts_with("bcrt1p"));
    let sol = bitcoin::base58::decode(&address("sol", "solana", "m")).unwrap();

    let (spend, _) = payloads::bitcoin_spend(
        &address("vault", "bitcoin-regtest", "m/0/7"),
        &[70_000, 50_000],
    );
    let spend = cluster.write("spend.psbt", payloads::psbt_text(&spend));
    let transfer = cluster.write(
        "transfer.bin",
        payloads::solana_transfer(&sol, &[7; 32], 1000),
    );
    vec![
        Case {
            key: "hot",
            curve: "secp256k1",
            create: &[],
            what: own(&["--path", "m/1", "--chain", "ethereum", "--message", "hello"]),
        },
        Case {
            key: "web",
            curve: "p256",
            create: &["--raw-signing"],
            what: own(&["--path", "m/3", "--message", "signed as it is"]),
        },
        Case {
            key: "vault",
            curve: "secp256k1",
            create: &["--scheme", "bip340"],
            what: own(&[
                "--path",
                "m/0/7",
                "--chain",
                "bitcoin-regtest",
                "--in",
                &spend,
            ]),
        },
        Case {
            key: "sol",
            curve: "ed25519",
            create: &[],
            what: own(&["--chain", "solana", "--in", &transfer]),
        },
    ]
}

/// Signs, has `quorate verify` judge it, and returns who signed.
fn sign_and_verify(cluster: &Cluster, case: &Case) -> Vec<String> {
    let payload: Vec<&str> = ["--key", case.key]
        .into_iter()
        .chain(case.what.iter().map(String::as_str))
        .collect();
    let signed = cluster.json(&[&["sign"][..], &payload].concat());
    let mut verify = [&["verify"][..], &payload].concat();
    let signatures: Vec<&str> = signed["signatures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["bytes"].as_str().unwrap())
        .collect();
    for signature in &signatures {
        verify.extend(["--signature", signature]);
    }
    assert_eq!(cluster.json(&verify)["valid"], true);

    let mut altered = signatures[0].as_bytes().to_vec();
    altered[70] = if altered[70] == b'0' { b'1' } else { b'0' };
    let altered = String::from_utf8(altered).unwrap();
    let at = verify.iter().position(|arg| *arg == signatures[0]).unwrap();
    verify[at] = &altered;
    let problem = cluster.problem(&verify);
    assert!(
        problem["detail"].as_str().unwrap().contains("NOT good"),
        "{problem}"
    );

    signed["custodians"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap().to_owned())
        .collect()
}

/// With each of `down` in turn killed, every scheme signs, by the first t of the others.
fn every_scheme_signs_with_any_quorum(t: u16, n: u16, down: &[&[u16]]) {
    let mut cluster = Cluster::start(Setup::new(t, n).with_committee());
    let cases = cases(&cluster);
    let mut quorums = Vec::new();
    for gone in down {
        for number in *gone {
            cluster.kill(*number);
        }
        let here: Vec<String> = (1..=n)
            .filter(|p| !gone.contains(p))
            .take(t.into())
            .map(|p| format!("party-{p}"))
            .collect();
        for case in &cases {
            assert_eq!(sign_and_verify(&cluster, case), here, "{}", case.key);
        }
        for number in *gone {
            cluster.restart(*number);
        }
        quorums.push(here);
    }
    quorums.dedup();
    assert_eq!(
        quorums.len(),
        down.len(),
        "every quorum was another one: {quorums:?}"
    );
    keys_are_listed(&cluster, &cases, t, n);
    names_are_unique(&cluster, &cases);
    t23_no_secret_is_in_any_log(&cluster, n);
}

fn keys_are_listed(cluster: &Cluster, cases: &[Case], t: u16, n: u16) {
    let listed = cluster.json(&["key", "list"]);
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|k| k["record"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["hot", "sol", "vault", "web"]);
    let text = cluster.cli(&["key", "list"]).ok().stdout;
    assert_eq!(text.lines().count(), cases.len(), "{text}");
    for case in cases {
        let shown = cluster.json(&["key", "show", case.key]);
        let record = &shown["key"]["record"];
        assert_eq!(record["threshold"]["t"], t);
        assert_eq!(record["threshold"]["n"], n);
        assert_eq!(
            record["raw_signing"],
            case.create.contains(&"--raw-signing")
        );
        assert_eq!(shown["key"]["active"], true);
        assert_eq!(
            shown["attested_by"].as_array().map(Vec::len),
            Some(n.into()),
            "{shown}"
        );
        let text = cluster.cli(&["key", "show", case.key]).ok().stdout;
        assert!(
            text.contains(case.curve) && text.contains(&format!("party-{n}")),
            "{text}"
        );
    }
}

fn names_are_unique(cluster: &Cluster, cases: &[Case]) {
    for case in cases {
        let problem = cluster.problem(&["key", "create", "--curve", "ed25519", "--name", case.key]);
        assert_eq!(problem["code"], "key-name-taken", "{problem}");
    }
    assert_eq!(
        cluster.json(&["key", "list"]).as_array().map(Vec::len),
        Some(cases.len())
    );
}

/// Passphrases and key files' contents, as text and in hexadecimal, appear nowhere in what the processes wrote.
fn t23_no_secret_is_in_any_log(cluster: &Cluster, n: u16) {
    let logs = cluster.logs().to_lowercase();
    assert!(logs.contains("party-1"), "there are logs");
    let homes = (1..=n)
        .map(|p| cluster.custodian(p))
        .chain([cluster.root().join("operator")]);
    for home in homes {
        let passphrase = std::fs::read_to_string(home.join("passphrase")).unwrap();
        assert!(
            !logs.contains(passphrase.trim()),
            "the passphrase of {}",
            home.display()
        );
        let key = std::fs::read_to_string(home.join("tls/key.pem"))
            .unwrap()
            .to_lowercase();
        let line = key.lines().nth(1).unwrap();
        assert!(!logs.contains(line), "the TLS key of {}", home.display());
    }
}

#[test]
fn two_of_three_sign_with_every_scheme_whoever_of_them_is_there() {
    every_scheme_signs_with_any_quorum(2, 3, &[&[], &[1], &[2]]);
}

#[test]
fn three_of_five_sign_with_every_scheme_whoever_of_them_is_there() {
    every_scheme_signs_with_any_quorum(3, 5, &[&[1, 3], &[2, 5]]);
}

#[test]
fn too_few_custodians_sign_nothing_and_say_who_is_missing() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("sol", "ed25519", &[]);
    cluster.kill(1);
    cluster.kill(3);
    let before = std::time::Instant::now();
    let transfer = cluster.write(
        "transfer.bin",
        payloads::solana_transfer(&sol_key(&cluster), &[7; 32], 1),
    );
    let problem = cluster.problem(&[
        "sign", "--key", "sol", "--chain", "solana", "--in", &transfer,
    ]);
    assert!(
        problem["detail"].as_str().unwrap().contains("party-1"),
        "{problem}"
    );
    assert!(before.elapsed().as_secs() < 30);
    cluster.restart(1);
    cluster.json(&[
        "sign", "--key", "sol", "--chain", "solana", "--in", &transfer,
    ]);
}

fn sol_key(cluster: &Cluster) -> Vec<u8> {
    let shown: Value = cluster.json(&["address", "--key", "sol", "--chain", "solana"]);
    bitcoin::base58::decode(shown["address"].as_str().unwrap()).unwrap()
}
