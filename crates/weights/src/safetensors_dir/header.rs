//! The header of one safetensors file. Reading it stops early at our caps; the `safetensors` crate
//! checks offsets and shapes.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use russet_tensor::FloatType;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::entries::Entries;
use crate::mmap::MappedFile;
use crate::tensors::{Element, Tensor, TensorTable};
use crate::{Error, SafetensorsError};

/// Largest header read.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Most tensors of one file.
const MAX_TENSORS: usize = 100_000;
/// Bytes of the number in front of the header.
const LENGTH_BYTES: usize = 8;

/// A header that describes its file: tensors lie side by side and fill it.
struct Header {
    data_start: usize,
    format: Option<String>,
    tensors: Vec<(String, TensorInfo)>,
}

/// Adds the tensors of `file` to `tensors` and returns the `format` that its metadata states.
pub(super) fn add_tensors(
    tensors: &mut TensorTable,
    file: MappedFile,
) -> Result<Option<String>, Error> {
    let path = file.path().to_owned();
    let failed = |fault| Error::safetensors(&path, fault);
    let header = Header::parse(file.bytes()).map_err(failed)?;
    let index = tensors.add_file(file);
    for (name, info) in header.tensors {
        let tensor = entry(info, index, header.data_start);
        if let Err(other) = tensors.add(name.clone(), tensor) {
            let other = other.display().to_string();
            return Err(failed(SafetensorsError::Duplicate { name, other }));
        }
    }
    Ok(header.format)
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, SafetensorsError> {
        let ends_early = || invalid(&"the file ends inside of the header");
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(ends_early)?;
        let found = u64::from_le_bytes(*length);
        if found > MAX_HEADER_BYTES {
            return Err(SafetensorsError::HeaderTooLarge { found, accepted: MAX_HEADER_BYTES });
        }
        let (text, data) = rest.split_at_checked(found as usize).ok_or_else(ends_early)?;
        refuse_too_many(text)?;
        let entries: Entries = serde_json::from_slice(text).map_err(|error| invalid(&error))?;
        let tensors = entries.tensors;
        let mut names = HashSet::new();
        if let Some((twice, _)) = tensors.iter().find(|(name, _)| !names.insert(name)) {
            return Err(invalid(&format!("tensor {twice} is listed twice")));
        }
        check_places(tensors.clone(), data.len())?;
        Ok(Self { data_start: LENGTH_BYTES + found as usize, format: entries.format, tensors })
    }
}

/// Refuses tensors whose sizes are not those of their shapes, that overlap, or that leave gaps.
fn check_places(
    mut tensors: Vec<(String, TensorInfo)>,
    data_len: usize,
) -> Result<(), SafetensorsError> {
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let found = Metadata::new(None, tensors).map_err(|error| invalid(&error))?.data_len();
    if found == data_len {
        return Ok(());
    }
    Err(invalid(&format!("tensors have {found} bytes, the file has {data_len} after the header")))
}

fn invalid(reason: &dyn std::fmt::Display) -> SafetensorsError {
    SafetensorsError::Header { reason: reason.to_string() }
}

/// Every tensor is an object in the header's object, so counting braces bounds them before the
/// parser allocates.
fn refuse_too_many(header: &[u8]) -> Result<(), SafetensorsError> {
    let num_objects = header.iter().filter(|&&byte| byte == b'{').count();
    // The header itself and its `__metadata__` are objects, too.
    if num_objects > MAX_TENSORS + 2 {
        return Err(SafetensorsError::TooManyTensors { accepted: MAX_TENSORS });
    }
    Ok(())
}

fn entry(info: TensorInfo, file: usize, data_start: usize) -> Tensor {
    let (start, end) = info.data_offsets;
    Tensor {
        element: element(info.dtype),
        shape: info.shape,
        file,
        start: data_start + start,
        len: end - start,
        consumed: AtomicBool::new(false),
        released: AtomicBool::new(false),
    }
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F32 => Element::Float(FloatType::F32),
        Dtype::F16 => Element::Float(FloatType::F16),
        Dtype::BF16 => Element::Float(FloatType::BF16),
        Dtype::U8 => Element::U8,
        Dtype::U32 => Element::U32,
        other => Element::Other(other.to_string()),
    }
}
