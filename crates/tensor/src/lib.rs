//! Element types, shapes and quantised-block layouts as types and byte views. No arithmetic on
//! tensors.
//!
//! A weight travels as a [`MatrixView`]: the bytes of the file, how they encode numbers, and the
//! shape. `weights` makes views, `kernels` packs them; neither knows the other. Start reading at
//! [`MatrixView`].
#![forbid(unsafe_code)]

mod float;
mod ggml;
mod matrix;
mod mlx;

pub use float::{FloatSlice, FloatType};
pub use ggml::GgmlType;
pub use matrix::{MatrixData, MatrixView, RowMap, ShapeError};
pub use mlx::{AffineBits, FpFormat, fp4_value, fp8_e4m3_value, fp8_e8m0_value};
