//! Matrix products of whole models: bytes a second at one row, operations a second at many.
//!
//! `cargo bench -p russet-kernels --bench matmul [-- FILTER]` prints, for each model, encoding, ISA
//! and number of threads, the time over all its matrices, best of several runs. FILTER selects
//! lines by a substring. In brackets: the share of what memory is read with and of what the
//! multiplying instruction reaches, measured before each line and after it.

mod roofline;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use roofline::{Probe, share, thread_counts};
use russet_kernels::{Activations, Executor, PackedMatrix, Precision, available, matmul};
use russet_tensor::{
    AffineBits, FloatSlice, FloatType, FpFormat, GgmlType, MatrixData, MatrixView, RowMap,
};

/// Each layer's matrices `(rows, cols)` in the groups that share activations, how many layers, and
/// the head.
struct Model {
    name: &'static str,
    layer: &'static [&'static [(usize, usize)]],
    num_layers: usize,
    head: (usize, usize),
}

const MODELS: [Model; 2] = [
    Model {
        name: "smollm2-135m",
        layer: &[
            &[(576, 576), (192, 576), (192, 576)],
            &[(576, 576)],
            &[(1536, 576), (1536, 576)],
            &[(576, 1536)],
        ],
        num_layers: 30,
        head: (49152, 576),
    },
    Model {
        name: "synth-1b",
        layer: &[
            &[(2048, 2048), (512, 2048), (512, 2048)],
            &[(2048, 2048)],
            &[(8192, 2048), (8192, 2048)],
            &[(2048, 8192)],
        ],
        num_layers: 16,
        head: (49152, 2048),
    },
];

#[derive(Clone, Copy)]
enum Encoding {
    Affine(u64, usize),
    Fp(FpFormat),
    Ggml(GgmlType),
}

const ENCODINGS: [Encoding; 21] = [
    Encoding::Affine(2, 64),
    Encoding::Affine(3, 64),
    Encoding::Affine(4, 32),
    Encoding::Affine(4, 64),
    Encoding::Affine(5, 64),
    Encoding::Affine(6, 64),
    Encoding::Affine(8, 64),
    Encoding::Fp(FpFormat::Mxfp4),
    Encoding::Fp(FpFormat::Nvfp4),
    Encoding::Ggml(GgmlType::Q4_0),
    Encoding::Ggml(GgmlType::Q4_1),
    Encoding::Ggml(GgmlType::Q5_0),
    Encoding::Ggml(GgmlType::Q5_1),
    Encoding::Ggml(GgmlType::Q8_0),
    Encoding::Ggml(GgmlType::Q2_K),
    Encoding::Ggml(GgmlType::Q3_K),
    Encoding::Ggml(GgmlType::Q4_K),
    Encoding::Ggml(GgmlType::Q5_K),
    Encoding::Ggml(GgmlType::Q6_K),
    Encoding::Ggml(GgmlType::IQ4_XS),
    Encoding::Ggml(GgmlType::BF16),
];

impl Encoding {
    /// Whether the model's rows are whole blocks.
    fn fits(self, model: &Model) -> bool {
        let Self::Ggml(ty) = self else { return true };
        let shapes = model.layer.iter().copied().flatten();
        shapes.chain([&model.head]).all(|(_, cols)| cols.is_multiple_of(ty.block_len()))
    }
}

/// How long each figure is measured.
const TIME_PER_FIGURE: Duration = Duration::from_millis(1200);

/// Packs a matrix of arbitrary bytes: times do not depend on values.
fn pack(exec: &Executor, encoding: Encoding, (rows, cols): (usize, usize)) -> (PackedMatrix, f64) {
    // 0x24 repeated is an ordinary number in every float type and an ordinary code.
    let bytes = |len: usize| vec![0x24u8; len];
    let codes;
    let (scales, biases);
    let data = match encoding {
        Encoding::Affine(bits, group) => {
            codes = bytes(rows * cols / 8 * bits as usize);
            scales = bytes(rows * cols / group * 2);
            biases = bytes(rows * cols / group * 2);
            MatrixData::Affine {
                bits: AffineBits::new(bits).expect("a width of MLX"),
                group,
                codes: &codes,
                scales: FloatSlice::new(FloatType::F16, &scales),
                biases: FloatSlice::new(FloatType::F16, &biases),
            }
        }
        Encoding::Fp(format) => {
            codes = bytes(rows * cols * format.bits() / 8);
            scales = vec![120; rows * cols / format.group()];
            MatrixData::Fp { format, codes: &codes, scales: &scales, global_scale: None }
        }
        Encoding::Ggml(ty) => {
            codes = bytes(rows * ty.row_bytes(cols));
            MatrixData::Ggml { ty, bytes: &codes }
        }
    };
    let view = MatrixView::new(rows, cols, data).expect("parts that fit");
    let start = Instant::now();
    let packed = PackedMatrix::pack(exec, &view, RowMap::Identity).expect("enough memory");
    (packed, start.elapsed().as_secs_f64())
}

/// The packed groups of a model and what there is to do for one row.
struct Packed {
    groups: Vec<Vec<PackedMatrix>>,
    bytes: usize,
    macs: usize,
    seconds: f64,
}

