//! A small model hub on a loopback port: the listing, file addresses, ranges, and faults on demand.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with the next body of a file.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// One byte is changed.
    Flip(usize),
    /// The length is announced in full, and the connection closes after this many bytes.
    Cut(usize),
    /// The body stops after this many bytes while the connection stays open.
    Stall(usize),
    /// The range is ignored: 200 and the whole body, cut after this many bytes.
    NoRange(usize),
    /// Only this many bytes are announced and sent.
    Announce(usize),
    /// No length is announced, and bytes follow the end of the file.
    TooLong,
    /// Another status, without a body.
    Status(u16),
    /// A redirect to this address.
    Redirect(String),
}

/// How much the listing tells about each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    WithContents,
    NamesOnly,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) from_byte: usize,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) faults: HashMap<String, VecDeque<Fault>>,
    pub(crate) listing: Listing,
    /// Replaces the listing's text.
    pub(crate) raw_listing: Option<String>,
    pub(crate) listing_status: u16,
    /// Address of the host that large files are redirected to.
    pub(crate) file_host: Option<String>,
    pub(crate) seen: Vec<Seen>,
}

#[derive(Clone)]
pub(crate) struct FakeHub {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl FakeHub {
    /// Starts serving; the thread ends with the test process.
    pub(crate) fn start(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let files = files.iter().map(|(n, c)| ((*n).to_owned(), c.to_vec())).collect();
        let state = Arc::new(Mutex::new(State {
            commit: COMMIT.to_owned(),
            files,
            faults: HashMap::new(),
            listing: Listing::WithContents,
            raw_listing: None,
            listing_status: 200,
            file_host: None,
            seen: Vec::new(),
        }));
        let served = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = served.clone();
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Queues faults for the next bodies of `file`, one each.
    pub(crate) fn faults(&self, file: &str, faults: &[Fault]) {
        self.with(|s| s.faults.entry(file.to_owned()).or_default().extend(faults.iter().cloned()));
    }

    /// The requests so far whose path ends in `end`, except HEAD.
    pub(crate) fn gets(&self, end: &str) -> Vec<Seen> {
        let wanted = |seen: &&Seen| seen.method == "GET" && seen.path.ends_with(end);
        self.with(|s| s.seen.iter().filter(wanted).cloned().collect())
    }
}

/// One request per connection.
fn serve(stream: TcpStream, state: &Mutex<State>) {
    let Some(seen) = read_request(&stream) else { return };
    state.lock().unwrap().seen.push(seen.clone());
    let path = seen.path.split('?').next().unwrap();
    let answered = if path.starts_with("/api/models/") {
        send_listing(&stream, state)
    } else if let Some(name) = path.strip_prefix("/files/") {
        send_file(&stream, state, &seen, name)
    } else if let Some((_, rest)) = path.split_once("/resolve/") {
        let name = decode(rest.split_once('/').unwrap().1);
        resolve(&stream, state, &seen, &name)
    } else {
        send_head(&stream, 404, &[])
    };
    // A client that hangs up is what some tests are about.
    drop(answered);
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut seen = Seen { method, path, authorization: None, from_byte: 0 };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "authorization" => seen.authorization = Some(value.to_owned()),
            "range" => {
                let start = value.strip_prefix("bytes=")?.strip_suffix('-')?;
                seen.from_byte = start.parse().ok()?;
            }
            _ => {}
        }
    }
    Some(seen)
}

fn send_listing(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let state = state.lock().unwrap();
    let body = state.raw_listing.clone().unwrap_or_else(|| listing(&state));
    send_head(stream, state.listing_status, &[("Content-Length", body.len().to_string())])?;
    (&mut &*stream).write_all(body.as_bytes())
}

