//! The bodies of the HTTP API: what clients send and what they get, in OpenAI's shapes.
//!
//! Types only. What a value may be beyond its JSON type, and what to do about it, is the server's
//! business. Fields that would change the answer but are not supported are listed as plain JSON,
//! and fields that are not listed are kept, so that they can be refused by name.
#![forbid(unsafe_code)]

mod chat_request;
mod chat_response;
mod completion_request;
mod completion_response;
mod error;
mod models;
mod shared;

pub use chat_request::{ChatRequest, Content, ContentPart, Message, Role};
pub use chat_response::{
    AnswerMessage, ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatLogprobs, Delta,
    LikelyToken, TokenLogprob,
};
pub use completion_request::{CompletionRequest, Prompt};
pub use completion_response::{Completion, CompletionChoice, CompletionLogprobs, LikelyTexts};
pub use error::{ErrorBody, ErrorDetail};
pub use models::{Model, ModelList};
pub use shared::{FinishReason, OneOrMany, PromptTokensDetails, StreamOptions, Usage};
