//! Blocks of cached keys and values of one layer.

use half::f16;

use crate::cell::{Rounded, Stored};
use crate::disjoint::DisjointMut;
use crate::elementwise::math::NUM_LANES;
use crate::pair::Pair;
use crate::{AlignedBytes, Error, Executor};

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KvType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of binary32. Queries and weights are rounded to it too, and multiplied in
    /// pairs.
    BF16,
}

impl KvType {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

/// The shape of a block.
///
/// A block holds, for each key-value head, keys `[k_dim][block_len]` and then values
/// `[block_len][v_dim]`. Keys lie by dimension so that the scores of many slots are computed side
/// by side, without sums across a vector. Of bf16, two dimensions of a key and two slots of a value
/// lie side by side: `[k_dim / 2][block_len][2]` and `[block_len / 2][v_dim][2]`, with `k_dim`
/// rounded up to 2 and `v_dim` to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KvLayout {
    /// Element type.
    pub dtype: KvType,
    /// Slots (tokens) of a block. Multiples of 16 are fastest; bf16 takes no others.
    pub block_len: usize,
    /// Key-value heads.
    pub num_kv_heads: usize,
    /// Elements of a key.
    pub k_dim: usize,
    /// Elements of a value.
    pub v_dim: usize,
}

impl KvLayout {
    /// Bytes of one block.
    pub const fn block_bytes(&self) -> usize {
        self.num_kv_heads * self.head_len() * self.dtype.bytes()
    }

    /// Elements of one head of a block.
    pub(crate) const fn head_len(&self) -> usize {
        self.block_len * (self.k_stride() + self.v_stride())
    }

    /// Elements that a key takes.
    const fn k_stride(&self) -> usize {
        match self.dtype {
            KvType::F32 | KvType::F16 => self.k_dim,
            KvType::BF16 => self.k_dim.next_multiple_of(2),
        }
    }

    /// Elements that a value takes.
    pub(crate) const fn v_stride(&self) -> usize {
        match self.dtype {
            KvType::F32 | KvType::F16 => self.v_dim,
            KvType::BF16 => self.v_dim.next_multiple_of(NUM_LANES),
        }
    }

    /// Whether every extent is at least one and the size of a pool fits the address space.
    fn pool_bytes(&self, num_blocks: usize) -> Result<usize, Error> {
        let Self { block_len, num_kv_heads, k_dim, v_dim, .. } = *self;
        if [block_len, num_kv_heads, k_dim, v_dim].contains(&0) {
            return Err(Error::EmptyKv { block_len, num_kv_heads, k_dim, v_dim });
        }
        if self.dtype == KvType::BF16 && !block_len.is_multiple_of(NUM_LANES) {
            return Err(Error::KvBlock { found: block_len, multiple: NUM_LANES });
        }
        let factors = [block_len, num_kv_heads, self.dtype.bytes(), num_blocks];
        // Two dimensions that do not fit the address space together do not when rounded up.
        let row_len = match k_dim.checked_add(v_dim) {
            Some(len) if len < usize::MAX / 2 => self.k_stride() + self.v_stride(),
            _ => usize::MAX,
        };
        let pool_bytes = factors.into_iter().try_fold(row_len, usize::checked_mul);
        pool_bytes.ok_or(Error::OutOfMemory { bytes: usize::MAX })
    }
}

/// Elements from which several threads write: keys go to many lines that are in no cache.
const MIN_PARALLEL_LEN: usize = 2048;

/// The blocks of one layer, zero at first.
#[derive(Debug)]
pub struct KvPool {
    layout: KvLayout,
    num_blocks: usize,
    bytes: AlignedBytes,
}

impl KvPool {
    /// Takes memory for `num_blocks` blocks.
    ///
    /// # Errors
    /// If an extent of the layout is zero or there is no memory.
    pub fn new(layout: KvLayout, num_blocks: usize) -> Result<Self, Error> {
        let bytes = AlignedBytes::zeroed(layout.pool_bytes(num_blocks)?)?;
        Ok(Self { layout, num_blocks, bytes })
    }

    /// The shape of each block.
    pub fn layout(&self) -> &KvLayout {
        &self.layout
    }

    /// Number of blocks.
    pub fn num_blocks(&self) -> usize {
        self.num_blocks
    }

    /// Stores one token, each element rounded to the nearest, ties to even.
    ///
    /// `k`: `[num_kv_heads, k_dim]`; `v`: `[num_kv_heads, v_dim]`. Panics if a length differs or
    /// the block or slot is out of range.
    pub fn write(&mut self, block: u32, slot: usize, k: &[f32], v: &[f32]) {
        self.write_on(None, &[(block, slot)], k, v);
    }

    /// Stores the tokens of some rows, each in its block and slot.
    ///
    /// `k`: `[rows, num_kv_heads, k_dim]`; `v`: `[rows, num_kv_heads, v_dim]`. Panics as
    /// [`write`](Self::write).
    pub fn write_rows(&mut self, exec: &Executor, slots: &[(u32, usize)], k: &[f32], v: &[f32]) {
        let exec = (k.len() + v.len() >= MIN_PARALLEL_LEN).then_some(exec);
        self.write_on(exec, slots, k, v);
    }

