//! The header of one GGUF file: counts, metadata and tensor descriptions, all checked before they
//! are used.

use std::collections::BTreeSet;

use russet_tensor::GgmlType;

use super::cursor::Cursor;
use super::metadata::{MAX_KEYS, Metadata};
use crate::GgufError;

const MAX_TENSORS: u64 = 100_000;
const MAX_DIMS: u32 = 4;
const MAX_NAME_BYTES: u64 = 1 << 10;
const DEFAULT_ALIGNMENT: u64 = 32;
const ALIGNMENTS: std::ops::RangeInclusive<u64> = 8..=65_536;
const ALIGNMENT_KEY: &str = "general.alignment";

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<TensorInfo>,
}

/// One tensor of the file.
#[derive(Debug)]
pub(super) struct TensorInfo {
    pub(super) name: String,
    pub(super) ty: GgmlType,
    /// Outermost dimension first; GGUF itself stores the innermost first.
    pub(super) shape: Vec<usize>,
    /// First byte, within the data while parsing, and within the file afterwards.
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Header {
    /// Parses the header of the file `bytes`. Every tensor lies within them and overlaps no other.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(bytes, 0);
        parse_version(&mut cursor)?;
        let num_tensors = cursor.u64("the number of tensors")?;
        let num_keys = cursor.u64("the number of metadata keys")?;
        check_count("the number of tensors", num_tensors, MAX_TENSORS)?;
        check_count("the number of metadata keys", num_keys, MAX_KEYS)?;
        let metadata = Metadata::parse(&mut cursor, num_keys)?;
        let alignment = alignment(&metadata)?;
        let mut names = BTreeSet::new();
        let mut tensors = Vec::new();
        for _ in 0..num_tensors {
            let tensor = parse_tensor(&mut cursor, alignment)?;
            if !names.insert(tensor.name.clone()) {
                return Err(GgufError::Duplicate { what: "tensor", name: tensor.name });
            }
            tensors.push(tensor);
        }
        place(&mut tensors, (cursor.at() as u64).next_multiple_of(alignment), bytes.len() as u64)?;
        Ok(Self { metadata, tensors })
    }
}

fn check_count(what: &str, found: u64, cap: u64) -> Result<(), GgufError> {
    if found <= cap {
        return Ok(());
    }
    Err(GgufError::OutOfRange { what: what.into(), found, accepted: format!("at most {cap}") })
}

fn parse_version(cursor: &mut Cursor<'_>) -> Result<(), GgufError> {
    let magic = cursor.array("the magic number")?;
    if &magic != b"GGUF" {
        return Err(GgufError::Magic { found: magic });
    }
    let version = cursor.u32("the version")?;
    match version {
        2 | 3 => Ok(()),
        // Small numbers in the other byte order have their low half empty.
        _ if version & 0xffff == 0 && version != 0 => {
            let found = format!("version {}, big-endian,", version.swap_bytes());
            Err(GgufError::Version { found })
        }
        _ => Err(GgufError::Version { found: format!("version {version}") }),
    }
}

fn alignment(metadata: &Metadata) -> Result<u64, GgufError> {
    let found = metadata.uint(ALIGNMENT_KEY)?.unwrap_or(DEFAULT_ALIGNMENT);
    if found.is_power_of_two() && ALIGNMENTS.contains(&found) {
        return Ok(found);
    }
    let accepted = "powers of two from 8 to 65536".into();
    Err(GgufError::OutOfRange { what: ALIGNMENT_KEY.into(), found, accepted })
}

fn parse_tensor(cursor: &mut Cursor<'_>, alignment: u64) -> Result<TensorInfo, GgufError> {
    let name = cursor.text(MAX_NAME_BYTES, "a tensor name")?.to_owned();
    let dims = parse_dims(cursor, &name)?;
    let ty = parse_type(&name, cursor.u32("a tensor type")?)?;
    let start = cursor.u64("a tensor offset")?;
    if !start.is_multiple_of(alignment) {
        let accepted = format!("multiples of {alignment}");
        return Err(out_of_range("the offset", &name, start, accepted));
    }
    if !dims[0].is_multiple_of(ty.block_len() as u64) {
        let accepted = format!("multiples of {} for {ty}", ty.block_len());
        return Err(out_of_range("the row length", &name, dims[0], accepted));
    }
    let Some(len) = data_len(ty, &dims) else {
        let largest = dims.iter().copied().max().unwrap_or(0);
        let accepted = "dimensions of fewer than 2^63 bytes".into();
        return Err(out_of_range("the largest dimension", &name, largest, accepted));
    };
    let shape = dims.iter().rev().map(|&dim| dim as usize).collect();
    Ok(TensorInfo { name, ty, shape, start, len })
}

