//! A stream of events on its way through: each goes on as soon as it is complete, with the name
//! of the model that the client knows.

use std::mem;

use super::rename::{answer_with_model, has_member};

/// Bytes of one event, far above any chunk.
const MAX_EVENT_BYTES: usize = 8 << 20;

/// An event above the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {limit_bytes} bytes")]
pub struct TooLong {
    limit_bytes: usize,
}

/// Events of one answer.
#[derive(Debug)]
pub struct Events {
    model: String,
    /// A path that errors may name.
    hidden: Option<String>,
    /// The line that is not complete.
    line: Vec<u8>,
    /// The lines of the event that is not complete, as they go on.
    event: Vec<u8>,
    is_complete: bool,
}

impl Events {
    /// Events of the model that the client calls `model`; it also stands for the path `hidden` in
    /// errors.
    pub fn new(model: &str, hidden: Option<&str>) -> Self {
        Self {
            model: model.to_owned(),
            hidden: hidden.map(str::to_owned),
            line: Vec::new(),
            event: Vec::new(),
            is_complete: false,
        }
    }

    /// The events that these bytes complete, ready to be sent.
    ///
    /// # Errors
    /// An event is too long.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            self.end_line(line);
            if line.is_empty() {
                out.append(&mut self.event);
            }
        }
        self.line.extend_from_slice(rest);
        if self.line.len() + self.event.len() > MAX_EVENT_BYTES {
            return Err(TooLong { limit_bytes: MAX_EVENT_BYTES });
        }
        Ok(out)
    }

    /// Whether there was an event that says that the answer ends here, well or with an error. A
    /// connection may end without an error where a program dies.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn end_line(&mut self, line: &[u8]) {
        match line.strip_prefix(b"data:").map(std::str::from_utf8) {
            Some(Ok(data)) => {
                self.event.extend_from_slice(b"data: ");
                let data = self.renamed(data.strip_prefix(' ').unwrap_or(data));
                self.event.extend_from_slice(data.as_bytes());
            }
            _ => self.event.extend_from_slice(line),
        }
        self.event.push(b'\n');
    }

    fn renamed(&mut self, data: &str) -> String {
        let renamed = answer_with_model(data, &self.model);
        let is_error = has_member(data, "error");
        self.is_complete |= is_error || data.trim_end() == "[DONE]";
        match &self.hidden {
            Some(hidden) if is_error => renamed.replace(hidden, &self.model),
            _ => renamed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\ndata: {\"model\": \"/m/x\", \"a\": \"/m/x é\"}\r\n\r\n\
        event: e\ndata:{\"model\":null}\nid: 1\n\ndata: [DONE]\n\n";
    const SENT: &str = ": hello\n\ndata: {\"model\":\"org/m\",\"a\":\"/m/x é\"}\n\n\
        event: e\ndata: {\"model\":\"org/m\"}\nid: 1\n\ndata: [DONE]\n\n";

    #[test]
    fn where_the_bytes_are_cut_makes_no_difference() {
        for size in 1..=STREAM.len() {
            let mut events = Events::new("org/m", Some("/m/x"));
            let pieces = STREAM.as_bytes().chunks(size);
            let sent: Vec<u8> = pieces.flat_map(|piece| events.push(piece).unwrap()).collect();
            assert_eq!(String::from_utf8(sent).unwrap(), SENT, "in pieces of {size}");
            assert!(events.is_complete());
        }
    }

    #[test]
    fn an_event_goes_on_when_it_is_complete_and_not_before() {
        let mut events = Events::new("m", None);
        assert_eq!(events.push(b"data: {\"a\":1}\n").unwrap(), b"");
        assert_eq!(events.push(b"\ndata: {").unwrap(), b"data: {\"a\":1}\n\n");
        assert!(!events.is_complete());
    }

    #[test]
    fn errors_end_a_stream_and_name_no_path() {
        let mut events = Events::new("m", Some("/m/x"));
        let sent = events.push(b"data: {\"error\": {\"message\": \"no /m/x/y\"}}\n\n").unwrap();
        assert_eq!(sent, b"data: {\"error\":{\"message\": \"no m/y\"}}\n\n");
        assert!(events.is_complete());
    }

    #[test]
    fn endless_events_are_refused() {
        let mut events = Events::new("m", None);
        let line = [b"data: ", &[b'a'; 1 << 20][..], b"\n"].concat();
        assert!((0..20).any(|_| events.push(&line).is_err()));
        let mut events = Events::new("m", None);
        assert!((0..20).all(|_| events.push(&[&line[..], b"\n"].concat()).is_ok()));
    }
}
