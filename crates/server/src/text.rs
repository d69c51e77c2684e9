//! From tokens to text that can be sent: whole characters only, and nothing that may yet turn out
//! to be part of a stop string.

use std::collections::VecDeque;

use russet_protocol::TokenLogprob;
use russet_tokenizer::DecodeStream;

/// The text of one choice as it grows.
#[derive(Debug)]
pub(crate) struct StopText {
    decoder: DecodeStream,
    stop: Vec<String>,
    /// Decoded text that was not given out: it may begin a stop string.
    held: String,
    /// Bytes that were given out.
    sent_len: usize,
    /// Tokens whose text was not all given out, with the byte of the text where each begins.
    logprobs: VecDeque<(usize, TokenLogprob)>,
}

/// Text to give out, with the log-probabilities of its tokens.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) logprobs: Vec<TokenLogprob>,
}

/// Whether a stop string was found.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    /// The text goes on.
    More(Piece),
    /// A stop string follows this text.
    Stopped(Piece),
}

impl StopText {
    pub(crate) fn new(decoder: DecodeStream, stop: Vec<String>) -> Self {
        let (held, logprobs) = (String::new(), VecDeque::new());
        Self { decoder, stop, held, sent_len: 0, logprobs }
    }

    /// Adds a token.
    pub(crate) fn push(&mut self, id: u32, logprob: Option<TokenLogprob>) -> Progress {
        let start = self.sent_len + self.held.len();
        self.logprobs.extend(logprob.map(|logprob| (start, logprob)));
        self.held.extend(self.decoder.push(id));
        match self.find_stop() {
            Some(at) => Progress::Stopped(self.send(at)),
            None => Progress::More(self.send(self.held.len() - self.undecided_len())),
        }
    }

    /// Ends the text; gives out all that was held.
    pub(crate) fn finish(&mut self) -> Progress {
        self.held.extend(self.decoder.finish());
        if let Some(at) = self.find_stop() {
            return Progress::Stopped(self.send(at));
        }
        let mut piece = self.send(self.held.len());
        piece.logprobs.extend(self.logprobs.drain(..).map(|(_, logprob)| logprob));
        Progress::More(piece)
    }

    /// Where the first stop string begins.
    fn find_stop(&self) -> Option<usize> {
        self.stop.iter().filter_map(|stop| self.held.find(stop)).min()
    }

    /// Bytes at the end that begin some stop string.
    fn undecided_len(&self) -> usize {
        let longest_start = |stop: &String| {
            let ends = stop.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
            ends.filter(|&end| self.held.ends_with(&stop[..end])).max()
        };
        self.stop.iter().filter_map(longest_start).max().unwrap_or(0)
    }

    /// Gives out `len` bytes, and the tokens that begin before their end.
    fn send(&mut self, len: usize) -> Piece {
        let text: String = self.held.drain(..len).collect();
        self.sent_len += len;
        let num = self.logprobs.partition_point(|(start, _)| *start < self.sent_len);
        let logprobs = self.logprobs.drain(..num).map(|(_, logprob)| logprob).collect();
        Piece { text, logprobs }
    }
}