/// The dimensions, innermost first.
fn parse_dims(cursor: &mut Cursor<'_>, name: &str) -> Result<Vec<u64>, GgufError> {
    let num_dims = cursor.u32("a number of dimensions")?;
    if num_dims == 0 || num_dims > MAX_DIMS {
        let accepted = format!("1 to {MAX_DIMS}");
        return Err(out_of_range("the number of dimensions", name, num_dims.into(), accepted));
    }
    let mut dims = Vec::new();
    for _ in 0..num_dims {
        let dim = cursor.u64("a dimension")?;
        if dim == 0 || dim > i64::MAX as u64 {
            return Err(out_of_range("a dimension", name, dim, "1 to 2^63-1".into()));
        }
        dims.push(dim);
    }
    Ok(dims)
}

fn out_of_range(what: &str, tensor: &str, found: u64, accepted: String) -> GgufError {
    GgufError::OutOfRange { what: format!("{what} of tensor {tensor}"), found, accepted }
}

fn parse_type(name: &str, id: u32) -> Result<GgmlType, GgufError> {
    GgmlType::from_id(id).map_err(|known| {
        let found = known.map_or_else(|| format!("number {id}"), str::to_owned);
        let accepted = GgmlType::accepted_names().join(", ");
        GgufError::TensorType { name: name.to_owned(), found, accepted }
    })
}

/// Bytes of a tensor, or `None` if they do not fit in 63 bits.
fn data_len(ty: GgmlType, dims: &[u64]) -> Option<u64> {
    let elements = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))?;
    let len = (elements / ty.block_len() as u64).checked_mul(ty.block_bytes() as u64)?;
    (len <= i64::MAX as u64).then_some(len)
}

/// Turns offsets within the data into offsets within the file, after checking that they lie in it
/// and do not overlap.
fn place(tensors: &mut [TensorInfo], data_start: u64, file_len: u64) -> Result<(), GgufError> {
    let len = file_len.saturating_sub(data_start);
    for tensor in tensors.iter() {
        let end = tensor.start.saturating_add(tensor.len);
        if end > len {
            let (name, start) = (tensor.name.clone(), tensor.start);
            return Err(GgufError::OutOfFile { name, start, end, len });
        }
    }
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_by_key(|tensor| tensor.start);
    for pair in order.windows(2) {
        if pair[0].start + pair[0].len > pair[1].start {
            let (first, second) = (pair[0].name.clone(), pair[1].name.clone());
            return Err(GgufError::Overlap { first, second });
        }
    }
    tensors.iter_mut().for_each(|tensor| tensor.start += data_start);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a text, an array of texts, a number and two tensors.
    fn small() -> Vec<u8> {
        let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        let mut out = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
        out.extend([2u64, 3].iter().flat_map(|count| count.to_le_bytes()));
        out.extend([text("general.name"), 8u32.to_le_bytes().into(), text("x")].concat());
        out.extend([text("t"), 9u32.to_le_bytes().into(), 8u32.to_le_bytes().into()].concat());
        out.extend([2u64.to_le_bytes().into(), text("ab"), text("c")].concat());
        out.extend([text("n"), 4u32.to_le_bytes().into(), 7u32.to_le_bytes().into()].concat());
        for (name, ty, offset) in [("a", 2u32, 0u64), ("b", 0, 64)] {
            out.extend([text(name), 2u32.to_le_bytes().into()].concat());
            out.extend([32u64, 2].iter().flat_map(|dim| dim.to_le_bytes()));
            out.extend([&ty.to_le_bytes()[..], &offset.to_le_bytes()].concat());
        }
        out.resize(out.len().next_multiple_of(32) + 64 + 256, 0);
        out
    }

    /// Numbers that break careless arithmetic.
    const HOSTILE: [u64; 8] =
        [0, 1, 1 << 31, u32::MAX as u64, 1 << 32, 1 << 63, i64::MAX as u64, u64::MAX];

    #[test]
    fn mutated_headers_never_panic_and_never_leave_the_file() {
        let base = small();
        assert_eq!(Header::parse(&base).unwrap().tensors.len(), 2);
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as usize % below
        };
        let mut num_parsed = 0;
        for _ in 0..100_000 {
            let mut bytes = base.clone();
            for _ in 0..=next(3) {
                let at = next(bytes.len() - 8);
                match next(3) {
                    0 => bytes[at] ^= 1 << next(8),
                    1 => bytes[at..at + 8].copy_from_slice(&HOSTILE[next(8)].to_le_bytes()),
                    _ => bytes.truncate(at.max(16)),
                }
            }
            let Ok(header) = Header::parse(&bytes) else { continue };
            num_parsed += 1;
            for tensor in header.tensors {
                assert!(tensor.start + tensor.len <= bytes.len() as u64);
                let elements: usize = tensor.shape.iter().product();
                assert_eq!(tensor.ty.row_bytes(elements) as u64, tensor.len);
            }
        }
        assert!(num_parsed > 100, "{num_parsed} of the mutants were valid");
    }
}
