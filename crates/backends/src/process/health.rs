//! Asking a program on this machine whether it is ready.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::Health;

/// What is read of an answer at most.
const ANSWER_MAX_BYTES: usize = 16 * 1024;

/// What a look at a program that is starting has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    NotYet,
    Ready,
    /// It will never be ready.
    Failed,
}

/// Looks at one program until it is ready.
pub(super) struct Probe {
    address: SocketAddr,
    health: Health,
    /// For the answer to a `GET`.
    timeout: Duration,
    /// The request that it has to answer.
    asked: Option<Asked>,
}

impl Probe {
    pub(super) fn new(address: SocketAddr, health: Health, timeout: Duration) -> Self {
        Self { address, health, timeout, asked: None }
    }

    /// Waits for the answer to a `GET` up to the timeout, and not at all for that to a request.
    pub(super) fn look(&mut self) -> Look {
        if let Some(asked) = &mut self.asked {
            let Some(status) = asked.status() else { return Look::NotYet };
            self.asked = None;
            return if status == Some(200) { Look::Ready } else { Look::NotYet };
        }
        let path = match &self.health {
            Health::Tells { path } => path,
            Health::Listens { .. } => "/health",
        };
        match (get_status(self.address, path, self.timeout), &self.health) {
            (Some(200), Health::Tells { .. }) => Look::Ready,
            (Some(200), Health::Listens { request }) => {
                self.asked = Asked::post(self.address, self.timeout, request).ok();
                Look::NotYet
            }
            (Some(503), Health::Listens { .. }) => Look::Failed,
            _ => Look::NotYet,
        }
    }
}

/// A request whose answer may take as long as loading a model.
struct Asked {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Asked {
    fn post(address: SocketAddr, timeout: Duration, body: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_write_timeout(Some(timeout))?;
        let len = body.len();
        let head = format!(
            "POST /v1/completions HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {len}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, answer: Vec::new() })
    }

    /// The status of the answer once it is complete; the inner `None` is no answer at all.
    fn status(&mut self) -> Option<Option<u16>> {
        let mut piece = [0; 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(len) if len > 0 && self.answer.len() < ANSWER_MAX_BYTES => {
                    self.answer.extend_from_slice(&piece[..len]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return Some(status(&self.answer)),
            }
        }
    }
}

/// The status of the answer to a `GET`, if there is one in time.
fn get_status(address: SocketAddr, path: &str, timeout: Duration) -> Option<u16> {
    status(&get(address, path, timeout).ok()?)
}

fn get(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
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

/// The status of an answer that begins like `HTTP/1.0 200 OK` or `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let digits = rest.strip_prefix(b"0 ").or_else(|| rest.strip_prefix(b"1 "))?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The port, if nobody listens there: whoever does would be taken for the program.
pub(super) fn this_port(port: u16) -> io::Result<u16> {
    let taken = |error: io::Error| {
        io::Error::new(error.kind(), format!("port {port} of 127.0.0.1: {error}"))
    };
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(taken)?;
    Ok(port)
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
    fn the_status_is_read() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n{}"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503 Service Unavailable"), Some(503));
        for answer in ["HTTP/1.1 20", "HTTP/2 200 OK", "HTTP/1.1 abc", "HTTP/1.1", "", "x"] {
            assert_eq!(status(answer.as_bytes()), None, "{answer}");
        }
    }

    #[test]
    fn a_silent_server_is_not_ready() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut probe = Probe::new(address, Health::tells("/health"), Duration::from_millis(100));
        let begin = Instant::now();
        assert_eq!(probe.look(), Look::NotYet);
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    /// Answers connection after connection; what was asked of it.
    fn answer(statuses: &'static [u16]) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for status in statuses {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = vec![0; 1000];
                let len = stream.read(&mut request).unwrap();
                asked.push(String::from_utf8_lossy(&request[..len]).into_owned());
                write!(stream, "HTTP/1.0 {status} x\r\n\r\n{{}}").unwrap();
            }
            asked
        });
        (address, thread)
    }

    fn looks(statuses: &'static [u16], health: Health) -> (Vec<Look>, Vec<String>) {
        let (address, thread) = answer(statuses);
        let mut probe = Probe::new(address, health, Duration::from_secs(30));
        let mut looks = Vec::new();
        while !thread.is_finished() || probe.asked.is_some() {
            looks.push(probe.look());
            std::thread::sleep(Duration::from_millis(5));
        }
        looks.dedup();
        (looks, thread.join().unwrap())
    }

    #[test]
    fn one_that_only_listens_must_answer_a_request() {
        use Look::{Failed, NotYet, Ready};
        let listens = Health::Listens { request: "{\"prompt\": 1}".to_owned() };
        assert_eq!(looks(&[503, 200], Health::tells("/health")).0, [NotYet, Ready]);
        let (found, asked) = looks(&[200, 500, 200, 200], listens.clone());
        assert_eq!(found, [NotYet, Ready]);
        let posts: Vec<bool> = asked.iter().map(|text| text.starts_with("POST /v1/c")).collect();
        assert_eq!(posts, [false, true, false, true]);
        assert!(asked[1].ends_with("\r\n\r\n{\"prompt\": 1}"), "{}", asked[1]);
        assert_eq!(looks(&[200, 500, 503], listens).0, [NotYet, Failed]);
    }

    #[test]
    fn another_path_is_asked_if_wished() {
        let (found, asked) = looks(&[404, 200], Health::tells("/v1/models"));
        assert_eq!(found, [Look::NotYet, Look::Ready]);
        assert!(asked.iter().all(|text| text.starts_with("GET /v1/models HTTP/1.1\r\n")));
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = this_port(port).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
        drop(listener);
        assert_eq!(this_port(port).unwrap(), port);
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port(None).unwrap();
        assert_ne!(free_port(Some(port)).unwrap(), port);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }
}
