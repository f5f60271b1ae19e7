//! Where the page is served.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, ensure};
use quorate_types::RelyingParty;
use tokio::net::TcpListener;

const PREFIX: &str = "http://localhost:";

/// The relying party's origin on this machine, and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    pub origin: String,
    pub port: u16,
}

impl Local {
    /// The first origin that is `http://localhost:<port>`.
    pub fn of(party: &RelyingParty) -> anyhow::Result<Self> {
        let local = party.origins.iter().find_map(|origin| {
            let digits = origin.strip_prefix(PREFIX)?;
            let port = digits.parse().ok().filter(|port: &u16| *port > 0)?;
            // Browsers write an origin's port without leading zeros or a sign.
            (port.to_string() == digits).then(|| Self {
                origin: origin.clone(),
                port,
            })
        });
        let local = local.with_context(|| {
            format!(
                "none of the relying party's origins is {PREFIX}<port> ({}); add one to the policy, or approve at one of these",
                party.origins.join(", ")
            )
        })?;
        ensure!(
            party.id == "localhost",
            "the relying party is {:?}, whose passkeys no browser gives to a page on this machine; approve at its own site, or name localhost",
            party.id
        );
        Ok(local)
    }

    /// What requests must name as their host.
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Listens on both loopback addresses, so that nobody else can answer for `localhost` on the other.
    pub async fn listen(&self) -> anyhow::Result<Vec<TcpListener>> {
        let mut listeners = vec![self.bind(Ipv4Addr::LOCALHOST.into()).await?];
        match self.bind(Ipv6Addr::LOCALHOST.into()).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_taken(&error) => return Err(error),
            // There is no IPv6 here.
            Err(_) => {}
        }
        Ok(listeners)
    }

    async fn bind(&self, ip: IpAddr) -> anyhow::Result<TcpListener> {
        let port = self.port;
        match TcpListener::bind((ip, port)).await {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error).with_context(|| {
                format!(
                    "port {port} is taken; end what listens there (another approval?) and try again"
                )
            }),
            Err(error) => Err(error).with_context(|| format!("cannot listen on {ip}, port {port}")),
        }
    }
}

fn is_taken(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(id: &str, origins: &[&str]) -> Result<Local, String> {
        let party = RelyingParty {
            id: id.to_owned(),
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        };
        Local::of(&party).map_err(|e| e.to_string())
    }

    #[test]
    fn the_first_origin_on_this_machine_is_taken() {
        let local = local(
            "localhost",
            &[
                "https://a.example",
                "http://localhost:7780",
                "http://localhost:7781",
            ],
        );
        let local = local.unwrap();
        assert_eq!(local.port, 7780);
        assert_eq!(local.authority(), "localhost:7780");
    }

    #[test]
    fn other_origins_are_not_this_machine() {
        for origin in [
            "https://localhost:7780",
            "http://localhost",
            "http://localhost:",
            "http://localhost:0",
            "http://localhost:07780",
            "http://localhost:+7780",
            "http://localhost:7780/",
            "http://localhost:65536",
            "http://127.0.0.1:7780",
            "http://localhost:7780.evil.example",
        ] {
            let said = local("localhost", &[origin]).unwrap_err();
            assert!(said.contains(&format!("({origin})")), "{said}");
        }
        let said = local("custody.example", &["http://localhost:7780"]).unwrap_err();
        assert!(said.contains("custody.example"), "{said}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = other.local_addr().unwrap().port();
        let origin = format!("http://localhost:{port}");
        let said = local("localhost", &[&origin])
            .unwrap()
            .listen()
            .await
            .unwrap_err();
        assert!(
            said.to_string()
                .starts_with(&format!("port {port} is taken")),
            "{said}"
        );
    }

    #[tokio::test]
    async fn nobody_else_answers_on_the_other_loopback_address() {
        let Ok(other) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else {
            return;
        };
        let port = other.local_addr().unwrap().port();
        let origin = format!("http://localhost:{port}");
        let said = local("localhost", &[&origin])
            .unwrap()
            .listen()
            .await
            .unwrap_err();
        assert!(
            said.to_string()
                .starts_with(&format!("port {port} is taken")),
            "{said}"
        );
    }
}
