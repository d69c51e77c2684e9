//! Measures speed: of a model in this process, with the rows of llama.cpp's `llama-bench`, and of a
//! server over HTTP ([`load`]), with a report of several ([`servers`]).
//!
//! A [`Grid`] of lengths, depths and batches gives [`Test`]s; a [`Bench`] runs them one by one on a
//! [`Model`](russet_decoder::Model) and gives a [`Row`] of figures each, which [`Table`] prints.
//! Decoding is held against the memory bandwidth that is measured beside it. This crate knows no
//! device and no model file; what a token costs comes in as [`Costs`]. Start reading at
//! [`Bench::run`].
#![forbid(unsafe_code)]

mod bandwidth;
mod error;
mod grid;
pub mod load;
mod report;
mod run;
mod sequences;
pub mod servers;
mod table;

pub use error::Error;
pub use grid::{Grid, Kind, Test};
pub use report::{Bandwidth, Costs, Row, Spread};
pub use run::{Bench, Settings, Stage};
pub use table::Table;
