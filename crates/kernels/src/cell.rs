//! What keys and values are stored as, and how that is multiplied.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::attention::Lanes;
use crate::pair::Pair;

/// What a [`KvPool`](crate::KvPool) holds: plain bits of any value.
pub(crate) trait Stored: Copy + Default + Send + Sync + 'static {
    /// Elements of a cell: dimensions of a key, or slots of a value.
    const PER_CELL: usize;
    /// What queries and weights are multiplied as.
    type Factor: Copy;
    /// A vector of cells, ready to be multiplied.
    type Loaded<L: Lanes>: Copy;

    /// The one of two forms of the same factors that is multiplied.
    fn factors<'a>(floats: &'a [f32], pairs: &'a [Pair]) -> &'a [Self::Factor];
    /// Element `i` of a cell.
    fn element(self, i: usize) -> f32;
    /// Rounds a key and stores its cells at every `step`-th element of `to`.
    fn store_key(key: &[f32], to: &mut [Self], step: usize);
    /// Rounds a value and stores it at a slot of a block whose rows of cells have a length.
    fn store_value(value: &[f32], to: &mut [Self], slot_and_stride: (usize, usize));
    /// What element `i` of a cell is multiplied with.
    fn factor(factor: Self::Factor, i: usize) -> f32;
    /// Loads a vector from the first cells of `from`.
    fn load<L: Lanes>(lanes: L, from: &[Self]) -> Self::Loaded<L>;
    /// A factor in every lane.
    fn splat<L: Lanes>(lanes: L, factor: Self::Factor) -> Self::Loaded<L>;
    /// `sum` plus the products of cells and factor.
    fn add<L: Lanes>(
        lanes: L,
        factor: Self::Loaded<L>,
        cells: Self::Loaded<L>,
        sum: L::Vector,
    ) -> L::Vector;
}

/// An element that is a cell by itself.
pub(crate) trait Rounded: Stored {
    /// The exact value.
    fn widen(self) -> f32;
    /// Rounds to nearest, ties to even. The lengths are equal.
    fn round(from: &[f32], to: &mut [Self]);
    /// Loads a vector, widened, from the first elements of `from`.
    fn load_wide<L: Lanes>(lanes: L, from: &[Self]) -> L::Vector;
}

/// Rounds `from` piece by piece and stores the cells at every `step`-th element of `to`.
pub(crate) fn scatter<T: Stored>(
    from: &[f32],
    to: &mut [T],
    step: usize,
    round: impl Fn(&[f32], &mut [T]),
) {
    const PIECE_CELLS: usize = 64;
    let mut rounded = [T::default(); PIECE_CELLS];
    for (i, piece) in from.chunks(PIECE_CELLS * T::PER_CELL).enumerate() {
        let rounded = &mut rounded[..piece.len().div_ceil(T::PER_CELL)];
        round(piece, rounded);
        let places = to[i * PIECE_CELLS * step..].iter_mut().step_by(step);
        for (place, cell) in places.zip(rounded) {
            *place = *cell;
        }
    }
}

macro_rules! stored_alone {
    ($type:ty) => {
        impl Stored for $type {
            const PER_CELL: usize = 1;
            type Factor = f32;
            type Loaded<L: Lanes> = L::Vector;

            fn factors<'a>(floats: &'a [f32], _pairs: &'a [Pair]) -> &'a [f32] {
                floats
            }

            #[inline(always)]
            fn element(self, _i: usize) -> f32 {
                self.widen()
            }

            fn store_key(key: &[f32], to: &mut [Self], step: usize) {
                scatter(key, to, step, <Self as Rounded>::round);
            }

            fn store_value(value: &[f32], to: &mut [Self], (slot, stride): (usize, usize)) {
                <Self as Rounded>::round(value, &mut to[slot * stride..][..value.len()]);
            }

            #[inline(always)]
            fn factor(factor: f32, _i: usize) -> f32 {
                factor
            }

            #[inline(always)]
            fn load<L: Lanes>(lanes: L, from: &[Self]) -> L::Vector {
                Self::load_wide(lanes, from)
            }

            #[inline(always)]
            fn splat<L: Lanes>(lanes: L, factor: f32) -> L::Vector {
                lanes.splat(factor)
            }

            #[inline(always)]
            fn add<L: Lanes>(
                lanes: L,
                factor: L::Vector,
                cells: L::Vector,
                sum: L::Vector,
            ) -> L::Vector {
                lanes.mul_add(factor, cells, sum)
            }
        }
    };
}

stored_alone!(f32);
stored_alone!(f16);

impl Rounded for f32 {
    fn widen(self) -> f32 {
        self
    }

    fn round(from: &[f32], to: &mut [Self]) {
        to.copy_from_slice(from);
    }

    #[inline(always)]
    fn load_wide<L: Lanes>(lanes: L, from: &[Self]) -> L::Vector {
        lanes.load(from)
    }
}

impl Rounded for f16 {
    fn widen(self) -> f32 {
        self.to_f32()
    }

    fn round(from: &[f32], to: &mut [Self]) {
        to.convert_from_f32_slice(from);
    }

    #[inline(always)]
    fn load_wide<L: Lanes>(lanes: L, from: &[Self]) -> L::Vector {
        lanes.load_f16(from)
    }
}
