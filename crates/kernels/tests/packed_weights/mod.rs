//! Matrices of every encoding with random codes and chosen scales.

use half::{bf16, f16};
use russet_tensor::{
    AffineBits, FloatSlice, FloatType, FpFormat, GgmlType, MatrixData, MatrixView,
};

/// A small generator (xorshift), so that failures repeat.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// Uniform in -1..1.
    pub(crate) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
}

/// The bytes of a matrix.
pub(crate) struct Owned {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    data: Data,
}

enum Data {
    Dense(FloatType, Vec<u8>),
    Affine { bits: u64, group: usize, codes: Vec<u8>, ty: FloatType, s: Vec<u8>, b: Vec<u8> },
    Fp { format: FpFormat, codes: Vec<u8>, scales: Vec<u8>, global: Option<f32> },
    Ggml(GgmlType, Vec<u8>),
}

impl Owned {
    pub(crate) fn view(&self) -> MatrixView<'_> {
        let data = match &self.data {
            Data::Dense(ty, bytes) => MatrixData::Dense(FloatSlice::new(*ty, bytes)),
            Data::Affine { bits, group, codes, ty, s, b } => MatrixData::Affine {
                bits: AffineBits::new(*bits).expect("a width of MLX"),
                group: *group,
                codes,
                scales: FloatSlice::new(*ty, s),
                biases: FloatSlice::new(*ty, b),
            },
            Data::Fp { format, codes, scales, global } => {
                MatrixData::Fp { format: *format, codes, scales, global_scale: *global }
            }
            Data::Ggml(ty, bytes) => MatrixData::Ggml { ty: *ty, bytes },
        };
        MatrixView::new(self.rows, self.cols, data).expect("parts that fit")
    }
}

/// `len` floats of type `ty`.
pub(crate) fn encode(ty: FloatType, values: &[f32]) -> Vec<u8> {
    let encode = |&v: &f32| match ty {
        FloatType::F32 => v.to_le_bytes().to_vec(),
        FloatType::F16 => f16::from_f32(v).to_le_bytes().to_vec(),
        FloatType::BF16 => bf16::from_f32(v).to_le_bytes().to_vec(),
    };
    values.iter().flat_map(encode).collect()
}

/// Scales of all kinds: ordinary, negative, zero, denormal in f16, large.
fn scales(random: &mut Random, len: usize) -> Vec<f32> {
    let one = |random: &mut Random| match random.below(12) {
        0 => 0.0,
        1 => 3e-7 * random.float(),
        2 => 900.0 * random.float(),
        _ => 0.01 * random.float(),
    };
    (0..len).map(|_| one(random)).collect()
}

pub(crate) fn dense(random: &mut Random, ty: FloatType, rows: usize, cols: usize) -> Owned {
    let bytes = encode(ty, &random.floats(rows * cols));
    Owned { name: format!("dense {}", ty.name()), rows, cols, data: Data::Dense(ty, bytes) }
}

pub(crate) fn affine(
    random: &mut Random,
    bits: u64,
    group: usize,
    ty: FloatType,
    (rows, cols): (usize, usize),
) -> Owned {
    let codes = random.bytes(rows * cols / 8 * bits as usize);
    let s = encode(ty, &scales(random, rows * cols / group));
    let b = encode(ty, &scales(random, rows * cols / group));
    let name = format!("affine {bits}-bit group {group} {}", ty.name());
    Owned { name, rows, cols, data: Data::Affine { bits, group, codes, ty, s, b } }
}

pub(crate) fn fp(
    random: &mut Random,
    format: FpFormat,
    global: Option<f32>,
    (rows, cols): (usize, usize),
) -> Owned {
    let codes = random.bytes(rows * cols * format.bits() / 8);
    // No NaN: 0x7f and 0xff are NaN in E4M3.
    let codes = codes.iter().map(|c| if c & 0x7f == 0x7f { c ^ 1 } else { *c }).collect();
    let scale = |random: &mut Random| match format {
        FpFormat::Nvfp4 => (random.below(127) + 128 * random.below(2)) as u8,
        FpFormat::Mxfp4 | FpFormat::Mxfp8 => (118 + random.below(12)) as u8,
    };
    let scales = (0..rows * cols / format.group()).map(|_| scale(random)).collect();
    let name = format!("{} {global:?}", format.name());
    Owned { name, rows, cols, data: Data::Fp { format, codes, scales, global } }
}