    /// On all threads of `exec`, or on this one.
    fn write_on(&mut self, exec: Option<&Executor>, slots: &[(u32, usize)], k: &[f32], v: &[f32]) {
        match self.layout.dtype {
            KvType::F32 => self.write_as::<f32>(exec, slots, k, v),
            KvType::F16 => self.write_as::<f16>(exec, slots, k, v),
            KvType::BF16 => self.write_as::<Pair>(exec, slots, k, v),
        }
    }

    fn write_as<T: Stored>(
        &mut self,
        exec: Option<&Executor>,
        slots: &[(u32, usize)],
        k: &[f32],
        v: &[f32],
    ) {
        let KvLayout { block_len, num_kv_heads: heads, k_dim, v_dim, .. } = self.layout;
        assert_eq!(k.len(), slots.len() * heads * k_dim, "k is [rows, num_kv_heads, k_dim]");
        assert_eq!(v.len(), slots.len() * heads * v_dim, "v is [rows, num_kv_heads, v_dim]");
        let head_len = self.layout.head_len() / T::PER_CELL;
        let keys_len = block_len * self.layout.k_stride() / T::PER_CELL;
        let v_stride = self.layout.v_stride();
        let cells = DisjointMut::new(elements_mut::<T>(&mut self.bytes));
        // First the keys of each head, then the values.
        let write = |task: usize| {
            let head = task % heads;
            for (row, &(block, slot)) in slots.iter().enumerate() {
                assert!(slot < block_len, "slot {slot} of {block_len}");
                let (start, row) = ((block as usize * heads + head) * head_len, row * heads + head);
                if task < heads {
                    // SAFETY: the keys of a head belong to one task.
                    let keys = unsafe { cells.slice(start..start + keys_len) };
                    T::store_key(&k[row * k_dim..][..k_dim], &mut keys[slot..], block_len);
                } else {
                    // SAFETY: and so do its values.
                    let values = unsafe { cells.slice(start + keys_len..start + head_len) };
                    T::store_value(&v[row * v_dim..][..v_dim], values, (slot, v_stride));
                }
            }
        };
        match exec {
            Some(exec) => exec.pool().run(2 * heads, write),
            None => (0..2 * heads).for_each(write),
        }
    }

    fn read_pairs(&self, block: u32, slot: usize, k: &mut [f32], v: &mut [f32]) {
        let KvLayout { block_len, k_dim, v_dim, .. } = self.layout;
        self.check_token(slot, (k.len(), v.len()));
        let outputs = k.chunks_exact_mut(k_dim).zip(v.chunks_exact_mut(v_dim));
        for (head, (k, v)) in outputs.enumerate() {
            let (keys, values) = self.head::<Pair>(block, head);
            for (k, pair) in k.chunks_mut(2).zip(keys[slot..].iter().step_by(block_len)) {
                k.iter_mut().enumerate().for_each(|(i, k)| *k = pair.get(i));
            }
            for (v, pair) in v.iter_mut().zip(&values[slot / 2 * self.layout.v_stride()..]) {
                *v = pair.get(slot % 2);
            }
        }
    }

    /// Panics unless a token of such lengths fits the slot.
    fn check_token(&self, slot: usize, (k_len, v_len): (usize, usize)) {
        let KvLayout { block_len, num_kv_heads, k_dim, v_dim, .. } = self.layout;
        assert_eq!(k_len, num_kv_heads * k_dim, "k is [num_kv_heads, k_dim]");
        assert_eq!(v_len, num_kv_heads * v_dim, "v is [num_kv_heads, v_dim]");
        assert!(slot < block_len, "slot {slot} of {block_len}");
    }

    /// The token in one slot as it is stored: `k` and `v` as in [`write`](Self::write).
    pub fn read(&self, block: u32, slot: usize, k: &mut [f32], v: &mut [f32]) {
        match self.layout.dtype {
            KvType::F32 => self.read_as::<f32>(block, slot, k, v),
            KvType::F16 => self.read_as::<f16>(block, slot, k, v),
            KvType::BF16 => self.read_pairs(block, slot, k, v),
        }
    }

    fn read_as<T: Rounded>(&self, block: u32, slot: usize, k: &mut [f32], v: &mut [f32]) {
        let KvLayout { block_len, k_dim, v_dim, .. } = self.layout;
        self.check_token(slot, (k.len(), v.len()));
        let outputs = k.chunks_exact_mut(k_dim).zip(v.chunks_exact_mut(v_dim));
        for (head, (k, v)) in outputs.enumerate() {
            let (keys, values) = self.head::<T>(block, head);
            for (k, stored) in k.iter_mut().zip(keys[slot..].iter().step_by(block_len)) {
                *k = stored.widen();
            }
            for (v, stored) in v.iter_mut().zip(&values[slot * v_dim..]) {
                *v = stored.widen();
            }
        }
    }

