//! What can be wrong with a GGUF file.

/// What is wrong with a GGUF file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GgufError {
    /// The first bytes are not `GGUF`.
    #[error("not a GGUF file: it starts with {found:?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A version or byte order that is not read.
    #[error("GGUF {found} is not read; versions 2 and 3, little-endian, are accepted")]
    Version {
        /// The version, in words.
        found: String,
    },
    /// The file ends in the middle of something.
    #[error("the file ends inside {what} at byte {at}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        at: u64,
    },
    /// A count or length beyond its cap.
    #[error("{what} is {found}; {accepted} are accepted")]
    OutOfRange {
        /// Which number.
        what: String,
        /// The number.
        found: u64,
        /// What is accepted, in words.
        accepted: String,
    },
    /// Text that is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8")]
    NotUtf8 {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        at: u64,
    },
    /// A name that occurs twice.
    #[error("{what} {name} occurs twice")]
    Duplicate {
        /// Metadata key or tensor.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A metadata value of a type that is not read.
    #[error("metadata key {key}: value type {found} is not read")]
    ValueType {
        /// The key.
        key: String,
        /// The type, in words.
        found: String,
    },
    /// A metadata value that is not what its key needs.
    #[error("metadata key {key}: {expected} expected, found {found}")]
    Value {
        /// The key.
        key: String,
        /// What is needed.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A metadata key that the model cannot do without.
    #[error("metadata key {key} is missing")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A tensor type that is not read.
    #[error("tensor {name}: type {found} is not read; accepted: {accepted}")]
    TensorType {
        /// The tensor.
        name: String,
        /// The type's name or number.
        found: String,
        /// The names of the readable types.
        accepted: String,
    },
    /// Tensor data outside of the file.
    #[error("tensor {name}: bytes {start} to {end} of the data are outside of its {len} bytes")]
    OutOfFile {
        /// The tensor.
        name: String,
        /// First byte within the data.
        start: u64,
        /// End within the data.
        end: u64,
        /// Bytes of the data.
        len: u64,
    },
    /// Two tensors share bytes.
    #[error("tensors {first} and {second} overlap")]
    Overlap {
        /// The one that starts first.
        first: String,
        /// The one that starts inside of it.
        second: String,
    },
    /// A file of a split model that does not belong to its first file.
    #[error("split file {found}; expected {expected}")]
    Split {
        /// What the file says.
        found: String,
        /// What the first file says.
        expected: String,
    },
}
