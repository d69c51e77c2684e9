//! The JSON of a safetensors header, read without building a tree.

use std::fmt;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Most dimensions of a tensor.
const MAX_DIMS: usize = 8;

/// What a header lists, in its order.
pub(super) struct Entries {
    /// The `format` in its metadata.
    pub(super) format: Option<String>,
    pub(super) tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Entries { format: None, tensors: Vec::new() };
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                entries.format = map.next_value::<FileMetadata>()?.format;
            } else {
                let Entry { dtype, shape, data_offsets } = map.next_value()?;
                let info = TensorInfo { dtype, shape: shape.0, data_offsets };
                entries.tensors.push((name, info));
            }
        }
        Ok(entries)
    }
}

#[derive(serde::Deserialize)]
struct FileMetadata {
    format: Option<String>,
}

#[derive(serde::Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Dims,
    data_offsets: (usize, usize),
}

/// Dimensions, of which a hostile header could list millions.
struct Dims(Vec<usize>);

impl<'de> Deserialize<'de> for Dims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DimsVisitor)
    }
}

struct DimsVisitor;

impl<'de> Visitor<'de> for DimsVisitor {
    type Value = Dims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX_DIMS} dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Dims, A::Error> {
        let mut dims = Vec::new();
        while let Some(dim) = seq.next_element()? {
            if dims.len() == MAX_DIMS {
                return Err(A::Error::invalid_length(MAX_DIMS + 1, &self));
            }
            dims.push(dim);
        }
        Ok(Dims(dims))
    }
}
