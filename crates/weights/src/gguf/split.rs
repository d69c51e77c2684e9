//! Models split over files called `NAME-00001-of-00003.gguf` and so on.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use russet_tensor::{FloatType, GgmlType};

use super::header::{Header, TensorInfo};
use super::metadata::Metadata;
use crate::mmap::MappedFile;
use crate::tensors::{Element, Tensor, TensorTable};
use crate::{Error, GgufError};

/// More files than any model has.
const MAX_FILES: u64 = 10_000;

/// Opens the file at `path` and, if it is one of a split model, all the others. The first file
/// comes first.
pub(super) fn open(path: &Path) -> Result<(TensorTable, Metadata), Error> {
    let mut tensors = TensorTable::default();
    let (file, header) = open_one(path)?;
    let count = split_number(&file, &header, "split.count")?.unwrap_or(1);
    if count <= 1 {
        add(&mut tensors, file, header.tensors)?;
        return Ok((tensors, header.metadata));
    }
    let names = sibling_paths(path, count)?;
    let mut first = None;
    for (number, name) in names.iter().enumerate() {
        let (file, header) = open_one(name)?;
        for (key, expected) in [("split.no", number as u64), ("split.count", count)] {
            let found = split_number(&file, &header, key)?;
            if found != Some(expected) {
                let found = found.map_or("none".into(), |n| n.to_string());
                let (found, expected) = (format!("{key} {found}"), format!("{key} {expected}"));
                return Err(Error::gguf(name, GgufError::Split { found, expected }));
            }
        }
        add(&mut tensors, file, header.tensors)?;
        first = first.or(Some(header.metadata));
    }
    let metadata = first.expect("there are at least two files");
    check_total(path, &metadata, &tensors)?;
    Ok((tensors, metadata))
}

fn open_one(path: &Path) -> Result<(MappedFile, Header), Error> {
    let file = MappedFile::open(path)?;
    let header = Header::parse(file.bytes()).map_err(|fault| Error::gguf(path, fault))?;
    Ok((file, header))
}

fn split_number(file: &MappedFile, header: &Header, key: &str) -> Result<Option<u64>, Error> {
    header.metadata.uint(key).map_err(|fault| Error::gguf(file.path(), fault))
}

/// The paths of all `count` files, given one of them.
fn sibling_paths(path: &Path, count: u64) -> Result<Vec<PathBuf>, Error> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let base = || {
        let stem = name.strip_suffix(&format!("-of-{count:05}.gguf"))?;
        let (base, number) = stem.rsplit_once('-')?;
        (number.len() == 5 && number.parse::<u64>().is_ok()).then_some(base)
    };
    match base() {
        Some(base) if count <= MAX_FILES => {
            let name = |number| format!("{base}-{number:05}-of-{count:05}.gguf");
            Ok((1..=count).map(|number| path.with_file_name(name(number))).collect())
        }
        _ => {
            let found = format!("name {name:?}");
            let expected = format!("NAME-00001-of-{count:05}.gguf, at most {MAX_FILES} files");
            Err(Error::gguf(path, GgufError::Split { found, expected }))
        }
    }
}

fn add(table: &mut TensorTable, file: MappedFile, tensors: Vec<TensorInfo>) -> Result<(), Error> {
    let path = file.path().to_owned();
    let index = table.add_file(file);
    for info in tensors {
        let tensor = Tensor {
            element: element(info.ty),
            shape: info.shape,
            file: index,
            start: info.start as usize,
            len: info.len as usize,
            consumed: AtomicBool::new(false),
            released: AtomicBool::new(false),
        };
        if table.add(info.name.clone(), tensor).is_err() {
            let fault = GgufError::Duplicate { what: "tensor", name: info.name };
            return Err(Error::gguf(&path, fault));
        }
    }
    Ok(())
}

fn element(ty: GgmlType) -> Element {
    match ty {
        GgmlType::F32 => Element::Float(FloatType::F32),
        GgmlType::F16 => Element::Float(FloatType::F16),
        GgmlType::BF16 => Element::Float(FloatType::BF16),
        quantised => Element::Ggml(quantised),
    }
}

fn check_total(path: &Path, metadata: &Metadata, tensors: &TensorTable) -> Result<(), Error> {
    let key = "split.tensors.count";
    let failed = |fault| Error::gguf(path, fault);
    let found = tensors.iter().count() as u64;
    match metadata.uint(key).map_err(failed)? {
        Some(expected) if expected != found => {
            let (found, expected) = (format!("{found} tensors"), format!("{key} {expected}"));
            Err(failed(GgufError::Split { found, expected }))
        }
        _ => Ok(()),
    }
}
