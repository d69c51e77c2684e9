//! Which backend serves a model: what each can do, what is installed, and what fits.
//!
//! Start reading at [`elect`]. Nothing here reads the environment or knows an architecture; the
//! caller says what the native backend thinks of the model.
#![forbid(unsafe_code)]

mod backend;
mod capabilities;
mod elect;
mod fit;
mod identity;
mod install;
mod launch;
#[cfg(unix)]
pub mod process;
pub mod upstream;

pub use backend::{Backend, UnknownBackend};
pub use capabilities::{Capabilities, Feature};
pub use elect::{Candidate, Demand, Election, Model, Refusal, elect};
pub use fit::{Fit, TooBig};
pub use identity::ModelId;
pub use install::{Installed, Launcher, NotFound, Programs};
pub use launch::{Launch, MLX_MODEL_NAME};
pub use upstream::Upstream;
