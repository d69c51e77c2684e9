//! Attention, one line and one slot after another: the definition.

use half::f16;

use crate::attention::{Attention, Partials, Scratch, Tile};
use crate::cell::Rounded;
use crate::kv::KvType;
use crate::pair::Pair;

use super::Scalar;

impl Attention for Scalar {
    fn attend_chunk(&self, tile: &Tile<'_>, chunk: usize, scratch: &mut Scratch) {
        scratch.begin_chunk(tile, chunk);
        for line in 0..tile.num_lines() {
            match tile.layout().dtype {
                KvType::F32 => attend_line::<f32>(tile, line, scratch),
                KvType::F16 => attend_line::<f16>(tile, line, scratch),
                KvType::BF16 => attend_line_in_pairs(tile, line, scratch),
            }
        }
    }

    fn merge(&self, total: &mut Partials, part: &Partials) {
        total.merge(part);
    }

    fn finish(&self, total: &Partials, line: usize, sink: Option<f32>, out: &mut [f32]) {
        total.finish(line, sink, out);
    }
}

fn attend_line<T: Rounded>(tile: &Tile<'_>, line: usize, scratch: &mut Scratch) {
    let layout = tile.layout();
    let query = tile.query(line);
    let first_slot = scratch.first_slot();
    let spans = scratch.spans.of_row(line / tile.group);
    let row = &mut scratch.scores[line];
    for slot in spans.iter().flat_map(|span| span.start..span.end) {
        let (keys, _, at) = tile.stored::<T>(first_slot + slot);
        let key = keys[at..].iter().step_by(layout.block_len);
        let pairs = query.iter().zip(key);
        row[slot] = pairs.fold(0.0, |sum, (q, k)| q.mul_add(k.widen(), sum));
    }
    scratch.part.stats[line] = tile.curve().softmax(row, spans);
    let weighted = scratch.part.line_mut(line);
    for slot in spans.iter().flat_map(|span| span.start..span.end) {
        let (_, values, at) = tile.stored::<T>(first_slot + slot);
        let value = &values[at * layout.v_dim..][..layout.v_dim];
        for (sum, v) in weighted.iter_mut().zip(value) {
            *sum = row[slot].mul_add(v.widen(), *sum);
        }
    }
}

/// As [`attend_line`], with queries and weights rounded to bf16, and two dimensions or two slots at
/// a time. A slot whose neighbour is not seen is added alone.
fn attend_line_in_pairs(tile: &Tile<'_>, line: usize, scratch: &mut Scratch) {
    let layout = tile.layout();
    let first_slot = scratch.first_slot();
    let spans = scratch.spans.of_row(line / tile.group);
    let row = &mut scratch.scores[line];
    for slot in spans.iter().flat_map(|span| span.start..span.end) {
        let (keys, _, at) = tile.stored::<Pair>(first_slot + slot);
        let key = keys[at..].iter().step_by(layout.block_len);
        let pairs = tile.query(line).chunks(2).zip(key);
        row[slot] = pairs.fold(0.0, |sum, (q, k)| {
            Pair::new(q[0], q.get(1).copied().unwrap_or(0.0)).dot(*k, sum)
        });
    }
    let weights = scratch.pairs.weights_mut(line);
    scratch.part.stats[line] = tile.curve().softmax_pairs(row, spans, weights);
    let weighted = scratch.part.line_mut(line);
    for span in spans {
        let mut slot = span.start;
        while slot < span.end {
            let (_, values, at) = tile.stored::<Pair>(first_slot + slot);
            let value = &values[at / 2 * layout.v_stride()..][..layout.v_dim];
            let is_whole = slot.is_multiple_of(2) && slot + 1 < span.end;
            let weight = weights[slot / 2];
            for (sum, v) in weighted.iter_mut().zip(value) {
                *sum = match is_whole {
                    true => weight.dot(*v, *sum),
                    false => weight.get(slot % 2).mul_add(v.get(slot % 2), *sum),
                };
            }
            slot += if is_whole { 2 } else { 1 };
        }
    }
}
