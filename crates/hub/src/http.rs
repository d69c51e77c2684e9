//! Requests to the hub: redirects, the token and retries.
//!
//! Redirects are followed here and not by the HTTP library, because the token must reach the
//! configured endpoint only, while files come from other hosts.

use std::io::Read;
use std::thread;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{HeaderMap, Method, Request, Uri};

use crate::config::{HubConfig, Timing, Token};
use crate::error::Error;

const MAX_REDIRECTS: usize = 8;
const USER_AGENT: &str = concat!("russet/", env!("CARGO_PKG_VERSION"));

/// A client for one endpoint.
pub(crate) struct Http {
    agent: ureq::Agent,
    endpoint: String,
    token: Option<Token>,
    timing: Timing,
}

/// One request.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    /// Resume from this byte on; 0 asks for the whole body.
    pub(crate) from_byte: u64,
    pub(crate) redirects: Redirects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// To any host; the answer is the last one.
    Follow,
    /// Within the host (a renamed repository); a redirect to another host is itself the answer.
    WithinHost,
}

/// An answer of a status that the caller can use.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ureq::Body,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Http {
    pub(crate) fn new(config: &HubConfig, timing: Timing) -> Result<Self, Error> {
        if origin(&config.endpoint).is_none() {
            return Err(Error::BadEndpoint { found: config.endpoint.clone() });
        }
        let proxy = config.proxy.as_deref().map(|url| proxy(url, &config.no_proxy)).transpose();
        let agent = ureq::Agent::config_builder()
            .proxy(proxy.map_err(|e| Error::BadProxy { source: Box::new(e) })?)
            .user_agent(USER_AGENT)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(timing.connect))
            .timeout_connect(Some(timing.connect))
            .timeout_recv_response(Some(timing.response))
            .timeout_per_read(Some(timing.stall))
            .build()
            .new_agent();
        let endpoint = config.endpoint.trim_end_matches('/').to_owned();
        Ok(Self { agent, endpoint, token: config.token.clone(), timing })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn max_attempts(&self) -> u32 {
        self.timing.max_attempts.max(1)
    }

    /// Sends one request and follows its redirects.
    ///
    /// # Errors
    /// No connection, a refused redirect, or a status other than 200 and 206 (or a redirect, with
    /// [`Redirects::WithinHost`]).
    pub(crate) fn send(&self, ask: &Ask<'_>) -> Result<Reply, Error> {
        let mut url = ask.url.to_owned();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send_once(ask, &url)?;
            let status = response.status().as_u16();
            let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
            let next = match location {
                Some(location) if (300..400).contains(&status) => redirect(&url, location)?,
                _ => return self.accept(response, &url),
            };
            if ask.redirects == Redirects::WithinHost && origin(&next) != origin(&url) {
                let (parts, body) = response.into_parts();
                return Ok(Reply { status, headers: parts.headers, body });
            }
            url = next;
        }
        let target = shown(&url);
        Err(Error::BadRedirect { url: shown(ask.url), target, reason: "too many redirects" })
    }

    /// The body of a GET as text, with retries.
    ///
    /// # Errors
    /// Also if the body is longer than `most_bytes`.
    pub(crate) fn text(&self, url: &str, most_bytes: u64) -> Result<String, Error> {
        self.with_retries(|| {
            let ask = Ask { method: Method::GET, url, from_byte: 0, redirects: Redirects::Follow };
            let mut text = String::new();
            let reply = self.send(&ask)?;
            let mut reader = reply.body.into_with_config().limit(most_bytes).reader();
            reader.read_to_string(&mut text).map_err(|e| network(url, ureq::Error::Io(e)))?;
            Ok(text)
        })
    }

    /// Repeats `attempt` while it fails for a reason that may pass.
    pub(crate) fn with_retries<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut failures = 0;
        loop {
            match attempt() {
                Err(e) if e.is_transient() && failures + 1 < self.max_attempts() => {
                    failures += 1;
                    self.pause(failures, &e);
                }
                done => return done,
            }
        }
    }

    /// Waits before attempt number `failures + 1`; as long as the server asks, up to a minute.
    pub(crate) fn pause(&self, failures: u32, error: &Error) {
        let own = self.timing.retry_delay * (1 << failures.saturating_sub(1).min(4));
        let asked = match error {
            Error::Status { retry_after: Some(asked), .. } => *asked,
            _ => Duration::ZERO,
        };
        thread::sleep(own.max(asked.min(Duration::from_secs(60))));
    }

    fn send_once(
        &self,
        ask: &Ask<'_>,
        url: &str,
    ) -> Result<ureq::http::Response<ureq::Body>, Error> {
        let mut request = Request::builder().method(ask.method.clone()).uri(url);
        if let Some(token) = self.token_for(url) {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        }
        if ask.from_byte > 0 {
            request = request.header(RANGE, format!("bytes={}-", ask.from_byte));
        }
        let request = request.body(()).map_err(|e| network(url, ureq::Error::Http(e)))?;
        self.agent.run(request).map_err(|e| network(url, e))
    }

    /// The token, if `url` is on the configured endpoint: same scheme, host and port.
    fn token_for(&self, url: &str) -> Option<&Token> {
        let token = self.token.as_ref()?;
        let endpoint = origin(&self.endpoint)?;
        (origin(url)? == endpoint).then_some(token)
    }

    fn accept(
        &self,
        response: ureq::http::Response<ureq::Body>,
        url: &str,
    ) -> Result<Reply, Error> {
        let status = response.status().as_u16();
        let at_endpoint = origin(url) == origin(&self.endpoint);
        let (parts, body) = response.into_parts();
        let shown = shown(url);
        match status {
            200 | 206 => Ok(Reply { status, headers: parts.headers, body }),
            401 | 403 if at_endpoint => {
                Err(Error::Forbidden { url: shown, status, has_token: self.token.is_some() })
            }
            404 => Err(Error::NotFound { url: shown }),
            _ => {
                let retry_after = parts.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
                let seconds = retry_after.and_then(|v| v.trim().parse().ok());
                let retry_after = seconds.map(Duration::from_secs);
                Err(Error::Status { url: shown, status, retry_after })
            }
        }
    }
}

