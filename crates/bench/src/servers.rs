//! A benchmark of several servers: which take part, and the report of what was measured.
//!
//! An [`ArmSpec`] says what takes part, [`LevelReport::of`] makes figures of what
//! [`Comparison`](crate::load::Comparison) measured, and [`Report`] holds everything; it is its own
//! JSON form, and [`Report::text`], [`Report::csv`], [`Report::markdown`] and [`Report::html`] show
//! it. Nothing here starts a process: who runs the benchmark does. Start reading at [`Report`].

mod arm_spec;
mod baseline;
mod cells;
mod chart;
mod contrast;
mod csv;
mod date;
mod error;
mod footprint;
mod html;
mod level_report;
mod metric;
mod pages;
mod remarks;
mod report;
mod request_report;
#[cfg(test)]
mod sample;
mod tables;
mod template;

pub use arm_spec::{ArmSpec, Launcher};
pub use baseline::{Baseline, Regression};
pub use contrast::{Contrast, Verdict};
pub use date::utc;
pub use error::Error;
pub use footprint::{Footprint, Meter};
pub use level_report::{LevelReport, Row, version};
pub use metric::{Better, METRICS, Metric};
pub use report::{ArmReport, Machine, Plan, Report};
pub use request_report::{Answer, RequestError, RequestReport};
pub use template::Values;