/// Where the f16 scales of a block are.
fn scale_offsets(ty: GgmlType) -> &'static [usize] {
    match ty {
        GgmlType::Q4_0 | GgmlType::Q5_0 | GgmlType::Q8_0 => &[0],
        GgmlType::IQ4_NL | GgmlType::IQ4_XS => &[0],
        GgmlType::Q4_1 | GgmlType::Q5_1 | GgmlType::Q4_K | GgmlType::Q5_K => &[0, 2],
        GgmlType::Q2_K => &[80, 82],
        GgmlType::Q3_K => &[108],
        GgmlType::Q6_K => &[208],
        GgmlType::F32 | GgmlType::F16 | GgmlType::BF16 | GgmlType::MXFP4 => &[],
    }
}

pub(crate) fn ggml(random: &mut Random, ty: GgmlType, rows: usize, cols: usize) -> Owned {
    let num_blocks = rows * cols / ty.block_len();
    let mut bytes = random.bytes(num_blocks * ty.block_bytes());
    for block in bytes.chunks_exact_mut(ty.block_bytes()) {
        for &at in scale_offsets(ty) {
            block[at..at + 2].copy_from_slice(&encode(FloatType::F16, &scales(random, 1)));
        }
        if ty == GgmlType::MXFP4 {
            block[0] = (118 + random.below(12)) as u8;
        }
    }
    let float = match ty {
        GgmlType::F32 => Some(FloatType::F32),
        GgmlType::F16 => Some(FloatType::F16),
        GgmlType::BF16 => Some(FloatType::BF16),
        _ => None,
    };
    if let Some(float) = float {
        bytes = encode(float, &random.floats(rows * cols));
    }
    Owned { name: format!("ggml {ty}"), rows, cols, data: Data::Ggml(ty, bytes) }
}

/// Codes that make integer sums as large as they get: every code byte is `byte`.
pub(crate) fn extreme(
    random: &mut Random,
    ty: GgmlType,
    byte: u8,
    rows: usize,
    cols: usize,
) -> Owned {
    let mut owned = ggml(random, ty, rows, cols);
    if let Data::Ggml(_, bytes) = &mut owned.data {
        for block in bytes.chunks_exact_mut(ty.block_bytes()) {
            block.fill(byte);
            for &at in scale_offsets(ty) {
                block[at..at + 2].copy_from_slice(&f16::from_f32(0.01).to_le_bytes());
            }
        }
    }
    owned.name += " extreme";
    owned
}

const GGML: [GgmlType; 16] = [
    GgmlType::F32,
    GgmlType::F16,
    GgmlType::BF16,
    GgmlType::Q4_0,
    GgmlType::Q4_1,
    GgmlType::Q5_0,
    GgmlType::Q5_1,
    GgmlType::Q8_0,
    GgmlType::Q2_K,
    GgmlType::Q3_K,
    GgmlType::Q4_K,
    GgmlType::Q5_K,
    GgmlType::Q6_K,
    GgmlType::IQ4_NL,
    GgmlType::IQ4_XS,
    GgmlType::MXFP4,
];

/// Every encoding, in shapes whose rows are no multiple of 16 and whose columns exercise the
/// padding.
pub(crate) fn every_encoding(random: &mut Random) -> Vec<Owned> {
    let mut all = Vec::new();
    for ty in [FloatType::F32, FloatType::F16, FloatType::BF16] {
        for (rows, cols) in [(1, 1), (16, 7), (33, 33), (19, 100), (5, 576)] {
            all.push(dense(random, ty, rows, cols));
        }
        for (i, bits) in AffineBits::ACCEPTED.into_iter().enumerate() {
            for (group, cols) in [(32, 96), (64, 192), (128, 384), (32, 32), (64, 576)] {
                all.push(affine(random, bits.into(), group, ty, (7 + 5 * i, cols)));
            }
        }
    }
    for cols in [32, 96, 576] {
        all.push(fp(random, FpFormat::Mxfp4, None, (21, cols)));
        all.push(fp(random, FpFormat::Mxfp8, None, (21, cols)));
    }
    for cols in [16, 48, 64, 144] {
        all.push(fp(random, FpFormat::Nvfp4, None, (18, cols)));
        all.push(fp(random, FpFormat::Nvfp4, Some(1.75), (18, cols)));
    }
    for ty in GGML {
        for (rows, blocks) in [(1, 1), (17, 3)] {
            all.push(ggml(random, ty, rows, blocks * ty.block_len()));
        }
    }
    for ty in GGML.into_iter().skip(3).filter(|&ty| ty != GgmlType::MXFP4) {
        for byte in [0x80, 0x7f, 0xff, 0x00] {
            all.push(extreme(random, ty, byte, 17, 512));
        }
    }
    all
}
