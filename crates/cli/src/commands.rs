//! One file per command.

pub(crate) mod bench;
pub(crate) mod doctor;
pub(crate) mod info;
pub(crate) mod models;
pub(crate) mod perplexity;
pub(crate) mod run;
pub(crate) mod serve;
