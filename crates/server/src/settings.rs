//! The limits of the server.

use std::time::Duration;

/// The limits of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// Answers to one request: choices times prompts.
    pub max_choices: usize,
    /// Connections that are open at once; more wait to be accepted.
    pub max_connections: usize,
    /// How long the head of a request may take, from the end of the one before.
    pub header_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How often a stream without news sends a comment.
    pub keep_alive: Duration,
    /// How long running requests may go on after the shutdown began.
    pub drain_timeout: Duration,
    /// Names besides `localhost` and the bound address that a `Host` header may have while the
    /// server is bound to a loopback address.
    pub allowed_hosts: Vec<String>,
    /// The effective settings of the program, for `GET /info`.
    pub info: Option<serde_json::Value>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            max_body_bytes: 8 << 20,
            max_choices: 16,
            max_connections: 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            allowed_hosts: Vec::new(),
            info: None,
        }
    }
}
