//! Rotary embeddings against what MLX computes (`fixtures/tables.py`).

use crate::golden::{f32s, fixtures};
use russet_decoder::{DynamicNtk, Position, Rope, RopePairing, RopeScaling, Yarn};
use safetensors::SafeTensors;
use serde_json::Value;

const HEADS: usize = 2;
const POSITIONS: usize = 16;
const HEAD_DIM: usize = 32;

/// MLX computes angles in f32: at position 1000 they are off by up to 1000 · 2⁻²⁴ radians.
const TOLERANCE: f32 = 2e-4;

#[test]
fn every_scaling_equals_mlx() {
    let cases = std::fs::read(fixtures().join("rope.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    let bytes = std::fs::read(fixtures().join("rope.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let x = f32s(tensors.tensor("x").unwrap().data());
    assert!(cases.len() > 10);
    for case in &cases {
        for offset in case["offsets"].as_array().unwrap() {
            let offset = offset.as_u64().unwrap() as u32;
            let name = case["name"].as_str().unwrap();
            let expected = f32s(tensors.tensor(&format!("{name}.{offset}")).unwrap().data());
            let found = rotated(&rope(case), &x, offset);
            check(case, (&found, &expected), offset);
        }
    }
}

fn check(case: &Value, (found, expected): (&[f32], &[f32]), offset: u32) {
    let kind = case["scaling"]["type"].as_str().or(case["scaling"]["rope_type"].as_str());
    let max_len = case["max_positions"].as_u64().unwrap() as usize;
    // Past max_len MLX rotates all positions of a call by the base of its last one; ours does not
    // depend on the call.
    let first = match kind {
        Some("dynamic") if offset as usize + POSITIONS > max_len => POSITIONS - 1,
        _ => 0,
    };
    for head in 0..HEADS {
        let at = (head * POSITIONS + first) * HEAD_DIM..(head + 1) * POSITIONS * HEAD_DIM;
        for (a, b) in found[at.clone()].iter().zip(&expected[at]) {
            let tolerance = TOLERANCE * b.abs().max(1.0);
            assert!((a - b).abs() < tolerance, "{} at {offset}: {a} is not {b}", case["name"]);
        }
    }
}

fn rope(case: &Value) -> Rope {
    let base = case["base"].as_f64().unwrap();
    let dims = case["dims"].as_u64().unwrap() as usize;
    let pairing = match case["traditional"].as_bool().unwrap() {
        true => RopePairing::Interleaved,
        false => RopePairing::Halves,
    };
    let max_len = case["max_positions"].as_f64().unwrap();
    Rope::new(dims, base, pairing, &scaling(&case["scaling"], base, max_len))
}

fn scaling(s: &Value, base: f64, max_len: f64) -> RopeScaling {
    let number = |key: &str, default: f64| s[key].as_f64().unwrap_or(default);
    let factor = number("factor", f64::NAN);
    let original_len = |default| number("original_max_position_embeddings", default);
    match s["type"].as_str().or(s["rope_type"].as_str()) {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor },
        Some("dynamic") => RopeScaling::Dynamic(DynamicNtk { base, factor, max_len }),
        Some("llama3") => RopeScaling::Llama3 {
            factor,
            low_freq_factor: number("low_freq_factor", 1.0),
            high_freq_factor: number("high_freq_factor", 4.0),
            original_len: original_len(8192.0),
        },
        Some("yarn") => RopeScaling::Yarn(Yarn {
            factor,
            original_len: original_len(4096.0),
            beta_fast: number("beta_fast", 32.0),
            beta_slow: number("beta_slow", 1.0),
            mscale: number("mscale", 1.0),
            mscale_all_dim: number("mscale_all_dim", 0.0),
        }),
        Some("longrope") => RopeScaling::LongRope {
            long_factors: s["long_factor"]
                .as_array()
                .unwrap()
                .iter()
                .map(|f| f.as_f64().unwrap())
                .collect(),
            max_len,
            original_len: original_len(f64::NAN),
        },
        other => panic!("no rule for {other:?}"),
    }
}

/// `x`: `[HEADS, POSITIONS, HEAD_DIM]`
fn rotated(rope: &Rope, x: &[f32], offset: u32) -> Vec<f32> {
    let positions: Vec<Position> =
        (0..POSITIONS as u32).map(|i| Position::text(offset + i)).collect();
    let table = rope.table(&positions);
    let half = rope.dims / 2;
    let mut out = x.to_vec();
    for (row, out) in out.chunks_exact_mut(HEAD_DIM).enumerate() {
        for i in 0..half {
            let (a, b) = match rope.pairing {
                RopePairing::Halves => (i, i + half),
                RopePairing::Interleaved => (2 * i, 2 * i + 1),
            };
            let at = row % POSITIONS * half + i;
            let (cos, sin) = (table.cos[at], table.sin[at]);
            (out[a], out[b]) = (out[a] * cos - out[b] * sin, out[a] * sin + out[b] * cos);
        }
    }
    out
}
