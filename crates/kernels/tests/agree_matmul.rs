//! Every ISA against scalar (bit for bit), scalar against f64, and results that do not depend on
//! the batch.

mod packed_weights;

use std::num::NonZeroUsize;

use packed_weights::{Owned, Random, every_encoding, ggml};
use russet_kernels::{
    Activations, Executor, Isa, PackedMatrix, Precision, available, matmul, matmul_gathered, select,
};
use russet_tensor::{AffineBits, FloatSlice, FloatType, GgmlType, MatrixData, MatrixView, RowMap};

/// More than one chunk of rows.
const MAX_ROWS: usize = 43;

fn executor(isa: Isa, threads: usize) -> Executor {
    Executor::new(
        select(Some(isa)).expect("an available ISA"),
        NonZeroUsize::new(threads).expect("not zero"),
    )
}

/// Rows of activations of all kinds: random, extreme, sparse, tiny, huge, with an outlier.
fn rows(random: &mut Random, cols: usize) -> Vec<f32> {
    let mut x = random.floats(MAX_ROWS * cols);
    for (row, x) in x.chunks_exact_mut(cols).enumerate() {
        for (k, x) in x.iter_mut().enumerate() {
            match row % 7 {
                1 => *x = x.signum(),
                2 => *x = 1.0,
                3 => *x = if k % 40 == 3 { 1e4 * *x } else { 0.0 },
                4 => *x *= 1e-20,
                5 => *x = -1.0,
                // A block that stands out: it is coded twice.
                6 if k / 32 == 1 => *x *= 300.0,
                _ => {}
            }
        }
    }
    x
}

