//! Packed values against those that MLX and the gguf Python package give for the same bytes.

use std::num::NonZeroUsize;
use std::path::Path;

use russet_kernels::{Executor, PackedMatrix, packed_bytes, select};
use russet_tensor::{
    AffineBits, FloatSlice, FloatType, FpFormat, GgmlType, MatrixData, MatrixView, RowMap,
};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

fn read(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../decoder/tests/fixtures");
    let path = fixtures.join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn floats<'a>(tensor: &TensorView<'a>) -> FloatSlice<'a> {
    let ty = match tensor.dtype() {
        Dtype::F32 => FloatType::F32,
        Dtype::F16 => FloatType::F16,
        Dtype::BF16 => FloatType::BF16,
        other => panic!("{other:?} is no float of these fixtures"),
    };
    FloatSlice::new(ty, tensor.data())
}

/// Compares every value, within `tolerance` of the largest magnitude of its row.
fn check(name: &str, view: &MatrixView<'_>, wanted: &FloatSlice<'_>, tolerance: f32) {
    let exec = Executor::new(select(None).expect("scalar is always there"), NonZeroUsize::MIN);
    let matrix = PackedMatrix::pack(&exec, view, RowMap::Identity).expect("a checked view");
    assert_eq!(wanted.len(), view.rows * view.cols, "{name}");
    assert_eq!(packed_bytes(view).expect("a checked view"), matrix.num_bytes(), "{name}");
    let mut row = vec![0.0; view.cols];
    for r in 0..view.rows {
        matrix.dequantize_row(r, &mut row);
        let largest = row.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (c, &found) in row.iter().enumerate() {
            let wanted = wanted.get(r * view.cols + c);
            let is_same = found == wanted || found.is_nan() && wanted.is_nan();
            let is_close = (found - wanted).abs() <= tolerance * largest;
            assert!(is_same || is_close, "{name} [{r}, {c}]: {found:e} for {wanted:e}");
        }
    }
}

#[test]
fn mlx_values() {
    let bytes = read("dequant.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str, part: &str| tensors.tensor(&format!("{name}.{part}"));
    let mut num_checked = 0;
    for name in tensors.names().iter().filter_map(|n| n.strip_suffix(".values")) {
        let values = tensor(name, "values").unwrap();
        let (weight, scales) = (tensor(name, "weight").unwrap(), tensor(name, "scales").unwrap());
        let &[rows, cols] = values.shape() else { panic!("{name}: {:?}", values.shape()) };
        let (codes, num_groups) = (weight.data(), scales.shape()[1]);
        let data = match tensor(name, "biases") {
            Ok(biases) => MatrixData::Affine {
                bits: AffineBits::new((codes.len() * 8 / (rows * cols)) as u64).unwrap(),
                group: cols / num_groups,
                codes,
                scales: floats(&scales),
                biases: floats(&biases),
            },
            Err(_) => {
                let formats = [FpFormat::Mxfp4, FpFormat::Mxfp8, FpFormat::Nvfp4];
                let format = formats.into_iter().find(|f| name.starts_with(f.name())).unwrap();
                let global = tensor(name, "global_scale").ok();
                let global_scale = global.map(|t| floats(&t).get(0));
                MatrixData::Fp { format, codes, scales: scales.data(), global_scale }
            }
        };
        let is_affine = matches!(data, MatrixData::Affine { .. });
        let view = MatrixView::new(rows, cols, data).unwrap();
        // MLX rounds the product and the sum of the affine form each.
        let tolerance = if is_affine { 2.0 * f32::EPSILON } else { 0.0 };
        check(name, &view, &floats(&values), tolerance);
        num_checked += 1;
    }
    assert!(num_checked >= 20, "{num_checked} cases");
}

#[test]
fn ggml_values() {
    let bytes = read("ggml_types.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut num_checked = 0;
    for ty in (0..64).filter_map(|id| GgmlType::from_id(id).ok()) {
        let Ok(values) = tensors.tensor(&format!("{ty}.values")) else { continue };
        let blocks = tensors.tensor(&format!("{ty}.bytes")).unwrap();
        let &[rows, cols] = values.shape() else { panic!("{ty}: {:?}", values.shape()) };
        let data = MatrixData::Ggml { ty, bytes: blocks.data() };
        let view = MatrixView::new(rows, cols, data).unwrap();
        check(&ty.to_string(), &view, &floats(&values), 0.0);
        num_checked += 1;
    }
    assert!(num_checked >= 15, "{num_checked} types");
}

#[test]
fn packed_matrices_are_hardly_larger_than_their_files() {
    let (rows, cols) = (16, 1024);
    let zeros = vec![0; rows * cols * 4];
    let check = |data, file_bytes: usize, most: f64| {
        let view = MatrixView::new(rows, cols, data).unwrap();
        let ratio = packed_bytes(&view).unwrap() as f64 / file_bytes as f64;
        assert!(ratio <= most, "{}: {ratio}", view.encoding());
    };
    for bits in AffineBits::ACCEPTED {
        for group in [32, 64, 128] {
            let (codes, floats) = (rows * cols * usize::from(bits) / 8, rows * cols / group * 2);
            let scales = FloatSlice::new(FloatType::F16, &zeros[..floats]);
            let bits = AffineBits::new(bits.into()).unwrap();
            let codes = &zeros[..codes];
            let data = MatrixData::Affine { bits, group, codes, scales, biases: scales };
            check(data, codes.len() + 2 * floats, 1.0);
        }
    }
    for (ty, most) in [
        (GgmlType::Q4_0, 1.0),
        (GgmlType::Q4_1, 1.0),
        (GgmlType::Q5_0, 1.0),
        (GgmlType::Q5_1, 1.0),
        (GgmlType::Q8_0, 1.0),
        (GgmlType::Q2_K, 1.0),
        (GgmlType::Q3_K, 1.06),
        (GgmlType::Q4_K, 1.03),
        (GgmlType::Q5_K, 1.03),
        (GgmlType::Q6_K, 1.01),
        (GgmlType::IQ4_NL, 1.0),
        (GgmlType::IQ4_XS, 1.03),
    ] {
        let bytes = &zeros[..rows * ty.row_bytes(cols)];
        check(MatrixData::Ggml { ty, bytes }, bytes.len(), most);
    }
}
