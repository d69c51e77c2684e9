//! What can go wrong in this crate.

use russet_tensor::ShapeError;

use crate::Isa;

/// A refusal by the kernels. Products themselves cannot fail; only choosing an ISA and taking
/// memory can.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A forced ISA that this CPU (or this build) does not have.
    #[error("isa {isa} is not available here; available: {}", list(.available))]
    IsaUnavailable {
        /// The ISA asked for.
        isa: Isa,
        /// What this CPU has, best first.
        available: Vec<Isa>,
    },
    /// A name that is no ISA.
    #[error("unknown isa {found:?}; accepted: {}", list(&Isa::ALL))]
    UnknownIsa {
        /// The name found.
        found: String,
    },
    /// The system has no memory for a buffer.
    #[error("cannot allocate {bytes} bytes")]
    OutOfMemory {
        /// Size of the buffer.
        bytes: usize,
    },
    /// A key-value block without elements.
    #[error(
        "a key-value layout of block_len {block_len}, num_kv_heads {num_kv_heads}, k_dim {k_dim}, \
         v_dim {v_dim}; each must be at least 1"
    )]
    EmptyKv {
        /// Slots of a block.
        block_len: usize,
        /// Key-value heads.
        num_kv_heads: usize,
        /// Elements of a key.
        k_dim: usize,
        /// Elements of a value.
        v_dim: usize,
    },
    /// Blocks of bf16 keys and values of such a length have no layout.
    #[error("blocks of {found} slots of bf16 keys and values; accepted: multiples of {multiple}")]
    KvBlock {
        /// Slots of a block.
        found: usize,
        /// What they must be multiples of.
        multiple: usize,
    },
    /// The parts of a matrix do not fit its shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An affine group length that the packed form does not have.
    #[error("affine groups of {found} columns; accepted: 32, 64, 128")]
    Group {
        /// The group length found.
        found: usize,
    },
    /// A row order that does not fit the number of rows.
    #[error("{rows} rows are not {heads} heads of an even number of rows")]
    Heads {
        /// Rows of the matrix.
        rows: usize,
        /// Heads of the row order.
        heads: usize,
    },
}

fn list(isas: &[Isa]) -> String {
    isas.iter().map(Isa::to_string).collect::<Vec<_>>().join(", ")
}
