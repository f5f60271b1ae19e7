//! Wrong input: each kind is refused with a text that says what is wrong, and changes nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::Amount;
use serde_json::Value;

use crate::support::{Cluster, Ran, Setup, payloads, quorate};

const LIMIT: Duration = Duration::from_secs(60);

fn check_config(cluster: &Cluster, number: u16) -> Ran {
    let config = cluster.custodian(number).join("agent.toml");
    let mut command = quorate();
    command
        .args(["agent", "run", "--check-config", "--config"])
        .arg(config);
    Ran::of(&mut command, LIMIT)
}

/// The error of a `sign` that must fail; nobody is asked to sign.
#[track_caller]
fn sign_fails(cluster: &Cluster, key: &str, chain: &str, content: &[u8]) -> String {
    let file = cluster.write("bad", content);
    let problem = cluster.problem(&["sign", "--key", key, "--chain", chain, "--in", &file]);
    problem["detail"].as_str().unwrap().to_owned()
}

#[test]
fn t20_transactions_that_are_not_exactly_one_canonical_transaction_are_refused() {
    let cluster = Cluster::start(Setup::new(2, 3).with_committee());
    cluster.create_key("hot", "secp256k1", &[]);
    cluster.create_key("sol", "ed25519", &[]);
    let evm = "ethereum:31337";
    let refused = |key, chain, content: &[u8], expected: &str| {
        let detail = sign_fails(&cluster, key, chain, content);
        assert!(
            detail.contains(expected),
            "{expected:?} is not in {detail:?}"
        );
    };

    // EIP-1559 by hand: chain id 31337, nonce 0, tip, cap, gas, to, value 1, no data, no access list.
    let rlp = |value: &str| {
        let fields =
            format!("827a69800101825208 94{} {value}80c0", "70".repeat(20)).replace(' ', "");
        format!("02{:02x}{fields}", 0xc0 + fields.len() / 2)
    };
    let good = rlp("01");
    let signed = cluster.write("good", &good);
    cluster.json(&["sign", "--key", "hot", "--chain", evm, "--in", &signed]);
    refused("hot", evm, format!("{good}00").as_bytes(), "after its end");
    refused("hot", evm, &good.as_bytes()[..good.len() - 2], "not");
    refused("hot", evm, rlp("8101").as_bytes(), "anonical");
    refused("hot", evm, rlp("820001").as_bytes(), "anonical");
    refused("hot", "ethereum", good.as_bytes(), "31337");
    refused(
        "hot",
        evm,
        format!("03{}", &good[2..]).as_bytes(),
        "EIP-4844",
    );
    refused(
        "hot",
        evm,
        format!("04{}", &good[2..]).as_bytes(),
        "EIP-7702",
    );
    refused(
        "hot",
        evm,
        b"{\"chainId\":31337,\"nonce\":0,\"gas\":21000,\"gasPrice\":1,\"colour\":1}",
        "colour",
    );
    refused("hot", evm, b"", "empty");
    refused("sol", evm, good.as_bytes(), "ed25519");
    refused("hot", "solana", b"AQAB", "solana");

    let shown = cluster.json(&["address", "--key", "hot", "--chain", "bitcoin-regtest"]);
    let (psbt, _) = payloads::bitcoin_spend(shown["address"].as_str().unwrap(), &[50_000]);
    let regtest = "bitcoin-regtest";
    refused("hot", regtest, &[psbt.serialize(), vec![0]].concat(), "");
    refused("hot", regtest, &psbt.serialize()[..60], "");
    // T31: the same bytes with another label.
    for other in ["bitcoin", "bitcoin-testnet"] {
        let why = "the policy's Bitcoin network is bitcoin-regtest";
        refused("hot", other, &psbt.serialize(), why);
    }
    let mut more_out = psbt.clone();
    more_out.unsigned_tx.output[0].value += Amount::ONE_BTC;
    refused("hot", regtest, &more_out.serialize(), "exceed the inputs");
    let mut other_amount = psbt.clone();
    other_amount.inputs[0].witness_utxo.as_mut().unwrap().value -= Amount::ONE_SAT;
    refused("hot", regtest, &other_amount.serialize(), "");
    let detail = {
        let file = cluster.write("bad", payloads::psbt_text(&psbt));
        let args = [
            "sign", "--key", "hot", "--path", "m/1", "--chain", regtest, "--in", &file,
        ];
        cluster.problem(&args)["detail"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(
        detail.contains("input 0"),
        "another child's money: {detail}"
    );

    let sol = cluster.json(&["address", "--key", "sol", "--chain", "solana"]);
    let sol = bitcoin::base58::decode(sol["address"].as_str().unwrap()).unwrap();
    let transfer = payloads::solana_transfer(&sol, &[7; 32], 1);
    refused(
        "sol",
        "solana",
        &[transfer.as_slice(), &[0]].concat(),
        "after its end",
    );
    refused("sol", "solana", &transfer[..transfer.len() - 3], "");
    // The number of keys written in two bytes instead of one.
    let padded = [&transfer[..3], &[0x83, 0x00], &transfer[4..]].concat();
    refused("sol", "solana", STANDARD.encode(padded).as_bytes(), "");

    let file = cluster.write("good-transfer", &transfer);
    cluster.json(&["sign", "--key", "sol", "--chain", "solana", "--in", &file]);
}

#[test]
fn wrong_names_paths_and_choices_are_refused_by_name() {
    let cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("sol", "ed25519", &[]);
    let detail = |args: &[&str]| cluster.problem(args)["detail"].as_str().unwrap().to_owned();
    let unknown = detail(&["address", "--key", "nothing", "--chain", "solana"]);
    assert!(
        unknown.contains("no key named nothing") && unknown.contains("quorate key list"),
        "{unknown}"
    );
    let unknown = detail(&[
        "sign",
        "--key",
        "nothing",
        "--chain",
        "ethereum",
        "--message",
        "x",
    ]);
    assert!(unknown.contains("no key named nothing"), "{unknown}");
    let raw = detail(&["sign", "--key", "sol", "--message", "x"]);
    assert!(raw.contains("may not sign raw bytes"), "{raw}");
    let scheme = detail(&[
        "key", "create", "--curve", "p256", "--scheme", "bip340", "--name", "x",
    ]);
    assert!(scheme.contains("p256 has no scheme bip340"), "{scheme}");
    let missing = detail(&[
        "sign",
        "--key",
        "sol",
        "--chain",
        "solana",
        "--in",
        "/nowhere/tx",
    ]);
    assert!(missing.contains("cannot read /nowhere/tx"), "{missing}");
    let ecdsa = {
        cluster.create_key("hot", "secp256k1", &[]);
        cluster.problem(&[
            "sign",
            "--key",
            "hot",
            "--chain",
            "ethereum",
            "--message",
            "x",
        ])
    };
    assert_eq!(ecdsa["code"], "committee-not-set-up", "{ecdsa}");
    let text = cluster
        .cli(&[
            "sign",
            "--key",
            "hot",
            "--chain",
            "ethereum",
            "--message",
            "x",
        ])
        .failed();
    assert!(
        text.stderr
            .contains("hint:  Run `quorate committee setup` once"),
        "{}",
        text.stderr
    );
    // What the command line itself refuses ends with 2.
    for args in [
        &["address", "--key", "sol", "--chain", "dogecoin"][..],
        &[
            "address", "--key", "sol", "--chain", "solana", "--path", "m/0'",
        ],
        &["key", "create", "--curve", "secp256r1", "--name", "x"],
        &["key", "create", "--curve", "p256", "--name", "Not A Name"],
    ] {
        let ran = cluster.cli(args);
        assert_eq!(ran.code, Some(2), "{ran:#?}");
    }
    assert_eq!(
        cluster.json(&["key", "list"]).as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn thresholds_out_of_range_make_no_cluster() {
    let dir = tempfile::tempdir().unwrap();
    for (t, n) in [("4", "3"), ("0", "3"), ("1", "3"), ("2", "1"), ("9", "16")] {
        let target = dir.path().join(format!("{t}-{n}"));
        let mut command = quorate();
        command
            .args(["init", "--threshold", t, "--parties", n])
            .arg(&target);
        let ran = Ran::of(&mut command, LIMIT).failed();
        assert!(ran.stderr.starts_with("error: "), "{ran:#?}");
        assert!(!target.exists(), "{t} of {n}");
    }
}

#[test]
fn a_directory_that_holds_something_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "data").unwrap();
    let mut command = quorate();
    command.arg("init").arg(dir.path());
    let ran = Ran::of(&mut command, LIMIT).failed();
    assert!(ran.stderr.contains("exists and is not empty"), "{ran:#?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn in_json(text: String, change: impl FnOnce(&mut Value)) -> String {
    let mut json = serde_json::from_str(&text).unwrap();
    change(&mut json);
    json.to_string()
}

/// What a test does to a file.
type Change<'a> = (&'a str, &'a dyn Fn(String) -> String, &'a str);

#[test]
fn t24_an_agent_with_a_wrong_file_does_not_start_and_says_which_and_why() {
    let cluster = Cluster::start(Setup::new(2, 3));
    let mut cluster = cluster;
    cluster.stop();
    assert!(check_config(&cluster, 1).ok().stdout.contains("are good"));
    let twice = |text| in_json(text, |json| json["parties"][1] = json["parties"][0].clone());
    let fewer = |text| {
        in_json(text, |json| {
            drop(json["parties"].as_array_mut().unwrap().pop())
        })
    };
    let strange = |text| in_json(text, |json| json["colour"] = Value::from("blue"));
    let other_key = |text| {
        in_json(text, |json| {
            json["parties"][0]["channel"] = Value::from("ab".repeat(32))
        })
    };
    let changes: [Change<'_>; 9] = [
        ("roster.json", &twice, "party party-1 twice"),
        (
            "roster.json",
            &fewer,
            "3 parties in its threshold but lists 2",
        ),
        ("roster.json", &strange, "unknown field `colour`"),
        (
            "roster.json",
            &other_key,
            "are not those the roster has for party-1",
        ),
        (
            "agent.toml",
            &|text| format!("colour = \"blue\"\n{text}"),
            "unknown field `colour`",
        ),
        (
            "agent.toml",
            &|text| text.replace("party-1", "party-2"),
            "party-2",
        ),
        (
            "agent.toml",
            &|text| text.replace("tls://", "nats://"),
            "plain connections are not used",
        ),
        (
            "agent.toml",
            &|text| text.replace("sign = ", "sign = 9999"),
            "between 1 and 3600",
        ),
        ("passphrase", &|_| "wrong".to_owned(), "wrong passphrase"),
    ];
    let home = cluster.custodian(1);
    for (file, change, expected) in changes {
        let path = home.join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(before.clone())).unwrap();
        let ran = check_config(&cluster, 1).failed();
        assert!(
            ran.stderr.contains(expected),
            "{file}, {expected:?}: {ran:#?}"
        );
        std::fs::write(&path, before).unwrap();
    }
    // Another custodian's sealed files do not open here, nor do damaged ones.
    let identity = |number: u16| {
        let store = cluster.custodian(number).join("data/store");
        let files = std::fs::read_dir(store)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let found = files
            .into_iter()
            .find(|path| path.to_str().unwrap().contains("identity-"));
        found.unwrap()
    };
    let (own, foreign) = (identity(1), identity(2));
    let before = std::fs::read(&own).unwrap();
    let mut flipped = before.clone();
    flipped[40] ^= 1;
    for bad in [
        std::fs::read(foreign).unwrap(),
        flipped,
        before[..20].to_vec(),
        Vec::new(),
    ] {
        std::fs::write(&own, bad).unwrap();
        let ran = check_config(&cluster, 1).failed();
        assert!(
            ran.stderr
                .contains("does not open: it is damaged, or belongs to another party"),
            "{ran:#?}"
        );
    }
    std::fs::write(&own, before).unwrap();
    check_config(&cluster, 1).ok();
}

#[test]
fn an_operator_whose_key_or_roster_is_wrong_gets_nothing_signed() {
    let cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("sol", "ed25519", &[]);
    let home = cluster.root().join("operator");
    let create = ["key", "create", "--curve", "ed25519", "--name", "second"];
    let with = |file: &str, content: &[u8]| {
        let path = home.join(file);
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, content).unwrap();
        let problem = cluster.problem(&create);
        std::fs::write(&path, before).unwrap();
        problem["detail"].as_str().unwrap().to_owned()
    };
    let detail = with("passphrase", b"wrong");
    assert!(
        detail.contains("wrong passphrase for key of operator operator"),
        "{detail}"
    );
    let roster = std::fs::read_to_string(home.join("roster.json")).unwrap();
    let detail = with(
        "roster.json",
        roster.replace("\"quorate\"", "\"other\"").as_bytes(),
    );
    assert!(detail.contains("roster"), "{detail}");
    let config = std::fs::read_to_string(home.join("client.toml")).unwrap();
    let detail = with("client.toml", format!("colour = 1\n{config}").as_bytes());
    assert!(detail.contains("unknown field `colour`"), "{detail}");
    let detail = with("endpoint", b"https://127.0.0.1:1");
    assert!(
        detail.contains("cannot reach the orchestrator at https://127.0.0.1:1"),
        "{detail}"
    );

    // Another cluster's operator: its key is good, but not here.
    let stranger = tempfile::tempdir().unwrap();
    let mut init = quorate();
    init.arg("init").arg(stranger.path().join("c"));
    Ran::of(&mut init, LIMIT).ok();
    let other = stranger.path().join("c/operator");
    for file in ["key.json", "passphrase"] {
        std::fs::copy(other.join(file), home.join(file)).unwrap();
    }
    let problem = cluster.problem(&create);
    assert_eq!(problem["code"], "operator-signature", "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("is not operator operator's"),
        "{problem}"
    );
    assert_eq!(
        cluster.json(&["key", "list"]).as_array().map(Vec::len),
        Some(1)
    );
}
