//! Which failures may pass by themselves.

use std::io;

use super::Error;

impl Error {
    /// Whether another attempt may succeed where this one failed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Network { source, .. } => is_transient_failure(source),
            Self::Status { status, .. } => matches!(status, 408 | 416 | 429 | 500..=599),
            _ => false,
        }
    }
}

/// A connection that broke or is slow may do better; a name that does not resolve and a certificate
/// that is not trusted stay so, and arrive as other kinds of I/O errors.
fn is_transient_failure(error: &ureq::Error) -> bool {
    use io::ErrorKind as K;
    use ureq::Error as E;
    match error {
        E::Timeout(_) | E::ConnectionFailed | E::Protocol(_) | E::BodyStalled => true,
        E::Io(e) => matches!(
            e.kind(),
            K::BrokenPipe
                | K::ConnectionAborted
                | K::ConnectionRefused
                | K::ConnectionReset
                | K::HostUnreachable
                | K::Interrupted
                | K::NetworkUnreachable
                | K::Other
                | K::TimedOut
                | K::UnexpectedEof
                | K::WouldBlock
        ),
        _ => false,
    }
}
