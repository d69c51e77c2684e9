//! The HTTP client of an upstream.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{NoProxy, Proxy, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{Fault, Limits, Remote};

/// A server that cannot be used as it was described.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is none.
    #[error(
        "`{found}` is no base URL: {problem}; accepted: http://host:port/v1 or https://host/v1"
    )]
    BaseUrl {
        /// The text.
        found: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The key cannot be sent.
    #[error("the key of {url} has characters that a header cannot have")]
    Key {
        /// The server.
        url: String,
    },
    /// The certificates cannot be read.
    #[error("the certificates for {url} cannot be read: {problem}; accepted: PEM")]
    Certificates {
        /// The server.
        url: String,
        /// What is wrong with them.
        problem: String,
    },
    /// The proxy cannot be used.
    #[error("`{found}` is no proxy: {source}; accepted: http://host:port")]
    Proxy {
        /// The text.
        found: String,
        /// What is wrong with it.
        source: reqwest::Error,
    },
    /// The system gives no client.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// The address that paths are added to.
pub(super) fn base_url(text: &str) -> Result<Url, RemoteError> {
    let refused = |problem: &str| {
        let problem = problem.to_owned();
        Err(RemoteError::BaseUrl { found: text.to_owned(), problem })
    };
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            refused(&format!("its scheme is `{}`", url.scheme()))
        }
        // It would stand in logs and lists of processes.
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            refused("it has a user name or a password, and keys are given apart from it")
        }
        Ok(url) => Ok(url),
        Err(error) => refused(&error.to_string()),
    }
}

/// `path` below `base`, whose query stays.
pub(super) fn joined(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let mut segments = url.path_segments_mut().expect("http and https URLs have paths");
    segments.pop_if_empty().extend(path.split('/'));
    drop(segments);
    url
}

/// A client that goes where it is told and nowhere else.
pub(super) fn client(
    limits: Limits,
    remote: Option<&Remote>,
) -> Result<reqwest::Client, RemoteError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(limits.connect)
        // A redirected POST would be another request, and hand the key to another server.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .tls_backend_preconfigured(tls(remote)?);
    if let Some(silence) = limits.silence {
        builder = builder.read_timeout(silence);
    }
    if let Some(remote) = remote {
        builder = builder.default_headers(headers(remote)?);
        if let Some((proxy, exempt)) = &remote.proxy {
            let refused = |source| RemoteError::Proxy { found: proxy.clone(), source };
            let proxy = Proxy::all(proxy.as_str()).map_err(refused)?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(exempt)));
        }
    }
    Ok(builder.build()?)
}

fn headers(remote: &Remote) -> Result<HeaderMap, RemoteError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &remote.key {
        let refused = |_| RemoteError::Key { url: remote.base_url.clone() };
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.0)).map_err(refused)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// The roots and the cryptography that downloads use, and the operator's certificates.
fn tls(remote: Option<&Remote>) -> Result<rustls::ClientConfig, RemoteError> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(remote) = remote
        && let Some(pem) = &remote.certificates
    {
        let url = remote.base_url.clone();
        let refused = |problem| RemoteError::Certificates { url: url.clone(), problem };
        let mut num_certificates = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| refused(error.to_string()))?;
            roots.add(certificate).map_err(|error| refused(error.to_string()))?;
            num_certificates += 1;
        }
        if num_certificates == 0 {
            return Err(refused("there is none".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers for the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Whether the server cannot have seen the request.
pub(super) fn is_unsent(error: &reqwest::Error) -> bool {
    error.is_connect()
}

pub(super) fn fault(error: reqwest::Error, limits: Limits) -> Fault {
    let (is_unsent, is_timeout) = (is_unsent(&error), error.is_timeout());
    // The URL is the operator's affair.
    let why = causes(&error.without_url());
    match (is_unsent, is_timeout) {
        (true, _) => Fault::Unreachable { why },
        (false, true) => {
            Fault::Silent { limit_s: limits.silence.unwrap_or_default().as_secs_f32() }
        }
        (false, false) => Fault::Broken { why },
    }
}

/// What an error says, with all its causes: the outermost says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_below_the_base_url() {
        for base in ["http://h:1/v1", "http://h:1/v1/"] {
            let url = joined(&base_url(base).unwrap(), "chat/completions");
            assert_eq!(url.as_str(), "http://h:1/v1/chat/completions");
        }
        let url = joined(&base_url("https://h?version=1").unwrap(), "models");
        assert_eq!(url.as_str(), "https://h/models?version=1");
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for (base, problem) in [
            ("h:80/v1", "its scheme is `h`"),
            ("", "relative URL"),
            ("ftp://h", "its scheme is `ftp`"),
            ("https://me:secret@h/v1", "a user name or a password"),
        ] {
            let error = base_url(base).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("accepted"), "{error}");
        }
    }

    #[test]
    fn keys_and_certificates_are_checked_and_not_printed() {
        let remote = |key: &str, pem: Option<&str>| Remote {
            base_url: "https://h/v1".to_owned(),
            key: Some(crate::upstream::Key::new(key)),
            certificates: pem.map(Into::into),
            proxy: None,
            limits: Limits::default(),
        };
        let error = |remote: Remote| {
            assert!(!format!("{remote:?}").contains("secret"));
            crate::Upstream::remote(&remote).unwrap_err().to_string()
        };
        assert!(crate::Upstream::remote(&remote("secret\n", None)).is_ok());
        assert_eq!(
            error(remote("sec\nret", None)),
            "the key of https://h/v1 has characters that a header cannot have"
        );
        let none = error(remote("secret", Some("nothing")));
        assert!(none.contains("there is none; accepted: PEM"), "{none}");
    }
}
