//! The forms of weights as constants, so that each is a loop of its own.

use crate::pack::LINE_BYTES;
use crate::quant::ScaleKind;

/// Kinds of codes.
pub(crate) const TWO: u8 = 0;
pub(crate) const THREE: u8 = 1;
pub(crate) const NIBBLE: u8 = 2;
pub(crate) const TABLE: u8 = 3;
pub(crate) const FIVE: u8 = 4;
pub(crate) const SIX: u8 = 5;
pub(crate) const BYTE: u8 = 6;

/// Kinds of scales.
pub(crate) const FLOATS: u8 = 0;
pub(crate) const BYTES: u8 = 1;
pub(crate) const NIBBLES: u8 = 2;
/// In place of a kind of scales, where second codes are multiplied. So a function has one caller
/// for each of its instances and is inlined, which keeps sums in registers.
pub(crate) const REST: u8 = 3;
/// The same for second codes that are multiplied beside the first.
#[cfg(target_arch = "x86_64")]
pub(crate) const SECOND: u8 = 4;

/// Calls `$of_form!(kind of codes, columns of a step, kind of scales)` with the constants of the
/// tile.
macro_rules! with_form {
    ($tile:ident, $of_form:ident) => {
        match ($tile.form.codes, $tile.form.step(), $tile.form.scale) {
            (CodeKind::Two, 16, ScaleKind::Nibbles) => $of_form!(TWO, 16, NIBBLES),
            (CodeKind::Two, 32, ScaleKind::Float(_)) => $of_form!(TWO, 32, FLOATS),
            (CodeKind::Three, 16, ScaleKind::Bytes) => $of_form!(THREE, 16, BYTES),
            (CodeKind::Three, 32, ScaleKind::Float(_)) => $of_form!(THREE, 32, FLOATS),
            (CodeKind::Nibble, 32, ScaleKind::Float(_)) => $of_form!(NIBBLE, 32, FLOATS),
            (CodeKind::Nibble, 32, ScaleKind::Bytes) => $of_form!(NIBBLE, 32, BYTES),
            (CodeKind::Table(_), 16, ScaleKind::Float(_)) => $of_form!(TABLE, 16, FLOATS),
            (CodeKind::Table(_), 32, ScaleKind::Float(_)) => $of_form!(TABLE, 32, FLOATS),
            (CodeKind::Table(_), 32, ScaleKind::Bytes) => $of_form!(TABLE, 32, BYTES),
            (CodeKind::Five, 32, ScaleKind::Float(_)) => $of_form!(FIVE, 32, FLOATS),
            (CodeKind::Five, 32, ScaleKind::Bytes) => $of_form!(FIVE, 32, BYTES),
            (CodeKind::Six, 16, ScaleKind::Bytes) => $of_form!(SIX, 16, BYTES),
            (CodeKind::Six, 32, ScaleKind::Float(_)) => $of_form!(SIX, 32, FLOATS),
            (CodeKind::Byte, 32, ScaleKind::Float(_)) => $of_form!(BYTE, 32, FLOATS),
            form => unreachable!("no format has the form {form:?}"),
        }
    };
}
pub(crate) use with_form;

/// The kind of a tile's scales, as a constant as far as it is one.
#[inline(always)]
pub(crate) fn scale_kind<const SCALE: u8>(kind: ScaleKind) -> ScaleKind {
    match (SCALE, kind) {
        (FLOATS, ScaleKind::Float(ty)) => ScaleKind::Float(ty),
        (BYTES, ScaleKind::Bytes) => ScaleKind::Bytes,
        (NIBBLES, ScaleKind::Nibbles) => ScaleKind::Nibbles,
        (REST, kind) => kind,
        _ => unreachable!("the kernel of another form"),
    }
}

/// Bytes of the codes of a block.
pub(crate) const fn block_bytes(kind: u8) -> usize {
    let bits = match kind {
        TWO => 2,
        THREE => 3,
        NIBBLE | TABLE => 4,
        FIVE => 5,
        SIX => 6,
        _ => 8,
    };
    bits * LINE_BYTES
}
