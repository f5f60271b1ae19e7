//! AWS KMS: moto's, which really encrypts, and one that only refuses.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};

use super::moto::Moto;

pub const REGION: &str = "eu-west-1";

/// Runs a test's body in a process of its own that has AWS credentials in its environment, where the default chain looks first.
pub fn with_credentials(test: &str, body: impl FnOnce()) {
    const MARK: &str = "QUORATE_TEST_HAS_CREDENTIALS";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let ran = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(MARK, "1")
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "testing")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

impl Moto {
    /// A new key; returns its ARN.
    pub fn key(&self) -> String {
        self.run(async |client| {
            let made = client.create_key().send().await.unwrap();
            made.key_metadata.unwrap().arn.unwrap()
        })
    }

    fn run<T>(&self, work: impl AsyncFnOnce(Client) -> T) -> T {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new("testing", "testing", None, None, "test"))
            .endpoint_url(&self.endpoint)
            .http_client(http)
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work(Client::from_conf(config)))
    }
}

/// Answers every request with one of KMS's errors, in its own JSON; moto does not make them all. Returns its URL.
pub fn refusing(code: &'static str, message: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            refuse(stream.unwrap(), code, message);
        }
    });
    url
}

fn refuse(mut stream: std::net::TcpStream, code: &str, message: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
    let body = format!(r#"{{"__type":"{code}","message":"{message}"}}"#);
    write!(
        stream,
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}
