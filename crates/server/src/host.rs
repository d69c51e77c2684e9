//! Which `Host` headers are answered, so that no web page reaches a server on loopback through a
//! name of its own (DNS rebinding).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::Response;

use crate::error::ApiError;

/// The names a server is known by.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// Lower case; `None` accepts every name.
    accepted: Option<Arc<[String]>>,
}

impl Hosts {
    /// Every name, unless `bound` is a loopback address.
    pub(crate) fn of(bound: SocketAddr, allowed: &[String]) -> Self {
        if !bound.ip().is_loopback() {
            return Self { accepted: None };
        }
        let bound = match bound {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let own = ["localhost", "127.0.0.1", "[::1]", &bound].map(str::to_owned);
        let names = own.into_iter().chain(allowed.iter().map(|name| name.to_ascii_lowercase()));
        Self { accepted: Some(names.collect()) }
    }

    fn accept(&self, host: &str) -> bool {
        let Some(accepted) = &self.accepted else { return true };
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().to_ascii_lowercase();
        accepted.contains(&name)
    }
}

/// Refuses requests to other hosts. A request without a `Host` header comes from no browser.
pub(crate) async fn check_host(
    State(hosts): State<Hosts>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Some(host) = request.headers().get(header::HOST) {
        let host = String::from_utf8_lossy(host.as_bytes());
        if !hosts.accept(&host) {
            return Err(ApiError::Host { found: host.into_owned() });
        }
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_few_names() {
        let hosts = Hosts::of("127.0.0.2:80".parse().unwrap(), &["Box.local".to_owned()]);
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:1", "127.0.0.2", "box.local:3"]
        {
            assert!(hosts.accept(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "evil@other", "127.0.0.3", "", "a b"]
        {
            assert!(!hosts.accept(host), "{host}");
        }
    }

    #[test]
    fn other_addresses_answer_to_every_name() {
        let hosts = Hosts::of("0.0.0.0:80".parse().unwrap(), &[]);
        assert!(hosts.accept("anything.example"));
    }
}
