//! Ids to text, one at a time.

use crate::pieces::Pieces;
use crate::{SkipSpecial, TextStart, Tokenizer};

/// Turns ids into text as they arrive. What comes out never splits a character: bytes that do not
/// complete one are held back. The cost of an id is that of its own bytes.
///
/// ```no_run
/// # fn main() -> Result<(), russet_tokenizer::Error> {
/// # let tokenizer = russet_tokenizer::Tokenizer::from_dir("model".as_ref())?;
/// use russet_tokenizer::{SkipSpecial, TextStart};
/// let mut stream = tokenizer.decode_stream(SkipSpecial::Yes, TextStart::Beginning);
/// let mut text = String::new();
/// for id in [1, 2, 3] {
///     text.extend(stream.push(id));
/// }
/// text.extend(stream.finish());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct DecodeStream {
    tokenizer: Tokenizer,
    skip: SkipSpecial,
    decoder: Utf8,
}

impl DecodeStream {
    pub(crate) fn new(tokenizer: Tokenizer, skip: SkipSpecial, start: TextStart) -> Self {
        let leading = match start {
            TextStart::Beginning => tokenizer.pieces().strip_leading,
            TextStart::Continuation => 0,
        };
        let decoder = Utf8 { held: Vec::new(), leading };
        Self { tokenizer, skip, decoder }
    }

    /// Adds an id; returns the text that is now certain, if any.
    pub fn push(&mut self, id: u32) -> Option<String> {
        let pieces = self.tokenizer.pieces();
        let mut text = String::new();
        self.decoder.push_id(pieces, self.skip, id, &mut text);
        (!text.is_empty()).then_some(text)
    }

    /// Ends the text: held bytes that never became a character come out as one U+FFFD.
    pub fn finish(&mut self) -> Option<String> {
        let mut text = String::new();
        self.decoder.finish(&mut text);
        (!text.is_empty()).then_some(text)
    }
}

/// Decodes all of `ids`; the same code as the stream, so the two cannot differ.
pub(crate) fn decode(pieces: &Pieces, ids: &[u32], skip: SkipSpecial) -> String {
    let mut text = String::new();
    let mut decoder = Utf8 { held: Vec::new(), leading: pieces.strip_leading };
    for &id in ids {
        decoder.push_id(pieces, skip, id, &mut text);
    }
    decoder.finish(&mut text);
    text
}

/// Incremental UTF-8 with replacement of what is not, as `String::from_utf8_lossy` does it.
#[derive(Debug, Clone)]
struct Utf8 {
    /// The start of a character: at most three bytes.
    held: Vec<u8>,
    /// Spaces still to drop from the start of the text.
    leading: usize,
}

impl Utf8 {
    fn push_id(&mut self, pieces: &Pieces, skip: SkipSpecial, id: u32, out: &mut String) {
        if skip == SkipSpecial::Yes && pieces.is_special(id) {
            return;
        }
        let mut bytes = pieces.bytes(id);
        while self.leading > 0 && !bytes.is_empty() {
            if bytes[0] != b' ' {
                self.leading = 0;
                break;
            }
            self.leading -= 1;
            bytes = &bytes[1..];
        }
        self.push(bytes, out);
    }

    fn push(&mut self, bytes: &[u8], out: &mut String) {
        if self.held.is_empty() {
            let rest = drain(bytes, out);
            self.held.extend_from_slice(rest);
            return;
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(bytes);
        self.held = drain(&joined, out).to_vec();
    }

    fn finish(&mut self, out: &mut String) {
        if !self.held.is_empty() {
            self.held.clear();
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Moves whole characters to `out`; returns the bytes that may yet become one.
fn drain<'a>(mut bytes: &'a [u8], out: &mut String) -> &'a [u8] {
    loop {
        let error = match std::str::from_utf8(bytes) {
            Ok(text) => {
                out.push_str(text);
                return &[];
            }
            Err(error) => error,
        };
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        out.push_str(std::str::from_utf8(valid).expect("these bytes were just found valid"));
        match error.error_len() {
            Some(len) => {
                out.push(char::REPLACEMENT_CHARACTER);
                bytes = &rest[len..];
            }
            None => return rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any bytes in any portions give what the standard library makes of the whole.
    #[test]
    fn portions_agree_with_the_whole() {
        let mut state = 7u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let sources: Vec<&[u8]> = vec!["añ€🦙".as_bytes(), &[0xf0, 0x9f, 0x80, 0xc3, 0xff, b'x']];
        for _ in 0..5000 {
            let mut utf8 = Utf8 { held: Vec::new(), leading: 0 };
            let (mut whole, mut text) = (Vec::new(), String::new());
            for _ in 0..random(12) {
                let source = sources[random(2)];
                let start = random(source.len());
                let portion = &source[start..start + random(source.len() - start + 1)];
                whole.extend_from_slice(portion);
                utf8.push(portion, &mut text);
                assert!(utf8.held.len() < 4);
            }
            utf8.finish(&mut text);
            assert_eq!(text, String::from_utf8_lossy(&whole));
        }
    }
}
