//! Asking a program on this machine whether it is ready.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// What is read of an answer at most.
const ANSWER_MAX_BYTES: usize = 16 * 1024;

/// Whether `GET /health` is answered with 200. While a model is loading it is 503, or nobody
/// listens yet.
pub(super) fn is_healthy(address: SocketAddr, timeout: Duration) -> bool {
    get_health(address, timeout).is_ok_and(|answer| has_status_200(&answer))
}

fn get_health(address: SocketAddr, timeout: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    // Read to its end: a Python server complains in its log about connections that are cut off.
    while answer.len() < ANSWER_MAX_BYTES {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(len) => answer.extend_from_slice(&piece[..len]),
        }
    }
    Ok(answer)
}

/// `HTTP/1.0 200 OK` or `HTTP/1.1 200 OK`.
fn has_status_200(answer: &[u8]) -> bool {
    let is_http = |version: &[u8]| version.starts_with(b"HTTP/1.");
    matches!(answer.split_at_checked(8), Some((version, rest))
        if is_http(version) && rest.starts_with(b" 200"))
}

/// A port of 127.0.0.1 that nobody listens on, and not `last`: connections to a program that died
/// may linger there.
pub(super) fn free_port(last: Option<u16>) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    // As long as this listener is open, the next one is elsewhere.
    if Some(port) == last { free_port(None) } else { Ok(port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_status_200_is_healthy() {
        assert!(has_status_200(b"HTTP/1.1 200 OK\r\n\r\n{}"));
        assert!(has_status_200(b"HTTP/1.0 200 OK"));
        for answer in ["HTTP/1.1 503 Service Unavailable", "HTTP/1.1 404 200", "HTTP/1.1", "", "x"]
        {
            assert!(!has_status_200(answer.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn a_silent_server_is_not_healthy() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let begin = Instant::now();
        assert!(!is_healthy(listener.local_addr().unwrap(), Duration::from_millis(100)));
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port(None).unwrap();
        assert_ne!(free_port(Some(port)).unwrap(), port);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }
}
