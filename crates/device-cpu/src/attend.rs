//! The attention verb: norm and rotate, write to the slots, attend.

use russet_decoder::{AttendLayer, Device, Norm, Qkv, RopePairing, Step, StepRope};
use russet_kernels::{self as kernels, AttentionArgs, AttentionRow, Executor, KvPool, RopeTable};

use crate::buffers::Buffer;
use crate::device::CpuDevice;

pub(crate) fn attend(
    device: &mut CpuDevice,
    step: &Step<'_>,
    mut qkv: Qkv<CpuDevice>,
    layer: AttendLayer<'_, CpuDevice>,
) -> Buffer {
    let spec = layer.spec;
    normalise_heads(device, &mut qkv.q, layer.q_norm);
    normalise_heads(device, &mut qkv.k, layer.k_norm);
    if let Some(rope) = spec.rope {
        rotate(device, step, rope, (&mut qkv.q, spec.head_dim));
        rotate(device, step, rope, (&mut qkv.k, spec.head_dim));
    }
    write_slots(&device.exec, &mut layer.cache.pool, step, &qkv, layer.group);
    let rows = attention_rows(step, layer.group);
    let mut out = device.spares.take(rows.len(), spec.num_heads * spec.head_dim);
    let args = AttentionArgs {
        q: &qkv.q.values,
        num_heads: spec.num_heads,
        scale: spec.scale,
        softcap: spec.softcap,
        sinks: None,
        rows: &rows,
    };
    kernels::attention(&device.exec, &layer.cache.pool, &args, &mut out.values);
    device.recycle(qkv.q);
    device.recycle(qkv.k);
    device.recycle(qkv.v);
    out
}

fn normalise_heads(device: &CpuDevice, x: &mut Buffer, norm: Option<&Norm<CpuDevice>>) {
    let Some(norm) = norm else { return };
    let width = norm.weight.len();
    let (weight, eps) = (Some(norm.weight.as_slice()), norm.spec.eps);
    kernels::rms_norm_in_place(&device.exec, &mut x.values, weight, eps, width);
}

fn rotate(device: &CpuDevice, step: &Step<'_>, rope: usize, (x, head_dim): (&mut Buffer, usize)) {
    let StepRope { rope, table } = &step.ropes[rope];
    let table = RopeTable { cos: &table.cos, sin: &table.sin, half: rope.dims / 2 };
    let pairing = match rope.pairing {
        RopePairing::Halves => kernels::RopePairing::Halves,
        RopePairing::Interleaved => kernels::RopePairing::Interleaved,
    };
    let heads = x.width / head_dim;
    kernels::rope(&device.exec, &mut x.values, heads, head_dim, &table, pairing);
}

/// Writes the keys and values of every row to its slot.
fn write_slots(
    exec: &Executor,
    pool: &mut KvPool,
    step: &Step<'_>,
    qkv: &Qkv<CpuDevice>,
    group: usize,
) {
    let block_len = pool.layout().block_len;
    let sequences = step.batch.sequences.iter().zip(&step.groups[group].tables);
    let slots: Vec<(u32, usize)> = sequences
        .flat_map(|(sequence, table)| {
            let slots = sequence.cached_len..sequence.cached_len + sequence.rows.len();
            slots.map(|slot| (table[slot / block_len], slot % block_len))
        })
        .collect();
    pool.write_rows(exec, &slots, &qkv.k.values, &qkv.v.values);
}

/// What every row attends to.
fn attention_rows<'a>(step: &'a Step<'_>, group: usize) -> Vec<AttentionRow<'a>> {
    let group = &step.groups[group];
    let tables = step.batch.sequences.iter().zip(&group.tables);
    let tables = tables.flat_map(|(s, table)| std::iter::repeat_n(table, s.rows.len()));
    tables.zip(&group.visible).map(|(table, visible)| AttentionRow { table, visible }).collect()
}