    /// Copies a whole block.
    pub fn copy_block(&mut self, from: u32, to: u32) {
        let len = self.layout.block_bytes();
        assert!((to as usize) < self.num_blocks, "block {to} of {}", self.num_blocks);
        let start = from as usize * len;
        self.bytes.copy_within(start..start + len, to as usize * len);
    }

    /// The bytes of a block, to be saved or sent; the form is this crate's own.
    pub fn block(&self, block: u32) -> &[u8] {
        let len = self.layout.block_bytes();
        &self.bytes[block as usize * len..][..len]
    }

    /// The bytes of a block, to be restored.
    pub fn block_mut(&mut self, block: u32) -> &mut [u8] {
        let len = self.layout.block_bytes();
        &mut self.bytes[block as usize * len..][..len]
    }

    /// Keys `[k_dim][block_len]` and values `[block_len][v_dim]` of one head of a block, in cells
    /// of one or two elements.
    pub(crate) fn head<T: Stored>(&self, block: u32, kv_head: usize) -> (&[T], &[T]) {
        let head_len = self.layout.head_len() / T::PER_CELL;
        let head = &elements::<T>(self.block(block))[kv_head * head_len..][..head_len];
        head.split_at(self.layout.block_len * self.layout.k_stride() / T::PER_CELL)
    }
}

fn elements<T: Stored>(bytes: &[u8]) -> &[T] {
    // SAFETY: `Stored` types (f32, f16, pairs of bf16) are plain bits for which every pattern is
    // valid.
    let (before, elements, after) = unsafe { bytes.align_to::<T>() };
    assert!(before.is_empty() && after.is_empty(), "blocks are aligned and whole");
    elements
}

fn elements_mut<T: Stored>(bytes: &mut [u8]) -> &mut [T] {
    // SAFETY: as in `elements`.
    let (before, elements, after) = unsafe { bytes.align_to_mut::<T>() };
    assert!(before.is_empty() && after.is_empty(), "blocks are aligned and whole");
    elements
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn layout(dtype: KvType) -> KvLayout {
        KvLayout { dtype, block_len: 16, num_kv_heads: 2, k_dim: 69, v_dim: 3 }
    }

    #[test]
    fn tokens_come_back_rounded_to_nearest_even() {
        // 1 + 2^-11 lies between two f16 values; so does 1 + 3·2^-11. Both go to the even one.
        let k: Vec<f32> = (0..138).map(|i| 1.0 + i as f32 / 2048.0).collect();
        let v = [1.0, 65504.0, 65520.0, -0.0, 1e-8, f32::NEG_INFINITY];
        for dtype in [KvType::F32, KvType::F16, KvType::BF16] {
            let mut pool = KvPool::new(layout(dtype), 3).unwrap();
            pool.write(2, 4, &k, &v);
            let (mut k_back, mut v_back) = ([0.0; 138], [0.0; 6]);
            pool.read(2, 4, &mut k_back, &mut v_back);
            let round = |x: f32| match dtype {
                KvType::F32 => x,
                KvType::F16 => f16::from_f32(x).to_f32(),
                KvType::BF16 => bf16::from_f32(x).to_f32(),
            };
            assert!(k.iter().zip(k_back).all(|(&a, b)| round(a) == b), "{dtype:?}");
            assert!(v.iter().zip(v_back).all(|(&a, b)| round(a) == b), "{dtype:?}");
        }
        assert_eq!(f16::from_f32(1.0 + 1.0 / 2048.0).to_f32(), 1.0);
    }

    #[test]
    fn a_copied_block_is_equal_and_its_neighbours_are_untouched() {
        let mut pool = KvPool::new(layout(KvType::BF16), 4).unwrap();
        pool.write(1, 0, &[2.0; 138], &[3.0; 6]);
        pool.copy_block(1, 3);
        assert_eq!(pool.block(1), pool.block(3));
        assert!(pool.block(2).iter().chain(pool.block(0)).all(|&byte| byte == 0));
        assert_eq!(pool.block(0).len(), 2 * 16 * (70 + 16) * 2);
    }

    #[test]
    fn impossible_pools_are_errors() {
        let empty = KvLayout { v_dim: 0, ..layout(KvType::F16) };
        let message = KvPool::new(empty, 1).unwrap_err().to_string();
        assert!(message.contains("v_dim 0"), "{message}");
        assert!(KvPool::new(layout(KvType::F16), usize::MAX / 8).is_err());
        for dtype in [KvType::F16, KvType::BF16] {
            let huge = KvLayout { k_dim: usize::MAX - 3, ..layout(dtype) };
            assert!(KvPool::new(huge, 1).is_err());
        }
        let odd = KvLayout { block_len: 20, ..layout(KvType::BF16) };
        let message = KvPool::new(odd, 1).unwrap_err().to_string();
        assert!(message.contains("20 slots"), "{message}");
    }
}
