//! One file from the network: resumed, verified, retried.

use std::io::Read;
use std::path::Path;

use ureq::http::Method;

use crate::error::Error;
use crate::http::{Ask, Http, Redirects, Reply, network, shown};
use crate::part::{Expected, PartFile};
use crate::progress::Progress;

/// Downloads `url` to `path` until it is exactly what is expected, and syncs it.
///
/// What an earlier attempt left in `path` is kept and completed. If the completed file then has
/// the wrong digest, the old part may be to blame (a crash can leave blocks of zeros), so the file
/// is fetched once more from its start.
///
/// # Errors
/// After a connection that broke too often or a full disk, the part stays to be resumed. A file of
/// the wrong digest, or one that is too long, is removed.
pub(crate) fn fetch(
    http: &Http,
    url: &str,
    path: &Path,
    expected: Expected<'_>,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let part = PartFile::open(path, expected)?;
    let resumed = part.len() > 0;
    match complete(http, url, part, progress) {
        Err(Error::Corrupt { .. }) if resumed => {
            complete(http, url, PartFile::open(path, expected)?, progress)
        }
        done => done,
    }
}

fn complete(
    http: &Http,
    url: &str,
    mut part: PartFile<'_>,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    report_start(&part, progress);
    let (mut failures, mut best) = (0, part.len());
    while !part.is_full() {
        let Err(error) = continue_body(http, url, &mut part, progress) else { continue };
        // Only bytes never reached before count: a server that cannot resume and always breaks at
        // the same place would otherwise be asked for ever.
        failures = if part.len() > best { 1 } else { failures + 1 };
        best = best.max(part.len());
        if !error.is_transient() || failures >= http.max_attempts() {
            return Err(error);
        }
        http.pause(failures, &error);
    }
    part.verify()?;
    progress.finish();
    Ok(())
}

/// One connection's worth of bytes.
fn continue_body(
    http: &Http,
    url: &str,
    part: &mut PartFile<'_>,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    let from_byte = part.len();
    let ask = Ask { method: Method::GET, url, from_byte, redirects: Redirects::Follow };
    let reply = match http.send(&ask) {
        // The server knows a shorter file than our part: start over.
        Err(error @ Error::Status { status: 416, .. }) => {
            part.restart()?;
            report_start(part, progress);
            return Err(error);
        }
        answered => answered?,
    };
    if from_byte > 0 && !resumes_at(&reply, from_byte) {
        part.restart()?;
        report_start(part, progress);
    }
    check_length(&reply, part, url)?;
    copy(reply, url, part, progress)
}

fn copy(
    reply: Reply,
    url: &str,
    part: &mut PartFile<'_>,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    // The length is checked by `append`, so the library's own limit is not needed.
    let mut body = reply.body.into_with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match body.read(&mut buffer) {
            Ok(0) if part.is_full() => return Ok(()),
            Ok(0) => return Err(network(url, ureq::Error::Io(ended_early()))),
            Ok(read) => {
                part.append(&buffer[..read])?;
                progress.advance(read as u64);
            }
            Err(e) => return Err(network(url, ureq::Error::Io(e))),
        }
    }
}

/// The hub redirects to file servers that answer an exact range with its bounds.
fn resumes_at(reply: &Reply, from_byte: u64) -> bool {
    let start = format!("bytes {from_byte}-");
    reply.status == 206 && reply.header("content-range").is_some_and(|r| r.starts_with(&start))
}

/// Refuses a body of another length at once instead of after its last byte. The part stays: a
/// second server may do better.
fn check_length(reply: &Reply, part: &PartFile<'_>, url: &str) -> Result<(), Error> {
    let Some(length) = reply.header("content-length") else { return Ok(()) };
    let problem = "`Content-Length` is not a number";
    let bad = || Error::BadAnswer { url: shown(url), problem };
    let length: u64 = length.parse().map_err(|_| bad())?;
    let total = part.len().saturating_add(length);
    match total == part.expected().bytes {
        true => Ok(()),
        false => Err(part.expected().wrong_length(total)),
    }
}

fn report_start(part: &PartFile<'_>, progress: &mut dyn Progress) {
    progress.begin(part.expected().name, Some(part.expected().bytes));
    progress.advance(part.len());
}

fn ended_early() -> std::io::Error {
    std::io::Error::from(std::io::ErrorKind::UnexpectedEof)
}
