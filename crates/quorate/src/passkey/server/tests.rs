//! Requests as browsers, other sites' pages and other programs make them.

use quorate_types::Assertion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::passkey::{Display, approval, registration};

const LONG: Duration = Duration::from_secs(60);

/// A relying party with a port that is free now.
async fn party() -> (RelyingParty, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let party = RelyingParty {
        id: "localhost".to_owned(),
        origins: vec![format!("http://localhost:{port}")],
    };
    (party, port)
}

struct Served<T> {
    port: u16,
    path: String,
    answer: tokio::task::JoinHandle<anyhow::Result<T>>,
}

impl<T: Send + 'static> Served<T> {
    fn of(page: Page<T>, port: u16, limit: Duration) -> Self {
        let path = page.url().strip_prefix(&format!("http://localhost:{port}"));
        Self {
            port,
            path: path.unwrap().to_owned(),
            answer: tokio::spawn(page.answer(limit)),
        }
    }

    fn host(&self) -> String {
        format!("Host: localhost:{}\r\n", self.port)
    }

    fn origin(&self) -> String {
        format!("Origin: http://localhost:{}\r\n", self.port)
    }

    /// One request with these header lines; status and everything.
    async fn request(&self, line: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let len = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        (status, response)
    }

    async fn fetch(&self, file: &str) -> (u16, String) {
        let line = format!("GET {}{file}", self.path);
        self.request(&line, &self.host(), "").await
    }

    async fn post(&self, headers: &str, body: &str) -> (u16, String) {
        let line = format!("POST {}answer", self.path);
        self.request(&line, headers, body).await
    }
}

async fn approving() -> Served<Assertion> {
    let (party, port) = party().await;
    let display = Display {
        cluster: "main".to_owned(),
        lines: vec!["pay <b>1</b> BTC".to_owned()],
    };
    let page = approval(&party, &[vec![1, 2]], &[7; 32], &display).await;
    Served::of(page.unwrap(), port, LONG)
}

fn assertion(credential_id: &[u8]) -> (Assertion, String) {
    let assertion = Assertion {
        credential_id: credential_id.to_vec(),
        authenticator_data: vec![3],
        client_data_json: "{}".to_owned(),
        signature: vec![4],
    };
    let json = serde_json::to_string(&assertion).unwrap();
    (assertion, json)
}

