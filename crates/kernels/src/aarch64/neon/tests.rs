//! Every extension that this CPU has against scalar, since `available` offers only the best.

use std::num::NonZeroUsize;

use russet_tensor::RowMap;

use super::Neon;
use crate::{Activations, Executor, Isa, Kernels, PackedMatrix, Precision, matmul, select};

#[path = "../../../tests/packed_weights/mod.rs"]
mod packed_weights;

use packed_weights::{Random, every_encoding};

/// More than a chunk.
const MAX_ROWS: usize = 15;

fn executor(kernels: &'static dyn Kernels) -> Executor {
    Executor::new(kernels, NonZeroUsize::MIN)
}

fn product(exec: &Executor, matrix: &PackedMatrix, x: &[f32]) -> Vec<u32> {
    let mut activations = Activations::new();
    activations.prepare(exec, x, matrix.cols(), &[matrix], Precision::Balanced);
    let mut out = vec![f32::NAN; activations.rows() * matrix.rows()];
    matmul(exec, &[matrix], &activations, &mut [&mut out]);
    out.into_iter().map(f32::to_bits).collect()
}

#[test]
fn every_extension_equals_scalar() {
    let scalar = executor(select(Some(Isa::Scalar)).unwrap());
    let all = Box::leak(Neon::all().into_boxed_slice());
    let others: Vec<_> = all.iter().map(|kernels| executor(kernels)).collect();
    let names: Vec<_> = all.iter().map(Kernels::name).collect();
    println!("{}", names.join(", "));
    assert_eq!(names[0], Neon::detect().unwrap().name());
    assert_eq!(*names.last().unwrap(), "neon");
    let mut random = Random::new(11);
    for owned in every_encoding(&mut random) {
        let matrix = PackedMatrix::pack(&scalar, &owned.view(), RowMap::Identity).unwrap();
        let x = random.floats(MAX_ROWS * owned.cols);
        let wanted = product(&scalar, &matrix, &x);
        for exec in &others {
            for rows in 1..=MAX_ROWS {
                let found = product(exec, &matrix, &x[..rows * owned.cols]);
                let case = format!("{} {} rows {rows}", exec.kernels().name(), owned.name);
                assert!(found == wanted[..found.len()], "{case}");
            }
        }
    }
}