fn listing(state: &State) -> String {
    let sibling = |(name, content): (&String, &Vec<u8>)| {
        let mut file = serde_json::json!({ "rfilename": name });
        if state.listing == Listing::WithContents {
            file["size"] = content.len().into();
            file["blobId"] = git_id(content).into();
            if is_large(name) {
                file["lfs"] = serde_json::json!({
                    "sha256": sha256(content), "size": content.len(), "pointerSize": 134,
                });
            }
        }
        file
    };
    let siblings: Vec<_> = state.files.iter().map(sibling).collect();
    serde_json::json!({ "id": "org/repo", "sha": state.commit, "siblings": siblings }).to_string()
}

/// The address of a file: what it is, and for a large one a redirect to the file host.
fn resolve(
    stream: &TcpStream,
    state: &Mutex<State>,
    seen: &Seen,
    name: &str,
) -> std::io::Result<()> {
    let (content, file_host, commit) = {
        let state = state.lock().unwrap();
        (state.files.get(name).cloned(), state.file_host.clone(), state.commit.clone())
    };
    let Some(content) = content else { return send_head(stream, 404, &[]) };
    let mut headers = vec![("X-Repo-Commit", commit)];
    if let (Some(host), true) = (file_host, is_large(name)) {
        headers.push(("Location", format!("{host}/files/{name}?signature=s3cret")));
        headers.push(("X-Linked-Etag", format!("\"{}\"", sha256(&content))));
        headers.push(("X-Linked-Size", content.len().to_string()));
        headers.push(("Content-Length", "0".to_owned()));
        return send_head(stream, 302, &headers);
    }
    if seen.method == "HEAD" {
        let etag = if is_large(name) { sha256(&content) } else { git_id(&content) };
        headers.push(("ETag", format!("\"{etag}\"")));
        headers.push(("Content-Length", content.len().to_string()));
        return send_head(stream, 200, &headers);
    }
    send_file(stream, state, seen, name)
}

fn send_file(
    mut stream: &TcpStream,
    state: &Mutex<State>,
    seen: &Seen,
    name: &str,
) -> std::io::Result<()> {
    let (mut body, fault) = {
        let mut state = state.lock().unwrap();
        let fault = state.faults.get_mut(name).and_then(VecDeque::pop_front);
        (state.files[name].clone(), fault)
    };
    let total = body.len();
    let mut from = seen.from_byte;
    let mut sent = total;
    match fault.clone() {
        Some(Fault::Status(status)) => return send_head(stream, status, &[]),
        Some(Fault::Redirect(to)) => return send_head(stream, 302, &[("Location", to)]),
        Some(Fault::Flip(at)) => body[at] ^= 1,
        Some(Fault::Cut(at) | Fault::Stall(at)) => sent = at.max(from),
        Some(Fault::NoRange(at)) => (from, sent) = (0, at),
        Some(Fault::Announce(length)) => body.resize(from + length, 0),
        Some(Fault::TooLong) => body.extend_from_slice(b"more"),
        None => {}
    }
    if from >= body.len() && from > 0 {
        return send_head(stream, 416, &[("Content-Range", format!("bytes */{total}"))]);
    }
    let mut headers = Vec::new();
    if !matches!(fault, Some(Fault::TooLong)) {
        headers.push(("Content-Length", (body.len() - from).to_string()));
    }
    if from > 0 {
        headers.push(("Content-Range", format!("bytes {from}-{}/{}", body.len() - 1, body.len())));
    }
    send_head(stream, if from > 0 { 206 } else { 200 }, &headers)?;
    let end = sent.min(body.len()).max(from);
    stream.write_all(&body[from..if sent == total { body.len() } else { end }])?;
    if matches!(fault, Some(Fault::Stall(_))) {
        thread::sleep(Duration::from_secs(5));
    }
    Ok(())
}

fn send_head(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(&str, String)],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !(200..300).contains(&status) && !headers.iter().any(|(n, _)| *n == "Content-Length") {
        head.push_str("Content-Length: 0\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())
}

/// Undoes percent encoding.
fn decode(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".gguf")
}

pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn git_id(content: &[u8]) -> String {
    let object = [format!("blob {}\0", content.len()).as_bytes(), content].concat();
    Sha1::digest(object).iter().map(|byte| format!("{byte:02x}")).collect()
}
