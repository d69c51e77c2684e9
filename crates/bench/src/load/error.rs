//! Why a load cannot be sent at all. What goes wrong with one request is a
//! [`Fault`](super::Fault).

use std::io;
use std::path::PathBuf;

/// Why a load cannot be sent at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's address is none.
    #[error(
        "`{found}` is no base URL: {problem}; accepted: http://host:port/v1 or https://host/v1"
    )]
    BaseUrl {
        /// The text.
        found: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The key cannot be sent. It is not repeated here.
    #[error("the API key of `{arm}` has characters that no HTTP header may have")]
    ApiKey {
        /// Whose key.
        arm: String,
    },
    /// A field that the measurement depends on.
    #[error("`{field}` may not be among the extra fields of `{arm}`: every request sets it")]
    ReservedField {
        /// Whose fields.
        arm: String,
        /// The field.
        field: String,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client for `{arm}` could not be made: {source}")]
    Client {
        /// For which server.
        arm: String,
        /// What it reported.
        source: reqwest::Error,
    },
    /// A server does not say which models it has.
    #[error("`{arm}` does not say at {url} which models it serves: {problem}")]
    Models {
        /// Which server.
        arm: String,
        /// Where it was asked.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// Arrivals at no rate.
    #[error("the rate of arrivals is {found} requests per second; accepted: a number above 0")]
    Rate {
        /// The rate asked for.
        found: f64,
    },
    /// A turn needs the answer before it, and arrivals wait for none.
    #[error(
        "conversations of {turns} turns cannot arrive at a rate, because a turn waits for the \
         answer before it; accepted: one turn, or a closed loop"
    )]
    TurnsAtARate {
        /// Turns of a conversation.
        turns: usize,
    },
    /// Nothing to compare.
    #[error("{found} servers were given; a comparison needs at least 2")]
    TooFewArms {
        /// How many there are.
        found: usize,
    },
    /// Two servers that no report could tell apart.
    #[error("two servers are named `{name}`; each needs a name of its own")]
    SameName {
        /// The name.
        name: String,
    },
    /// A file of prompts could not be read.
    #[error("cannot read the prompts of {}: {source}", path.display())]
    PromptFile {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// A file of prompts that is too large.
    #[error(
        "{} has {found_bytes} bytes; files of prompts may have {limit_bytes}", path.display()
    )]
    PromptFileSize {
        /// The file.
        path: PathBuf,
        /// Its size.
        found_bytes: u64,
        /// The largest accepted.
        limit_bytes: u64,
    },
    /// A line that is no prompt.
    #[error(
        "{}, line {line}: {problem}; accepted: {{\"messages\": [{{\"role\": ..., ...}}, ...]}} \
         or {{\"prompt\": \"...\"}}",
        path.display()
    )]
    PromptLine {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What was found.
        problem: String,
    },
    /// A file without a prompt.
    #[error("{} has no line with a prompt", path.display())]
    NoPrompts {
        /// The file.
        path: PathBuf,
    },
}