/// The proxy at `url` for all hosts but those of `exceptions`, which are names with or without a
/// leading dot; each stands for its subdomains too.
fn proxy(url: &str, exceptions: &[String]) -> Result<ureq::Proxy, ureq::Error> {
    let plain = ureq::Proxy::new(url)?;
    let mut builder = ureq::Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    if let Some(username) = plain.username() {
        builder = builder.username(username);
    }
    if let Some(password) = plain.password() {
        builder = builder.password(password);
    }
    for host in exceptions.iter().map(|host| host.trim()).filter(|host| !host.is_empty()) {
        let name = host.trim_start_matches(['*', '.']);
        builder = match name.is_empty() {
            true => builder.no_proxy("*"),
            false => builder.no_proxy(name).no_proxy(&format!(".{name}")),
        };
    }
    builder.build()
}

pub(crate) fn network(url: &str, source: ureq::Error) -> Error {
    Error::Network { url: shown(url), source: Box::new(source) }
}

/// Without the query, which carries a signature on file servers.
pub(crate) fn shown(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Percent-encodes one segment of a path.
pub(crate) fn encode_segment(segment: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    segment.bytes().map(encode).collect()
}

/// The absolute address that `location` in an answer from `url` names.
fn redirect(url: &str, location: &str) -> Result<String, Error> {
    let refuse = |reason| {
        let (url, target) = (shown(url), shown(location));
        Err(Error::BadRedirect { url, target, reason })
    };
    let target = if location.starts_with('/') && !location.starts_with("//") {
        let Some((scheme, host, port)) = origin(url) else {
            return refuse("it comes from an address without a host");
        };
        format!("{scheme}://{host}:{port}{location}")
    } else {
        location.to_owned()
    };
    match origin(&target) {
        None => refuse("it is not an http or https address"),
        Some((scheme, ..)) if scheme == "http" && url.starts_with("https:") => {
            refuse("it leaves https")
        }
        Some(_) => Ok(target),
    }
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let host = uri.host()?.to_ascii_lowercase();
    Some((scheme, host, uri.port_u16().unwrap_or(default_port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        assert_eq!(origin("https://Hub.example/x"), origin("https://hub.example:443/y?z"));
        for other in ["http://hub.example/x", "https://hub.example:444/", "https://a.hub.example"] {
            assert_ne!(origin("https://hub.example/x"), origin(other));
        }
        assert_eq!(origin("https://user@evil.example/").unwrap().1, "evil.example");
        assert_eq!(origin("ftp://hub.example/"), None);
    }

    #[test]
    fn redirects() {
        let from = "https://hub.example/a/b";
        assert_eq!(redirect(from, "/c?d").unwrap(), "https://hub.example:443/c?d");
        assert_eq!(redirect(from, "https://cdn.example/c").unwrap(), "https://cdn.example/c");
        for bad in ["http://hub.example/c", "file:///etc/passwd", "c", "//x/y", ""] {
            assert!(redirect(from, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_token_stays_at_its_endpoint() {
        let mut config = HubConfig::new("a".into(), "b".into());
        config.endpoint = "https://hub.example/".into();
        config.token = Some(Token::new("secret\n"));
        let http = Http::new(&config, config.timing).unwrap();
        assert!(http.token_for("https://hub.example/api").is_some());
        for other in [
            "http://hub.example/api",
            "https://hub.example.evil/",
            "https://hub.example@evil.example/",
            "https://cdn.hub.example/",
            "https://hub.example:8443/",
        ] {
            assert!(http.token_for(other).is_none(), "{other}");
        }
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn an_endpoint_is_an_address() {
        for bad in ["", "hub.example", "ftp://hub.example", "https://"] {
            let mut config = HubConfig::new("a".into(), "b".into());
            config.endpoint = bad.into();
            let error = Http::new(&config, config.timing).err().unwrap().to_string();
            assert!(
                error.contains(&format!("`{bad}`")) && error.contains("http://host"),
                "{error}"
            );
        }
    }

    #[test]
    fn some_hosts_are_reached_without_the_proxy() {
        let hosts = ["localhost", " .internal ", "*.corp.example", "mirror.example", ""];
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let proxy = proxy("http://me:p%40ss@proxy.example:3128", &hosts).unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
        assert_eq!((proxy.username(), proxy.password()), (Some("me"), Some("p@ss")));
        let direct = |host: &str| proxy.is_no_proxy(&format!("https://{host}/x").parse().unwrap());
        for host in ["localhost", "a.internal", "x.corp.example", "a.mirror.example:8443"] {
            assert!(direct(host), "{host}");
        }
        for host in ["hub.example", "notlocalhost", "mirror.example.evil"] {
            assert!(!direct(host), "{host}");
        }
    }

    #[test]
    fn segments() {
        assert_eq!(encode_segment("a b#%é/c.json"), "a%20b%23%25%C3%A9%2Fc.json");
    }
}