#[tokio::test]
async fn an_answer_is_taken_once() {
    let served = approving().await;
    let (expected, json) = assertion(&[1, 2]);
    let headers = served.host() + &served.origin();
    assert_eq!(served.post(&headers, &json).await.0, 204);
    assert_eq!(served.answer.await.unwrap().unwrap(), expected);
    let gone = TcpStream::connect(("127.0.0.1", served.port)).await;
    assert!(gone.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn the_page_is_confined_and_told_what_to_show() {
    let served = approving().await;
    for (file, kind) in [
        ("", "text/html"),
        ("page.css", "text/css"),
        ("page.js", "text/javascript"),
        ("ask", "application/json"),
    ] {
        let (status, response) = served.fetch(file).await;
        assert_eq!(status, 200, "{file}");
        assert!(response.contains(&format!("content-type: {kind}")));
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; ",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(response.contains(header), "{response}");
        }
    }
    let (_, response) = served.fetch("ask").await;
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    let ask: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({
        "kind": "approve", "rp_id": "localhost", "challenge": "07".repeat(32), "cluster": "main",
        "lines": ["pay <b>1</b> BTC"], "credentials": ["0102"],
    });
    assert_eq!(ask, expected);
    served.answer.abort();
}

#[tokio::test]
async fn other_hosts_origins_paths_and_methods_are_refused() {
    let served = approving().await;
    let (_, json) = assertion(&[1, 2]);
    let (host, origin, port) = (served.host(), served.origin(), served.port);
    for other in [
        "Host: evil.example\r\n".to_owned(),
        format!("Host: evil.example:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}\r\n"),
        "Host: localhost\r\n".to_owned(),
    ] {
        assert_eq!(served.post(&format!("{other}{origin}"), &json).await.0, 421);
        let line = format!("GET {}ask", served.path);
        let (status, response) = served.request(&line, &other, "").await;
        assert_eq!(status, 421);
        assert!(!response.contains("BTC"));
    }
    for other in [
        String::new(),
        "Origin: null\r\n".to_owned(),
        "Origin: https://evil.example\r\n".to_owned(),
        format!("Origin: http://localhost:{}\r\n", port ^ 1),
        format!("{origin}Origin: https://evil.example\r\n"),
    ] {
        let (status, _) = served.post(&format!("{host}{other}"), &json).await;
        assert_eq!(status, 403, "{other}");
    }
    let headers = format!("{host}{origin}");
    for (line, status) in [
        ("GET /".to_owned(), 404),
        ("GET /ask".to_owned(), 404),
        (format!("GET /{}/ask", "0".repeat(32)), 404),
        (format!("POST /{}/answer", "0".repeat(32)), 404),
        (format!("GET {}answer", served.path), 405),
        (format!("POST {}ask", served.path), 405),
    ] {
        assert_eq!(
            served.request(&line, &headers, &json).await.0,
            status,
            "{line}"
        );
    }
    assert!(!served.answer.is_finished());
    served.answer.abort();
}

#[tokio::test]
async fn a_bad_answer_is_explained_and_may_be_repeated() {
    let served = approving().await;
    let headers = served.host() + &served.origin();
    let (_, stranger) = assertion(&[9]);
    let (status, said) = served.post(&headers, &stranger).await;
    assert_eq!(status, 422);
    assert!(said.contains("not one of the approver's"), "{said}");
    assert_eq!(served.post(&headers, "{}").await.0, 422);
    assert_eq!(
        served.post(&headers, &" ".repeat(MAX_ANSWER + 1)).await.0,
        413
    );
    let (_, json) = assertion(&[1, 2]);
    assert_eq!(served.post(&headers, &json).await.0, 204);
    served.answer.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_registration_is_checked_before_it_is_taken() {
    let (party, port) = party().await;
    let page = registration(&party, "Alice").await.unwrap();
    let served = Served::of(page, port, LONG);
    let headers = served.host() + &served.origin();
    let body = r#"{"attestation_object":"a0","client_data_json":"{}"}"#;
    let (status, said) = served.post(&headers, body).await;
    assert_eq!(status, 422);
    assert!(said.contains("client data"), "{said}");
    assert!(!served.answer.is_finished());
    served.answer.abort();
}

#[tokio::test]
async fn time_runs_out() {
    let (party, port) = party().await;
    let page = registration(&party, "Alice").await.unwrap();
    let served = Served::of(page, port, Duration::from_millis(20));
    let said = served.answer.await.unwrap().unwrap_err().to_string();
    assert!(said.contains("within 20ms"), "{said}");
}

#[tokio::test]
async fn an_idle_connection_does_not_keep_the_program() {
    let served = approving().await;
    let idle = TcpStream::connect(("127.0.0.1", served.port))
        .await
        .unwrap();
    let (_, json) = assertion(&[1, 2]);
    let headers = served.host() + &served.origin();
    served.post(&headers, &json).await;
    tokio::time::timeout(LONG, served.answer)
        .await
        .expect("it ends while a connection is open")
        .unwrap()
        .unwrap();
    drop(idle);
}

#[tokio::test]
async fn names_and_credentials_are_needed() {
    let (party, _) = party().await;
    for name in ["", "a\nb", &"x".repeat(65)] {
        assert!(registration(&party, name).await.is_err(), "{name:?}");
    }
    let display = Display {
        cluster: String::new(),
        lines: vec![],
    };
    let said = approval(&party, &[], &[0; 32], &display)
        .await
        .err()
        .unwrap();
    assert!(said.to_string().contains("quorate passkey register"));
}