fn pack_model(exec: &Executor, model: &Model, encoding: Encoding) -> Packed {
    let mut packed = Packed { groups: Vec::new(), bytes: 0, macs: 0, seconds: 0.0 };
    let head: &[(usize, usize)] = &[model.head];
    let layers = (0..model.num_layers).flat_map(|_| model.layer.iter().copied());
    for group in layers.chain([head]) {
        let mut matrices = Vec::new();
        for &shape in group {
            let (matrix, seconds) = pack(exec, encoding, shape);
            packed.bytes += matrix.num_bytes();
            packed.macs += matrix.rows() * matrix.cols();
            packed.seconds += seconds;
            matrices.push(matrix);
        }
        packed.groups.push(matrices);
    }
    packed
}

/// Seconds of one pass of `rows` rows over `groups`: the sum of the best time of each group's
/// shape, so that a pass need not be undisturbed as a whole.
fn best_pass(exec: &Executor, groups: &[Vec<PackedMatrix>], rows: usize) -> f64 {
    let widest =
        |of: fn(&PackedMatrix) -> usize| groups.iter().flatten().map(of).max().unwrap_or_default();
    let x = (0..rows * widest(PackedMatrix::cols)).map(|i| (i % 31) as f32 - 15.0);
    let x: Vec<f32> = x.collect();
    let mut buffers: [Vec<f32>; 3] = [(); 3].map(|()| vec![0.0; rows * widest(PackedMatrix::rows)]);
    let mut activations = Activations::new();
    let shape = |group: &[PackedMatrix]| (group.len(), group[0].rows(), group[0].cols());
    let mut best = HashMap::new();
    let start = Instant::now();
    while start.elapsed() < TIME_PER_FIGURE {
        for group in groups {
            let matrices: Vec<&PackedMatrix> = group.iter().collect();
            let cols = matrices[0].cols();
            let outputs = buffers.iter_mut().zip(&matrices);
            let mut outputs: Vec<&mut [f32]> =
                outputs.map(|(buffer, m)| &mut buffer[..rows * m.rows()]).collect();
            let begin = Instant::now();
            activations.prepare(exec, &x[..rows * cols], cols, &matrices, Precision::Fast);
            matmul(exec, &matrices, &activations, &mut outputs);
            let seconds = begin.elapsed().as_secs_f64();
            let best = best.entry(shape(group)).or_insert(seconds);
            *best = best.min(seconds);
        }
    }
    groups.iter().map(|group| best[&shape(group)]).sum()
}

fn main() {
    let filter: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let probe = Probe::new();
    println!(
        "model encoding isa threads: GB/s at 1 row; GOPS at 2 4 8 12 16 rows; GOPS at 512 rows"
    );
    let all = MODELS.iter().flat_map(|m| ENCODINGS.map(|e| (m, e)));
    for (model, encoding) in all.filter(|(model, encoding)| encoding.fits(model)) {
        for kernels in available() {
            for threads in thread_counts() {
                let exec = Executor::new(kernels, threads);
                let encoding_name = match encoding {
                    Encoding::Affine(bits, group) => format!("affine{bits}g{group}"),
                    Encoding::Fp(format) => format.name().into(),
                    Encoding::Ggml(ty) => ty.to_string(),
                };
                let line = format!("{} {encoding_name} {} {threads}", model.name, exec.isa());
                if filter.iter().any(|f| !line.contains(f.as_str())) || line.contains("scalar") {
                    continue;
                }
                let packed = pack_model(&exec, model, encoding);
                let (figures, limits) = probe.around(&exec, || measure(&exec, &packed));
                let peak = match encoding {
                    Encoding::Ggml(GgmlType::BF16) => limits.bf16.or(limits.f32),
                    _ => limits.int8,
                };
                println!("{line}: {}", figures.text(limits.read, peak));
            }
        }
    }
}

/// What a line says.
struct Figures {
    /// Bytes a second and passes a second of one row.
    single: (f64, f64),
    /// Operations a second of 2 to 16 rows.
    few: [f64; 5],
    /// Operations a second and rows a second of 512 rows, the head left out.
    many: (f64, f64),
    pack_seconds: f64,
}

fn measure(exec: &Executor, packed: &Packed) -> Figures {
    let (layers, head) = packed.groups.split_at(packed.groups.len() - 1);
    let head_macs = head[0][0].rows() * head[0][0].cols();
    let rate = |macs: usize, rows: usize, seconds: f64| 2.0 * (macs * rows) as f64 / seconds;
    let single = best_pass(exec, &packed.groups, 1);
    let few = [2, 4, 8, 12, 16];
    let few = few.map(|rows| rate(packed.macs, rows, best_pass(exec, &packed.groups, rows)));
    let many = best_pass(exec, layers, 512);
    Figures {
        single: (packed.bytes as f64 / single, 1.0 / single),
        few,
        many: (rate(packed.macs - head_macs, 512, many), 512.0 / many),
        pack_seconds: packed.seconds,
    }
}

impl Figures {
    fn text(&self, read: f64, peak: Option<f64>) -> String {
        let Self { single: (bytes, passes), few, many: (operations, rows), .. } = self;
        let few = few.map(|rate| format!(" {:.0}{}", rate / 1e9, share(rate, peak))).concat();
        format!(
            "{:.1} GB/s{} ({passes:.1} passes/s);{few}; {:.0} GOPS{} ({rows:.0} rows/s); packed in \
             {:.3} s",
            bytes / 1e9,
            share(*bytes, read),
            operations / 1e9,
            share(*operations, peak),
            self.pack_seconds,
        )
    }
}
