//! What a program prints: passed on line by line, the last lines kept for errors.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many lines are kept.
const NUM_KEPT: usize = 40;

/// What is read of a line; the rest is skipped.
const LINE_MAX_BYTES: usize = 2048;

/// How long the last lines of a program that has ended may be on their way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// What one process prints.
pub(super) struct Log {
    last: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected at the end.
    open: Receiver<()>,
}

impl Log {
    /// Reads `stream` to its end on a thread of its own.
    pub(super) fn read(program: &str, stream: impl Read + Send + 'static) -> io::Result<Self> {
        let last = Arc::new(Mutex::new(VecDeque::with_capacity(NUM_KEPT)));
        let (still_open, open) = mpsc::channel::<()>();
        let (kept, program) = (last.clone(), program.to_owned());
        let thread = std::thread::Builder::new().name("russet-log".to_owned());
        thread.spawn(move || {
            let result = each_line(stream, |line| {
                tracing::debug!(program, "{line}");
                keep(&kept, line);
            });
            if let Err(error) = result {
                tracing::debug!(program, "its output cannot be read: {error}");
            }
            drop(still_open);
        })?;
        Ok(Self { last, open })
    }

    /// The last lines of a process that has ended.
    pub(super) fn finish(self) -> Vec<String> {
        // Nobody sends, so this ends with the stream, unless somebody else holds it open.
        let _ = self.open.recv_timeout(DRAIN_TIMEOUT);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().cloned().collect()
    }
}

fn keep(last: &Mutex<VecDeque<String>>, line: String) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if last.len() == NUM_KEPT {
        last.pop_front();
    }
    last.push_back(line);
}

/// Calls `each` with every line that is not blank.
fn each_line(stream: impl Read, mut each: impl FnMut(String)) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let mut finish = |line: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        line.clear();
        if !text.is_empty() {
            each(text);
        }
    };
    loop {
        let bytes = match reader.fill_buf() {
            Ok([]) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        let room = LINE_MAX_BYTES - line.len();
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        let used = piece.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            finish(&mut line);
        }
    }
    finish(&mut line);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a pipe may deliver them.
    struct ByteByByte<'a>(&'a [u8]);

    impl Read for ByteByByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(1);
            self.0.read(&mut buffer[..len])
        }
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        each_line(ByteByByte(bytes), |line| found.push(line)).unwrap();
        let mut at_once = Vec::new();
        each_line(bytes, |line| at_once.push(line)).unwrap();
        assert_eq!(found, at_once);
        found
    }

    #[test]
    fn lines_are_split_and_decoded() {
        assert_eq!(lines(b"a\r\n\n b\nlast"), ["a", " b", "last"]);
        assert_eq!(lines(b"\xff!\n"), ["\u{fffd}!"]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn long_lines_are_cut() {
        let mut found = Vec::new();
        let endless = io::repeat(b'x').take(1 << 20).chain(&b"\nnext\n"[..]);
        each_line(endless, |line| found.push(line)).unwrap();
        assert_eq!(found, ["x".repeat(LINE_MAX_BYTES), "next".to_owned()]);
    }

    #[test]
    fn the_last_lines_are_kept() {
        let text: String = (0..100).map(|n| format!("{n}\n")).collect();
        let kept = Log::read("program", io::Cursor::new(text)).unwrap().finish();
        let expected: Vec<String> = (60..100).map(|n| n.to_string()).collect();
        assert_eq!(kept, expected);
    }
}
