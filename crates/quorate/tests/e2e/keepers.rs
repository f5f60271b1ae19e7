//! A custodian whose store a TPM or a key at AWS KMS opens: swtpm and moto, through the command line.

#[cfg(feature = "kms")]
#[path = "../../../storage/tests/support/moto.rs"]
mod moto;
#[cfg(any(feature = "tpm", feature = "kms"))]
#[path = "../../../storage/tests/support/running.rs"]
mod running;
#[cfg(feature = "tpm")]
#[path = "../../../storage/tests/support/swtpm.rs"]
mod swtpm;

use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Ran, quorate};
#[cfg(any(feature = "tpm", feature = "kms"))]
use running::Running;

/// A custodian with a new store, and its configuration file.
struct Custodian {
    _dir: tempfile::TempDir,
    config: PathBuf,
}

impl Custodian {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cluster = dir.path().join("cluster");
        Ran::of(quorate().arg("init").arg(&cluster), Duration::from_secs(60)).ok();
        Self {
            config: cluster.join("custodians/party-1/agent.toml"),
            _dir: dir,
        }
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = quorate();
        command.arg("agent").args(args).arg("--config");
        command
            .arg(&self.config)
            .env("QUORATE_TPM_PIN", "2718")
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN");
        Ran::of(&mut command, Duration::from_secs(120))
    }

    /// Adds a protector by the command line, then lets it alone open the store. Returns the configuration without its section.
    #[cfg(any(feature = "tpm", feature = "kms"))]
    fn moves_to(&self, new: &[&str], section: &str) -> String {
        self.run(&[&["protector", "add", "--name", "new"], new].concat())
            .ok();
        let text = std::fs::read_to_string(&self.config).unwrap();
        std::fs::write(&self.config, format!("{text}\n{section}")).unwrap();
        self.run(&["protector", "remove", "--name", "first"]).ok();
        self.run(&["run", "--check-config"]).ok();
        let rotate = [&["protector", "rotate", "--name", "new"], new].concat();
        self.run(&rotate).ok();
        self.run(&["run", "--check-config"]).ok();
        text
    }
}

#[cfg(feature = "tpm")]
#[test]
fn a_tpm_opens_a_custodians_store_instead_of_the_passphrase() {
    let (_state, chip) = swtpm::Swtpm::new();
    let custodian = Custodian::new();
    let section = |tcti: &str| format!("[tpm]\ntcti = \"{tcti}\"\npin = true\n");
    let new = ["--tpm", &chip.tcti, "--pcrs", "0,7", "--tpm-pin"];
    let rest = custodian.moves_to(&new, &section(&chip.tcti));

    let (_other_state, other) = swtpm::Swtpm::new();
    std::fs::write(
        &custodian.config,
        format!("{rest}\n{}", section(&other.tcti)),
    )
    .unwrap();
    let refused = custodian.run(&["run", "--check-config"]).failed().stderr;
    assert!(refused.contains("this is not the TPM"), "{refused}");
}

#[cfg(feature = "kms")]
#[test]
fn a_kms_key_opens_a_custodians_store_instead_of_the_passphrase() {
    let moto = moto::Moto::start();
    let made = std::process::Command::new(crate::support::python())
        .arg("-c")
        .arg(format!(
            "import boto3; print(boto3.client('kms', region_name='eu-west-1', endpoint_url='{}', aws_access_key_id='t', \
             aws_secret_access_key='t').create_key()['KeyMetadata']['Arn'])",
            moto.endpoint
        ))
        .output()
        .unwrap();
    let key = String::from_utf8(made.stdout).unwrap();
    let key = key.trim();
    assert!(key.starts_with("arn:"), "no key was made");
    let custodian = Custodian::new();
    let section = format!("[kms]\nkey = \"{key}\"\nendpoint = \"{}\"\n", moto.endpoint);
    custodian.moves_to(
        &["--kms-key", key, "--kms-endpoint", &moto.endpoint],
        &section,
    );
    drop(moto);
    let refused = custodian.run(&["run", "--check-config"]).failed().stderr;
    assert!(refused.contains("KMS does not answer at"), "{refused}");
}

#[cfg(not(any(feature = "tpm", feature = "kms")))]
#[test]
fn a_build_without_them_says_how_to_rebuild() {
    let custodian = Custodian::new();
    for (what, feature) in [
        (["--tpm", "swtpm"], "tpm"),
        (["--kms-key", "alias/k"], "kms"),
    ] {
        let add = [&["protector", "add", "--name", "new"][..], &what].concat();
        let refused = custodian.run(&add);
        let said = refused.failed().stderr;
        assert!(
            said.contains(&format!("rebuild with --features {feature}")),
            "{said}"
        );
    }
}
