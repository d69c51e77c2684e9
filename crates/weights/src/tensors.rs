//! The tensors of a model's mapped files, whatever their format.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use russet_tensor::{FloatSlice, FloatType, GgmlType};

use crate::mmap::MappedFile;
use crate::{Error, TensorError};

/// The smallest page there is: closer than that, two tensors are neighbours.
const PAGE_BYTES: usize = 4096;

/// How a tensor's elements are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    Float(FloatType),
    U8,
    U32,
    Ggml(GgmlType),
    /// A type that no tensor of a supported model has, by name.
    Other(String),
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(ty) => f.write_str(ty.name()),
            Self::U8 => f.write_str("U8"),
            Self::U32 => f.write_str("U32"),
            Self::Ggml(ty) => ty.fmt(f),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// One tensor: where its bytes are and what they mean.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) element: Element,
    /// Outermost dimension first.
    pub(crate) shape: Vec<usize>,
    /// Index of the file.
    pub(crate) file: usize,
    /// First byte within the file. `start + len` is within the mapped length.
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) consumed: AtomicBool,
    /// Whether its pages were given back since.
    pub(crate) released: AtomicBool,
}

impl Tensor {
    pub(crate) fn consume(&self) {
        self.consumed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_consumed(&self) -> bool {
        self.consumed.load(Ordering::Relaxed)
    }

    pub(crate) fn num_elements(&self) -> u64 {
        self.shape.iter().map(|&dim| dim as u64).product()
    }
}

/// All tensors of a model by name, and the maps that hold them.
#[derive(Debug, Default)]
pub(crate) struct TensorTable {
    files: Vec<MappedFile>,
    tensors: BTreeMap<String, Tensor>,
}

impl TensorTable {
    /// Adds a mapped file; its tensors carry the index returned.
    pub(crate) fn add_file(&mut self, file: MappedFile) -> usize {
        self.files.push(file);
        self.files.len() - 1
    }

    /// Adds a tensor. If the name is taken, returns the file that holds the earlier one.
    pub(crate) fn add(&mut self, name: String, tensor: Tensor) -> Result<(), &Path> {
        if let Some(earlier) = self.tensors.get(&name) {
            return Err(self.files[earlier.file].path());
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    pub(crate) fn file(&self, index: usize) -> &MappedFile {
        &self.files[index]
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Gives back the pages of the tensors consumed since the last call.
    pub(crate) fn release_consumed(&self) {
        let is_new = |tensor: &&Tensor| {
            tensor.is_consumed() && !tensor.released.swap(true, Ordering::Relaxed)
        };
        let mut places: Vec<(usize, usize, usize)> = self
            .tensors
            .values()
            .filter(is_new)
            .map(|t| (t.file, t.start, t.start + t.len))
            .collect();
        places.sort_unstable();
        // A call costs as much as many pages, so neighbours share one.
        let is_side_by_side = |a: &(usize, usize, usize), b: &(usize, usize, usize)| {
            a.0 == b.0 && a.2 + PAGE_BYTES > b.1
        };
        for run in places.chunk_by(is_side_by_side) {
            let (first, last) = (run[0], run[run.len() - 1]);
            self.files[first.0].release(first.1..last.2);
        }
    }

    /// The bytes of `tensor` in its map.
    pub(crate) fn bytes(&self, tensor: &Tensor) -> &[u8] {
        &self.files[tensor.file].bytes()[tensor.start..tensor.start + tensor.len]
    }

    /// The elements of a float tensor called `name` with the shape `expected`.
    pub(crate) fn floats(
        &self,
        name: &str,
        tensor: &Tensor,
        expected: &[usize],
    ) -> Result<FloatSlice<'_>, Error> {
        let Element::Float(dtype) = tensor.element else {
            return Err(wrong_type(name, tensor, "F32, F16, BF16"));
        };
        check_shape(name, tensor, expected)?;
        Ok(FloatSlice::new(dtype, self.bytes(tensor)))
    }
}

pub(crate) fn check_shape(name: &str, tensor: &Tensor, expected: &[usize]) -> Result<(), Error> {
    if tensor.shape == expected {
        return Ok(());
    }
    let (found, expected) = (tensor.shape.clone(), expected.to_vec());
    Err(Error::tensor(name, TensorError::Shape { found, expected }))
}

pub(crate) fn wrong_type(name: &str, tensor: &Tensor, accepted: &'static str) -> Error {
    Error::tensor(name, TensorError::Type { found: tensor.element.to_string(), accepted })
}
