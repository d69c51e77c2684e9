//! The matrices that the decoder loads: what they take in memory and what they cost a token.

use anyhow::Result;
use russet_bench::Costs;
use russet_decoder::{Ffn, Head, Mixer, ModelSpec};
use russet_weights::{Checkpoint, Role, RoleAt};

/// One matrix by its shape.
pub(crate) struct Matrix {
    at: RoleAt,
    rows: usize,
    cols: usize,
}

/// All matrices: the embedding, the head if it has its own, and the layers'.
pub(crate) fn all(spec: &ModelSpec) -> Vec<Matrix> {
    let hidden = spec.hidden_len;
    let matrix = |at: RoleAt, rows, cols| Matrix { at, rows, cols };
    let mut matrices = vec![matrix(Role::TokenEmbd.into(), spec.vocab_len, hidden)];
    if spec.head != Head::Tied {
        matrices.push(matrix(Role::Output.into(), spec.vocab_len, hidden));
    }
    for (i, layer) in spec.layers.iter().enumerate() {
        let Mixer::Attention(attention) = &layer.mixer;
        let q_len = attention.num_heads * attention.head_dim;
        let kv_len = attention.num_kv_heads * attention.head_dim;
        let Ffn::Gated(ffn) = &layer.ffn;
        matrices.extend([
            matrix(Role::AttnQ.at(i), q_len, hidden),
            matrix(Role::AttnK.at(i), kv_len, hidden),
            matrix(Role::AttnV.at(i), kv_len, hidden),
            matrix(Role::AttnOutput.at(i), hidden, q_len),
            matrix(Role::FfnGate.at(i), ffn.inner_len, hidden),
            matrix(Role::FfnUp.at(i), ffn.inner_len, hidden),
            matrix(Role::FfnDown.at(i), hidden, ffn.inner_len),
        ]);
    }
    matrices
}

/// What a token costs. An embedding that is not the head is read for one row only.
pub(crate) fn costs(checkpoint: &Checkpoint, spec: &ModelSpec) -> Result<Costs> {
    let head = match spec.head {
        Head::Tied => Role::TokenEmbd,
        Head::Own => Role::Output,
    };
    let mut costs = Costs { layer_parameters: 0, head_parameters: 0, step_bytes: 0 };
    for matrix in all(spec) {
        match matrix.at.layer {
            Some(_) => costs.layer_parameters += matrix.num_parameters(),
            None if matrix.at.role == head => costs.head_parameters += matrix.num_parameters(),
            None => continue,
        }
        costs.step_bytes += matrix.packed_bytes(checkpoint)?;
    }
    Ok(costs)
}

impl Matrix {
    fn num_parameters(&self) -> u64 {
        self.rows as u64 * self.cols as u64
    }

    /// Bytes in memory, as the kernels read them.
    pub(crate) fn packed_bytes(&self, checkpoint: &Checkpoint) -> Result<u64> {
        let source = checkpoint.matrix(self.at, self.rows, self.cols)?;
        Ok(russet_kernels::packed_bytes(&source.view)? as u64)
    }
}
