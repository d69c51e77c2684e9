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
    /// Characters that were given out.
    num_sent: usize,
    /// Tokens whose text was not given out.
    logprobs: VecDeque<PlacedLogprob>,
}

/// A token's log-probability.
#[derive(Debug, PartialEq)]
pub(crate) struct PlacedLogprob {
    /// Characters of the text before the token.
    pub(crate) offset: usize,
    pub(crate) logprob: TokenLogprob,
}

/// Text to give out, with the log-probabilities of its tokens.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) logprobs: Vec<PlacedLogprob>,
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
        Self { decoder, stop, held, num_sent: 0, logprobs }
    }

    /// Adds a token.
    pub(crate) fn push(&mut self, id: u32, logprob: Option<TokenLogprob>) -> Progress {
        let offset = self.num_sent + self.held.chars().count();
        self.logprobs.extend(logprob.map(|logprob| PlacedLogprob { offset, logprob }));
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
        piece.logprobs.extend(self.logprobs.drain(..));
        Progress::More(piece)
    }

    /// Where the stop string begins that is complete first, or the longest of several.
    fn find_stop(&self) -> Option<usize> {
        let short = self.stop.iter().filter(|stop| stop.len() <= self.held.len());
        let found = short.filter_map(|s| self.held.find(s).map(|at| (at + s.len(), at)));
        found.min().map(|(_, at)| at)
    }

    /// Bytes at the end that begin some stop string.
    fn undecided_len(&self) -> usize {
        let longest_start = |stop: &String| {
            let ends = stop.char_indices().map(|(at, _)| at).skip(1);
            let short = ends.take_while(|end| *end <= self.held.len());
            short.filter(|&end| self.held.ends_with(&stop[..end])).last()
        };
        self.stop.iter().filter_map(longest_start).max().unwrap_or(0)
    }

    /// Gives out `len` bytes, and the tokens that begin before their end.
    fn send(&mut self, len: usize) -> Piece {
        let text: String = self.held.drain(..len).collect();
        self.num_sent += text.chars().count();
        let num = self.logprobs.partition_point(|placed| placed.offset < self.num_sent);
        let logprobs = self.logprobs.drain(..num).collect();
        Piece { text, logprobs }
    }
}
