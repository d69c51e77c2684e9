//! Packing beside a plain copy: bytes of the file a second, into memory not used before, as at
//! load.
//!
//! `cargo bench -p russet-kernels --bench pack [-- FILTER]` prints one line an encoding, shape and
//! number of threads, best of several runs. FILTER selects lines by a substring.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use russet_kernels::{Arena, Executor, PackedMatrix, select};
use russet_tensor::{
    AffineBits, FloatSlice, FloatType, FpFormat, GgmlType, MatrixData, MatrixView, RowMap,
};

/// Outputs and inputs: of a small model, of a large one, and rows that lie at the same places of
/// the caches.
const SHAPES: [(usize, usize); 3] = [(49152, 576), (14336, 4096), (4096, 16384)];
const TIME_PER_FIGURE: Duration = Duration::from_millis(600);

fn main() {
    let filter: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let num_cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for (rows, cols) in SHAPES {
        // Ordinary codes, and an ordinary number in every float type.
        let bytes = vec![0x24u8; rows * cols * 2];
        for threads in [1, num_cores] {
            let threads = NonZeroUsize::new(threads).expect("at least one core");
            let exec = Executor::new(select(None).expect("scalar is always there"), threads);
            let source = &bytes[..rows * cols / 2];
            let copied = source.len() as f64 / best(&|| copy(&exec, source));
            let report = |name: &str, len: usize, pass: &dyn Fn()| {
                let line = format!("{name} {rows}x{cols} {threads} threads");
                if filter.iter().all(|f| line.contains(f.as_str())) {
                    let rate = len as f64 / best(pass);
                    let share = 100.0 * rate / copied;
                    println!("{line}: {:.1} GB/s ({share:.0} % of a copy)", rate / 1e9);
                }
            };
            for (name, len, data) in encodings(rows, cols, &bytes) {
                let view = MatrixView::new(rows, cols, data).expect("parts that fit");
                let pack = || PackedMatrix::pack(&exec, &view, RowMap::Identity);
                report(&name, len, &|| drop(pack().expect("enough memory")));
            }
        }
    }
}

/// Name, bytes in the file, and parts of a matrix in each encoding.
fn encodings(rows: usize, cols: usize, bytes: &[u8]) -> Vec<(String, usize, MatrixData<'_>)> {
    let mut all = Vec::new();
    for (bits, group) in [(4, 32), (4, 64), (8, 64), (3, 64), (6, 64)] {
        let (codes_len, scales_len) = (rows * cols / 8 * bits as usize, rows * cols / group * 2);
        let floats = FloatSlice::new(FloatType::F16, &bytes[..scales_len]);
        let data = MatrixData::Affine {
            bits: AffineBits::new(bits).expect("a width of MLX"),
            group,
            codes: &bytes[..codes_len],
            scales: floats,
            biases: floats,
        };
        all.push((format!("affine{bits}g{group}"), codes_len + 2 * scales_len, data));
    }
    let (codes, scales) = (&bytes[..rows * cols / 2], &bytes[..rows * cols / 32]);
    let data = MatrixData::Fp { format: FpFormat::Mxfp4, codes, scales, global_scale: None };
    all.push(("mxfp4".into(), codes.len() + scales.len(), data));
    let types = [GgmlType::Q4_0, GgmlType::Q4_1, GgmlType::Q8_0, GgmlType::Q4_K, GgmlType::Q6_K];
    for ty in types.into_iter().chain([GgmlType::BF16, GgmlType::F16]) {
        // Rows of less than a block of 256 do not exist.
        if cols.is_multiple_of(256) || !matches!(ty, GgmlType::Q4_K | GgmlType::Q6_K) {
            let bytes = &bytes[..rows * ty.row_bytes(cols)];
            all.push((ty.to_string(), bytes.len(), MatrixData::Ggml { ty, bytes }));
        }
    }
    all
}

/// Copies into new memory on all threads.
fn copy(exec: &Executor, source: &[u8]) {
    const CHUNK_BYTES: usize = 64 << 10;
    let mut bytes = Arena::new().alloc(source.len()).expect("enough memory");
    let mut chunks: Vec<&mut [u8]> = bytes.chunks_mut(CHUNK_BYTES).collect();
    exec.pool().for_each(&mut chunks, |i, chunk| {
        chunk.copy_from_slice(&source[i * CHUNK_BYTES..][..chunk.len()]);
    });
}

fn best(pass: &dyn Fn()) -> f64 {
    let mut best = f64::INFINITY;
    let start = Instant::now();
    while start.elapsed() < TIME_PER_FIGURE {
        let begin = Instant::now();
        pass();
        best = best.min(begin.elapsed().as_secs_f64());
    }
    best
}
