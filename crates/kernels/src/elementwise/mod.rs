//! Operations on rows of activations.
//!
//! Each is one definition in plain Rust that every instruction set compiles for itself, so all give
//! the same bits; a row's result does not depend on the other rows.

pub(crate) mod compiled;
pub(crate) mod logits;
pub(crate) mod math;
mod parallel;

use std::ops::Range;

use crate::Executor;

pub(crate) use compiled::elementwise_methods;
pub use logits::{Largest, LogitKernels, Share};

/// Root-mean-square norm of rows: `x / sqrt(mean(x²) + eps) · weight`.
#[derive(Debug, Clone, Copy)]
pub struct RmsNorm<'a> {
    /// One factor for each element of a row, or none.
    pub weight: Option<&'a [f32]>,
    /// Added to the mean square.
    pub eps: f32,
    /// Elements of a row.
    pub width: usize,
}

/// The angles of rotary positions, one row for each row of queries or keys.
#[derive(Debug, Clone, Copy)]
pub struct RopeTable<'a> {
    /// `[rows, half]`.
    pub cos: &'a [f32],
    /// `[rows, half]`.
    pub sin: &'a [f32],
    /// Pairs that are rotated in each head.
    pub half: usize,
}

/// Which elements of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopePairing {
    /// Elements `i` and `i + half`.
    Halves,
    /// Elements `2i` and `2i + 1`.
    Interleaved,
}

/// How a row divides into heads.
#[derive(Debug, Clone, Copy)]
pub struct HeadShape {
    /// Heads of a row.
    pub heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
}

/// The curve of a gated feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// `x · Φ(x)` with the normal distribution function Φ.
    Gelu,
    /// The form of GELU with tanh.
    GeluTanh,
}

/// Norms each row of `width` elements of `x` into `out`, of the same length.
pub fn rms_norm(
    exec: &Executor,
    x: &[f32],
    weight: Option<&[f32]>,
    eps: f32,
    width: usize,
    out: &mut [f32],
) {
    assert_eq!(x.len(), out.len(), "x and out have one shape");
    let norm = checked_norm(x, weight, eps, width);
    let kernels = exec.kernels();
    parallel::for_rows(exec, out, width, |start, out| {
        kernels.rms_norm(&norm, &x[start..][..out.len()], out);
    });
}

/// Norms each row of `width` elements in place.
pub fn rms_norm_in_place(
    exec: &Executor,
    x: &mut [f32],
    weight: Option<&[f32]>,
    eps: f32,
    width: usize,
) {
    let norm = checked_norm(x, weight, eps, width);
    let kernels = exec.kernels();
    parallel::for_rows(exec, x, width, |_, x| kernels.rms_norm_in_place(&norm, x));
}

fn checked_norm<'a>(x: &[f32], weight: Option<&'a [f32]>, eps: f32, width: usize) -> RmsNorm<'a> {
    assert!(x.len().is_multiple_of(width), "x is whole rows of {width}");
    assert!(weight.is_none_or(|weight| weight.len() == width), "one weight an element");
    RmsNorm { weight, eps, width }
}

/// Rotates the first `2 · half` elements of each head in place.
///
/// `x`: `[rows, heads, head_dim]`.
pub fn rope(
    exec: &Executor,
    x: &mut [f32],
    heads: usize,
    head_dim: usize,
    table: &RopeTable<'_>,
    pairing: RopePairing,
) {
    let width = heads * head_dim;
    let half = table.half;
    assert!(2 * half <= head_dim, "{half} pairs in a head of {head_dim}");
    assert!(x.len().is_multiple_of(width), "x is whole rows of {width}");
    let rows = x.len() / width;
    assert_eq!((table.cos.len(), table.sin.len()), (rows * half, rows * half), "[rows, half]");
    let (kernels, heads) = (exec.kernels(), HeadShape { heads, head_dim });
    parallel::for_rows(exec, x, width, |start, x| {
        let (first, rows) = (start / width, x.len() / width);
        let angles = first * half..(first + rows) * half;
        let (cos, sin) = (&table.cos[angles.clone()], &table.sin[angles]);
        kernels.rope(x, heads, &RopeTable { cos, sin, half }, pairing);
    });
}

