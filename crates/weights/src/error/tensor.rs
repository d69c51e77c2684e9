//! What can be wrong with one tensor.

use russet_tensor::ShapeError;

/// What is wrong with one tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The model needs it and the file lacks it.
    #[error("{role} is missing")]
    Missing {
        /// Role and part.
        role: String,
    },
    /// The file has it and the architecture has not.
    #[error("the architecture has no such tensor")]
    Unexpected,
    /// Another shape than the configuration implies.
    #[error("shape {found:?}, {expected:?} expected")]
    Shape {
        /// Shape in the file, outermost first.
        found: Vec<usize>,
        /// Shape needed.
        expected: Vec<usize>,
    },
    /// An element type that is not read here.
    #[error("type {found} is not read here; accepted: {accepted}")]
    Type {
        /// The type in the file.
        found: String,
        /// The accepted types.
        accepted: &'static str,
    },
    /// Shapes of codes and scales that no quantisation of MLX has.
    #[error(
        "codes {codes:?} and {scale_type} scales {scales:?} are no MLX quantisation of \
         {cols} columns"
    )]
    Quantization {
        /// Shape of the codes.
        codes: Vec<usize>,
        /// Shape of the scales.
        scales: Vec<usize>,
        /// Columns of the matrix.
        cols: usize,
        /// Element type of the scales.
        scale_type: String,
    },
    /// The configuration lists another quantisation for this very tensor than its shapes have.
    #[error("the configuration lists {listed}, the file has {found}")]
    Contradiction {
        /// What the configuration says.
        listed: String,
        /// What the shapes and types say.
        found: String,
    },
    /// Parts that do not fit each other.
    #[error(transparent)]
    Parts(#[from] ShapeError),
    /// Rows that cannot be paired per head.
    #[error("{rows} rows are not {heads} heads of an even number of rows")]
    Heads {
        /// Rows found.
        rows: usize,
        /// Heads in the configuration.
        heads: usize,
    },
}
