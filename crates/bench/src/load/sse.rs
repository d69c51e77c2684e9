//! Server-sent events from bytes, as they come:
//! <https://html.spec.whatwg.org/#parsing-an-event-stream>.

use std::mem;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Whether it says of itself that it is an error.
    pub(crate) is_error: bool,
    /// Its lines of data, joined.
    pub(crate) data: String,
}

/// An event longer than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    pub(crate) limit_bytes: usize,
}

/// Splits bytes into events; keeps only the one that is not complete.
#[derive(Debug)]
pub(crate) struct Parser {
    limit_bytes: usize,
    /// The line that is not complete.
    line: Vec<u8>,
    /// The last byte was `\r`: a `\n` now belongs to it.
    after_return: bool,
    is_first_line: bool,
    is_error: bool,
    /// `None` before the first line of data.
    data: Option<String>,
}

impl Parser {
    /// Refuses events of more than `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            line: Vec::new(),
            after_return: false,
            is_first_line: true,
            is_error: false,
            data: None,
        }
    }

    /// The events that these bytes complete. An event at the end of the stream without its blank
    /// line is none, as the standard has it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        if !rest.is_empty() && mem::take(&mut self.after_return) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(&rest[..end]);
            self.check_length()?;
            events.extend(self.end_line());
            let is_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if is_return {
                self.after_return = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.line.extend_from_slice(rest);
        self.check_length()?;
        Ok(events)
    }

    fn check_length(&self) -> Result<(), TooLong> {
        let num_bytes = self.line.len() + self.data.as_ref().map_or(0, String::len);
        let limit_bytes = self.limit_bytes;
        if num_bytes > limit_bytes { Err(TooLong { limit_bytes }) } else { Ok(()) }
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = mem::take(&mut self.line);
        let mut line = line.as_slice();
        if mem::take(&mut self.is_first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            let is_error = mem::take(&mut self.is_error);
            return self.data.take().map(|data| Event { is_error, data });
        }
        let (name, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match name {
            b"data" => self.append(&value),
            b"event" => self.is_error = value == "error",
            // llama.cpp's server has sent errors under this name, which is not the standard's.
            b"error" => {
                self.is_error = true;
                self.append(&value);
            }
            _ => {}
        }
        None
    }

    fn append(&mut self, value: &str) {
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Event {
        Event { is_error: false, data: text.to_owned() }
    }

    fn parse(stream: &[u8]) -> Vec<Event> {
        Parser::new(1000).push(stream).unwrap()
    }

    #[test]
    fn lines_end_in_any_of_three_ways() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = format!("data: a{end}{end}data:b{end}data:  c{end}{end}");
            assert_eq!(parse(stream.as_bytes()), [data("a"), data("b\n c")], "{end:?}");
        }
    }

    #[test]
    fn where_the_bytes_are_cut_makes_no_difference() {
        let stream = "\u{feff}: hello\r\ndata: {\"é\": 1}\r\n\r\nid: 7\r\ndata: x\ndata\n\r\r\n\n\
             event: error\ndata: [\rdata: ]\r\n\r\ndata: [DONE]\n\n";
        let events = parse(stream.as_bytes());
        let error = Event { is_error: true, data: "[\n]".to_owned() };
        assert_eq!(events, [data("{\"é\": 1}"), data("x\n"), error, data("[DONE]")]);
        for size in 1..stream.len() {
            let mut parser = Parser::new(1000);
            let chunks = stream.as_bytes().chunks(size);
            let pieces: Vec<Event> = chunks.flat_map(|c| parser.push(c).unwrap()).collect();
            assert_eq!(pieces, events, "in pieces of {size}");
        }
    }

    #[test]
    fn comments_other_fields_and_empty_events_say_nothing() {
        let stream = b": keep-alive\n\n\n\nid: 1\nretry: 5\nevent: ping\n\nnonsense\n\n";
        assert!(parse(stream).is_empty());
        assert_eq!(parse(b"data\n\n"), [data("")]);
    }

    #[test]
    fn the_kind_of_an_event_ends_with_it() {
        let events = parse(b"event: error\ndata: a\n\ndata: b\n\nerror: c\n\ndata: d\n\n");
        let kinds: Vec<bool> = events.iter().map(|event| event.is_error).collect();
        assert_eq!(kinds, [true, false, true, false]);
    }

    #[test]
    fn what_is_incomplete_is_no_event() {
        assert!(parse(b"data: a\n").is_empty());
        assert!(parse(b"data: a").is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_it() {
        assert_eq!(parse(b"data: a\xffb\n\n"), [data("a\u{fffd}b")]);
    }

    #[test]
    fn endless_events_are_refused_and_only_those() {
        let mut parser = Parser::new(10);
        let event = b"data: 123\n\n";
        assert!((0..100).all(|_| parser.push(event).unwrap().len() == 1));
        assert_eq!(parser.push(b"data: 12345"), Err(TooLong { limit_bytes: 10 }));
        let mut parser = Parser::new(10);
        assert!(parser.push(b"data: 1\ndata: 2\ndata: 3\ndata: 4\ndata: 5\n").is_err());
    }
}