/// `out = activation(gate) · up`, all of one length.
pub fn gated(exec: &Executor, gate: &[f32], up: &[f32], activation: Activation, out: &mut [f32]) {
    assert_eq!((gate.len(), up.len()), (out.len(), out.len()), "gate, up and out have one shape");
    let kernels = exec.kernels();
    parallel::for_rows(exec, out, 1, |start, out| {
        let len = out.len();
        kernels.gated(&gate[start..][..len], &up[start..][..len], activation, out);
    });
}

/// `x += scale · y`, rounded once.
pub fn add_scaled(exec: &Executor, x: &mut [f32], y: &[f32], scale: f32) {
    assert_eq!(x.len(), y.len(), "x and y have one shape");
    let kernels = exec.kernels();
    parallel::for_rows(exec, x, 1, |start, x| {
        kernels.add_scaled(x, &y[start..][..x.len()], scale);
    });
}

/// Adds `bias` to each row of `bias.len()` elements.
pub fn add_bias(exec: &Executor, x: &mut [f32], bias: &[f32]) {
    assert!(x.len().is_multiple_of(bias.len()), "x is whole rows of {}", bias.len());
    let kernels = exec.kernels();
    parallel::for_rows(exec, x, bias.len(), |_, x| kernels.add_bias(x, bias));
}

/// `x *= factor`.
pub fn scale(exec: &Executor, x: &mut [f32], factor: f32) {
    let kernels = exec.kernels();
    parallel::for_rows(exec, x, 1, |_, x| kernels.scale(x, factor));
}

/// `x = cap · tanh(x / cap)`.
pub fn softcap(exec: &Executor, x: &mut [f32], cap: f32) {
    let kernels = exec.kernels();
    parallel::for_rows(exec, x, 1, |_, x| kernels.softcap(x, cap));
}

/// The elementwise kernels of one ISA. Lengths are checked by the functions of the same names and
/// by the methods of [`LogitKernels`].
pub trait Elementwise {
    /// See [`rms_norm`].
    fn rms_norm(&self, norm: &RmsNorm<'_>, x: &[f32], out: &mut [f32]);
    /// See [`rms_norm_in_place`].
    fn rms_norm_in_place(&self, norm: &RmsNorm<'_>, x: &mut [f32]);
    /// See [`rope`].
    fn rope(&self, x: &mut [f32], heads: HeadShape, table: &RopeTable<'_>, pairing: RopePairing);
    /// See [`gated`].
    fn gated(&self, gate: &[f32], up: &[f32], activation: Activation, out: &mut [f32]);
    /// See [`add_scaled`].
    fn add_scaled(&self, x: &mut [f32], y: &[f32], scale: f32);
    /// See [`add_bias`].
    fn add_bias(&self, x: &mut [f32], bias: &[f32]);
    /// See [`scale`].
    fn scale(&self, x: &mut [f32], factor: f32);
    /// See [`softcap`].
    fn softcap(&self, x: &mut [f32], cap: f32);
    /// See [`LogitKernels::argmax`].
    fn argmax(&self, x: &[f32]) -> Largest;
    /// See [`LogitKernels::weigh`].
    fn weigh(&self, x: &[f32], max: f32, factor: f32, out: &mut [f32]);
    /// See [`LogitKernels::share`].
    fn share(&self, x: &[f32], least: f32) -> Share;
    /// See [`LogitKernels::indices_in`].
    fn indices_in(&self, x: &[f32], range: &Range<f32>, out: &mut [u32]) -> usize;
    /// See [`LogitKernels::position_above`].
    fn position_above(&self, x: &[f32], floor: f32) -> Option<usize>;
}
