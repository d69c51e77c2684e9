//! The HTTP API over an engine, and the only place with status codes.
//!
//! A request's path: `routes/` parse a body, `admit.rs` makes engine requests of it or refuses it,
//! `generation.rs` runs them and turns tokens into text, `stream.rs` sends that as it comes or as
//! a whole. `relay.rs` has another server answer instead. Start at [`serve`].
#![forbid(unsafe_code)]

mod admit;
mod body;
mod error;
mod generation;
mod host;
mod relay;
mod routes;
mod serve;
mod settings;
mod shape;
mod state;
mod stream;
mod text;

pub use routes::router;
pub use serve::serve;
pub use settings::ServerSettings;
pub use state::{Catalog, EngineModel, ServedBy, ServedModel, ServerState};
