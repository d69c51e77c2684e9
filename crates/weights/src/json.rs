//! JSON files of a model folder, size-capped. Nesting is capped at 128 by the parser.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde_json::{Map, Value};

use crate::Error;

/// Largest JSON file read. The largest in use, the index of a model with 100,000 tensors, has about
/// 10 MiB.
const MAX_JSON_BYTES: u64 = 16 << 20;

/// Reads the file at `path` as a JSON object, or `None` if it does not exist.
pub(crate) fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    let failed = |source| Error::io(path, source);
    // Opening a pipe would wait for a writer, so this comes first.
    let found = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.map_err(failed)?,
    };
    if !found.is_file() {
        return Err(malformed(path, "not a regular file".into()));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_JSON_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_JSON_BYTES {
        return Err(malformed(path, format!("larger than {MAX_JSON_BYTES} bytes")));
    }
    parse_object(path, &text).map(Some)
}

/// Parses a JSON object; `path` is only named in errors.
pub(crate) fn parse_object(path: &Path, text: &str) -> Result<Map<String, Value>, Error> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed(path, "not a JSON object".into())),
        Err(error) => Err(malformed(path, format!("not JSON: {error}"))),
    }
}

fn malformed(path: &Path, reason: String) -> Error {
    Error::Json { path: path.to_owned(), reason }
}
