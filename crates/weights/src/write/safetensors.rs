//! Writes one safetensors file, converting row by row.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use safetensors::tensor::{Metadata, TensorInfo};

use super::encode::NotExact;
use super::plan::{Content, Output, Plan, not_exact};
use crate::tensors::TensorTable;
use crate::{Error, SafetensorsError};

const BUFFER_BYTES: usize = 1 << 20;
/// How often progress is told.
const PROGRESS_BYTES: u64 = 4 << 20;

/// Writes the file of `plan` to `file`, without waiting for the disk.
pub(super) fn write(
    (file, path): (&File, &std::path::Path),
    tensors: &TensorTable,
    plan: &Plan<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Error> {
    let failed = |source| Error::io(path, source);
    let header = header(plan).map_err(|fault| Error::safetensors(path, fault))?;
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, file);
    writer.write_all(&header).map_err(failed)?;
    let (mut done, mut told, total) = (0, 0, plan.num_bytes());
    progress(done, total);
    let mut row = Vec::new();
    for output in &plan.outputs {
        let rows = output.shape[0];
        for r in 0..rows {
            row.clear();
            encode_row(output, tensors.bytes(output.source), r, &mut row).map_err(|NotExact| {
                not_exact(&output.name, output.source, "a bias is beyond float16")
            })?;
            writer.write_all(&row).map_err(failed)?;
            done += row.len() as u64;
            if done - told >= PROGRESS_BYTES || done == total {
                progress(done, total);
                told = done;
            }
        }
    }
    writer.flush().map_err(failed)
}

fn encode_row(
    output: &Output<'_>,
    source: &[u8],
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), NotExact> {
    let rows = output.shape[0];
    let row_bytes = source.len() / rows;
    let from = output.row_map.source_row(row, rows) * row_bytes;
    let bytes = &source[from..from + row_bytes];
    match output.content {
        Content::Same => out.extend(bytes),
        Content::Part(blocks, part) => blocks.encode_row(part, bytes, out)?,
    }
    Ok(())
}

/// The length of the header and the header, padded so that the data is aligned to 8 bytes.
fn header(plan: &Plan<'_>) -> Result<Vec<u8>, SafetensorsError> {
    let invalid =
        |reason: &dyn std::fmt::Display| SafetensorsError::Header { reason: reason.to_string() };
    let mut end = 0;
    let mut infos = Vec::new();
    for output in &plan.outputs {
        let start = end;
        end += output.num_bytes();
        let (dtype, shape) = (output.dtype, output.shape.clone());
        let info = TensorInfo { dtype, shape, data_offsets: (start, end) };
        infos.push((output.name.clone(), info));
    }
    let format = HashMap::from([("format".to_owned(), "mlx".to_owned())]);
    let metadata = Metadata::new(Some(format), infos).map_err(|error| invalid(&error))?;
    let mut json = serde_json::to_vec(&metadata).map_err(|error| invalid(&error))?;
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([&(json.len() as u64).to_le_bytes()[..], &json].concat())
}