fn product(exec: &Executor, matrix: &PackedMatrix, x: &[f32], precision: Precision) -> Vec<f32> {
    let mut activations = Activations::new();
    activations.prepare(exec, x, matrix.cols(), &[matrix], precision);
    let mut out = vec![f32::NAN; activations.rows() * matrix.rows()];
    matmul(exec, &[matrix], &activations, &mut [&mut out]);
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

const PRECISIONS: [Precision; 4] =
    [Precision::Exact, Precision::Fine, Precision::Balanced, Precision::Fast];

/// bf16 dot products round as the instruction does, so they are compared with a tolerance instead.
fn is_bf16_dot(exec: &Executor, owned: &Owned, precision: Precision) -> bool {
    let is_bf16 = match owned.view().data {
        MatrixData::Dense(floats) => floats.dtype().name() == "BF16",
        _ => {
            owned.name.contains("BF16") && owned.name.contains("ggml")
                || owned.name.contains("mxfp8")
        }
    };
    let is_rounded = matches!(precision, Precision::Balanced | Precision::Fast);
    is_bf16 && is_rounded && exec.kernels().name().contains("bf16")
}

#[test]
fn every_isa_equals_scalar_for_every_number_of_rows() {
    let mut random = Random::new(1);
    let all = every_encoding(&mut random);
    let scalar = executor(Isa::Scalar, 1);
    let others: Vec<Executor> = available().iter().map(|k| executor(k.isa(), 1)).collect();
    for owned in &all {
        let matrix = PackedMatrix::pack(&scalar, &owned.view(), RowMap::Identity).unwrap();
        let x = rows(&mut random, owned.cols);
        for precision in PRECISIONS {
            let wanted = product(&scalar, &matrix, &x, precision);
            for exec in others.iter().filter(|e| !is_bf16_dot(e, owned, precision)) {
                for m in (1..=17).chain([MAX_ROWS]) {
                    let found = product(exec, &matrix, &x[..m * owned.cols], precision);
                    let case = format!("{} {}x{} m {m}", owned.name, owned.rows, owned.cols);
                    let wanted = bits(&wanted[..found.len()]);
                    assert!(bits(&found) == wanted, "{case} {precision:?} {}", exec.isa());
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_rows_or_threads() {
    let mut random = Random::new(2);
    let all = every_encoding(&mut random);
    for kernels in available() {
        let (one, three) = (executor(kernels.isa(), 1), executor(kernels.isa(), 3));
        for owned in all.iter().step_by(3) {
            let matrix = PackedMatrix::pack(&three, &owned.view(), RowMap::Identity).unwrap();
            let x = rows(&mut random, owned.cols);
            for precision in PRECISIONS {
                let together = bits(&product(&three, &matrix, &x, precision));
                for (row, x) in x.chunks_exact(owned.cols).enumerate() {
                    let alone = bits(&product(&one, &matrix, x, precision));
                    let wanted = &together[row * owned.rows..(row + 1) * owned.rows];
                    assert!(alone == wanted, "{} row {row} {}", owned.name, kernels.isa());
                }
                for m in [2, 12, 13, 29, 35, 43] {
                    let found = bits(&product(&three, &matrix, &x[..m * owned.cols], precision));
                    assert!(found == together[..found.len()], "{} m {m}", owned.name);
                }
            }
        }
    }
}

/// Kernels of one row keep some second codes for later, and leave the others to another pass.
#[test]
fn one_row_may_have_any_number_of_second_codes() {
    let mut random = Random::new(6);
    // Groups of 16 and of 32.
    for (ty, num_blocks) in [(GgmlType::Q6_K, 72), (GgmlType::Q4_1, 65), (GgmlType::Q4_1, 200)] {
        let owned = ggml(&mut random, ty, 16, 32 * num_blocks);
        let matrix = PackedMatrix::pack(&executor(Isa::Scalar, 1), &owned.view(), RowMap::Identity);
        let matrix = matrix.expect("a checked view");
        let x = random.floats(owned.cols);
        for num_large in [0, 1, 31, 32, 33, 64, num_blocks] {
            let mut x = x.clone();
            x[..32 * num_large].iter_mut().for_each(|x| *x *= 1e3);
            for precision in [Precision::Balanced, Precision::Fine] {
                let wanted = bits(&product(&executor(Isa::Scalar, 1), &matrix, &x, precision));
                for kernels in available() {
                    let exec = executor(kernels.isa(), 1);
                    let found = bits(&product(&exec, &matrix, &x, precision));
                    assert!(found == wanted, "{ty} {num_large} {precision:?} {}", exec.isa());
                }
            }
        }
    }
}

/// Where sums are kept in 16 bits, these are the first that would saturate.
#[test]
fn sums_of_the_largest_codes_and_activations_are_exact() {
    const SHAPE: (usize, usize) = (16, 128);
    let scalar = executor(Isa::Scalar, 1);
    let ones = half::f16::ONE.to_le_bytes().repeat(SHAPE.0 * SHAPE.1 / 64);
    let zeros = vec![0; ones.len()];
    for bits in [2, 3, 4, 5, 6, 8] {
        let codes = vec![0xff; SHAPE.0 * SHAPE.1 / 8 * bits];
        let data = MatrixData::Affine {
            bits: AffineBits::new(bits as u64).unwrap(),
            group: 64,
            codes: &codes,
            scales: FloatSlice::new(FloatType::F16, &ones),
            biases: FloatSlice::new(FloatType::F16, &zeros),
        };
        let view = MatrixView::new(SHAPE.0, SHAPE.1, data).unwrap();
        let matrix = PackedMatrix::pack(&scalar, &view, RowMap::Identity).unwrap();
        // A scale of activations of 1, so that sums of products are all there is.
        for x in [127.0, -127.0] {
            let wanted = x * ((1 << bits) - 1) as f32 * SHAPE.1 as f32;
            for kernels in available() {
                let exec = executor(kernels.isa(), 1);
                let found = product(&exec, &matrix, &[x; 13 * SHAPE.1], Precision::Fast);
                assert!(found.iter().all(|&y| y == wanted), "{bits} bits, {x}, {}", exec.isa());
            }
        }
    }
}

/// What int8 activations stand for: an independent, plain statement of the quantisation.
fn quantised(x: &[f32], ratio: f32) -> Vec<f64> {
    let scale = |x: &[f32]| x.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
    let code = |x: &[f32]| -> Vec<f32> {
        let scale = scale(x);
        let round = |v: &f32| if scale == 0.0 { 0.0 } else { (v / scale).round_ties_even() };
        x.iter().map(|v| round(v) * scale).collect()
    };
    let blocks = x.len().next_multiple_of(64) / 32;
    let mean = x.chunks(32).map(scale).sum::<f32>() / blocks as f32;
    let block = |x: &[f32]| -> Vec<f64> {
        let first = code(x);
        let left: Vec<f32> = x.iter().zip(&first).map(|(x, first)| x - first).collect();
        let second = if scale(x) > ratio * mean { code(&left) } else { vec![0.0; x.len()] };
        first.iter().zip(second).map(|(a, b)| f64::from(*a) + f64::from(b)).collect()
    };
    x.chunks(32).flat_map(block).collect()
}

fn check_against_f64(
    precision: Precision,
    tolerance: f64,
    round: impl Fn(&Executor, &Owned, &[f32]) -> Vec<f64>,
) {
    let mut random = Random::new(3);
    let all = every_encoding(&mut random);
    for kernels in available() {
        let exec = executor(kernels.isa(), 2);
        for owned in &all {
            let matrix =
                PackedMatrix::pack(&exec, &owned.view(), RowMap::Identity).expect("a checked view");
            let x = rows(&mut random, owned.cols);
            let y = product(&exec, &matrix, &x[..7 * owned.cols], precision);
            let mut weights = vec![0.0; owned.cols];
            for n in 0..owned.rows {
                matrix.dequantize_row(n, &mut weights);
                for m in 0..7 {
                    let x = round(&exec, owned, &x[m * owned.cols..(m + 1) * owned.cols]);
                    let terms = weights.iter().zip(&x).map(|(w, x)| f64::from(*w) * x);
                    let size: f64 = terms.clone().map(f64::abs).sum();
                    let (wanted, found) = (terms.sum::<f64>(), f64::from(y[m * owned.rows + n]));
                    let error = (wanted - found).abs();
                    // Integer sums with a bias cancel: the size of the parts bounds the error.
                    let allowed = tolerance * size + 1e-30;
                    assert!(error <= allowed, "{} {m} {n}: {found} {wanted} {size}", owned.name);
                }
            }
        }
    }
}

#[test]
fn exact_products_are_those_of_f64() {
    check_against_f64(Precision::Exact, 1e-5, |_, _, x| x.iter().map(|&v| f64::from(v)).collect());
}

/// The residual of an int8 code is a 254th of its scale at most after it was coded itself.
#[test]
fn fine_products_are_nearly_those_of_f64() {
    check_against_f64(Precision::Fine, 1e-4, |_, _, x| x.iter().map(|&v| f64::from(v)).collect());
}

#[test]
fn balanced_products_are_those_of_the_rounded_activations() {
    check_rounded(Precision::Balanced, 1.5);
}

#[test]
fn fast_products_are_those_of_the_rounded_activations() {
    check_rounded(Precision::Fast, f32::INFINITY);
}

fn check_rounded(precision: Precision, ratio: f32) {
    check_against_f64(precision, 1e-5, |exec, owned, x| match owned.view().data {
        _ if is_bf16_dot(exec, owned, precision) => {
            x.iter().map(|&v| half::bf16::from_f32(v).to_f64()).collect()
        }
        MatrixData::Dense(_) => x.iter().map(|&v| f64::from(v)).collect(),
        _ if owned.name.contains("mxfp8") => x.iter().map(|&v| f64::from(v)).collect(),
        _ if ["F32", "F16", "BF16"].iter().any(|f| owned.name == format!("ggml {f}")) => {
            x.iter().map(|&v| f64::from(v)).collect()
        }
        _ => quantised(x, ratio),
    });
}

#[test]
fn several_matrices_share_one_region_and_row_order_is_undone() {
    let mut random = Random::new(4);
    let exec = executor(available()[0].isa(), 2);
    let sizes = [(64, 64), (1, 64), (40, 64)];
    let all = sizes.map(|(rows, cols)| {
        packed_weights::ggml(&mut random, russet_tensor::GgmlType::Q4_1, rows, cols)
    });
    let map = RowMap::HalvesFromPairs { heads: 4 };
    let plain =
        all.each_ref().map(|o| PackedMatrix::pack(&exec, &o.view(), RowMap::Identity).unwrap());
    let mapped = PackedMatrix::pack(&exec, &all[0].view(), map).unwrap();
    let x = random.floats(14 * 64);
    let mut activations = Activations::new();
    let matrices = [&mapped, &plain[1], &plain[2]];
    activations.prepare(&exec, &x, 64, &matrices, Precision::Fast);
    let mut out = matrices.map(|m| vec![0.0; 14 * m.rows()]);
    matmul(&exec, &matrices, &activations, &mut out.each_mut().map(|o| &mut o[..]));
    let wanted = product(&exec, &plain[0], &x, Precision::Fast);
    for (row, found) in out[0].chunks_exact(64).enumerate() {
        for (n, &found) in found.iter().enumerate() {
            assert_eq!(found, wanted[row * 64 + map.source_row(n, 64)]);
        }
    }
    for i in 1..3 {
        assert_eq!(out[i], product(&exec, &plain[i], &x, Precision::Fast));
    }
}

#[test]
fn experts_with_any_number_of_rows_share_one_region() {
    let mut random = Random::new(7);
    let num_rows = [1, 0, 17, 3, 0, 40];
    let experts: Vec<_> = num_rows
        .map(|_| packed_weights::ggml(&mut random, russet_tensor::GgmlType::Q4_1, 40, 64))
        .into();
    let x = num_rows.map(|rows| random.floats(rows * 64));
    for kernels in available() {
        for threads in [1, 2, 3] {
            let exec = executor(kernels.isa(), threads);
            let pack = |o: &Owned| PackedMatrix::pack(&exec, &o.view(), RowMap::Identity).unwrap();
            let matrices: Vec<_> = experts.iter().map(pack).collect();
            let mut prepared = num_rows.map(|_| Activations::new());
            for ((x, matrix), activations) in x.iter().zip(&matrices).zip(&mut prepared) {
                activations.prepare(&exec, x, 64, &[matrix], Precision::Balanced);
            }
            let factors: Vec<_> = matrices.iter().zip(&prepared).collect();
            let mut out = num_rows.map(|rows| vec![f32::NAN; rows * 40]);
            matmul_gathered(&exec, &factors, &mut out.each_mut().map(|o| &mut o[..]));
            for ((matrix, x), out) in matrices.iter().zip(&x).zip(&out) {
                assert_eq!(bits(out), bits(&product(&exec, matrix, x, Precision::Balanced)));
            }
        }
    }
}

#[test]
fn non_finite_activations_stay_so() {
    let mut random = Random::new(5);
    let owned = packed_weights::ggml(&mut random, russet_tensor::GgmlType::Q8_0, 16, 64);
    for kernels in available() {
        let exec = executor(kernels.isa(), 1);
        let matrix = PackedMatrix::pack(&exec, &owned.view(), RowMap::Identity).unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = vec![1.0; 64];
            x[40] = bad;
            let y = product(&exec, &matrix, &x, Precision::Fast);
            assert!(y.iter().all(|y| !y.is_finite()), "{bad} {}", kernels.isa());
        }
    }
}

#[test]
fn bad_shapes_are_refused_by_name() {
    let exec = executor(Isa::Scalar, 1);
    let mut random = Random::new(6);
    let owned = packed_weights::ggml(&mut random, russet_tensor::GgmlType::Q4_0, 6, 32);
    let map = RowMap::HalvesFromPairs { heads: 4 };
    let error = PackedMatrix::pack(&exec, &owned.view(), map).unwrap_err();
    assert_eq!(error.to_string(), "6 rows are not 4 heads of an even number of rows");
    let mut view = owned.view();
    view.rows = 7;
    let error = PackedMatrix::pack(&exec, &view, RowMap::Identity).unwrap_err();
    assert_eq!(error.to_string(), "blocks of a 7x32 Q4_0 matrix has 108 bytes, 126 expected");
}
