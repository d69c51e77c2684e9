//! What an architecture's files look like: tensor names, row order and norm convention.

use crate::{Role, RoleAt};

/// How the checkpoints of one architecture are stored, in each format.
#[derive(Debug, Clone)]
pub struct ArchLayout {
    /// Tensor names of Hugging Face and MLX files.
    pub names: HfNames,
    /// Order of the query and key rows in GGUF files.
    pub gguf_qk_rows: QkRows,
    /// What the norm weights of Hugging Face and MLX files mean; GGUF always stores the factor.
    pub hf_norms: NormStorage,
}

impl Default for ArchLayout {
    /// Llama's names, rows in order, norms stored as factors.
    fn default() -> Self {
        Self {
            names: HfNames::default(),
            gguf_qk_rows: QkRows::InOrder,
            hf_norms: NormStorage::Factor,
        }
    }
}

/// Order of the rows of query and key projections in GGUF files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkRows {
    /// As in Hugging Face files.
    InOrder,
    /// Adjacent rows are a rotary pair, as the converter writes for GGUF's `llama` architecture.
    Pairs,
}

/// What a stored norm weight means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormStorage {
    /// The factor itself.
    Factor,
    /// The factor minus one (Gemma).
    FactorMinusOne,
}

/// Tensor names of Hugging Face and MLX files, by role.
#[derive(Debug, Clone)]
pub struct HfNames {
    rows: Vec<(Role, &'static str)>,
    prefixes: Vec<&'static str>,
    ignored: Vec<&'static str>,
}

impl Default for HfNames {
    /// The names of llama, which most architectures share.
    fn default() -> Self {
        let rows = vec![
            (Role::TokenEmbd, "model.embed_tokens"),
            (Role::OutputNorm, "model.norm"),
            (Role::Output, "lm_head"),
            (Role::AttnNorm, "model.layers.{}.input_layernorm"),
            (Role::AttnQ, "model.layers.{}.self_attn.q_proj"),
            (Role::AttnK, "model.layers.{}.self_attn.k_proj"),
            (Role::AttnV, "model.layers.{}.self_attn.v_proj"),
            (Role::AttnQkv, "model.layers.{}.self_attn.qkv_proj"),
            (Role::AttnOutput, "model.layers.{}.self_attn.o_proj"),
            (Role::AttnQNorm, "model.layers.{}.self_attn.q_norm"),
            (Role::AttnKNorm, "model.layers.{}.self_attn.k_norm"),
            (Role::FfnNorm, "model.layers.{}.post_attention_layernorm"),
            (Role::FfnGate, "model.layers.{}.mlp.gate_proj"),
            (Role::FfnUp, "model.layers.{}.mlp.up_proj"),
            (Role::FfnGateUp, "model.layers.{}.mlp.gate_up_proj"),
            (Role::FfnDown, "model.layers.{}.mlp.down_proj"),
        ];
        let prefixes = vec!["", "language_model."];
        let ignored = vec!["vision_tower.", "multi_modal_projector."];
        Self { rows, prefixes, ignored }
    }
}

impl HfNames {
    /// Names `role` differently: a module path, with `{}` in place of the layer.
    #[must_use]
    pub fn with(mut self, role: Role, path: &'static str) -> Self {
        self.rows.retain(|row| row.0 != role);
        self.rows.push((role, path));
        self
    }

    /// Also accepts files whose names all start with `prefix`, such as those of image models.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &'static str) -> Self {
        self.prefixes.push(prefix);
        self
    }

    /// Ignores tensors whose names start with `prefix`: parts that the architecture does not use.
    #[must_use]
    pub fn ignoring(mut self, prefix: &'static str) -> Self {
        self.ignored.push(prefix);
        self
    }

    /// The module path of `at`, or `None` if these files have no such tensor.
    pub(crate) fn path(&self, at: RoleAt) -> Option<String> {
        let row = self.rows.iter().find(|row| row.0 == at.role)?;
        Some(match at.layer {
            Some(layer) => row.1.replacen("{}", &layer.to_string(), 1),
            None => row.1.to_owned(),
        })
    }

    /// Prefixes to look for, the likeliest first.
    pub(crate) fn prefixes(&self) -> &[&'static str] {
        &self.prefixes
    }

    pub(crate) fn ignores(&self, tensor: &str) -> bool {
        self.ignored.iter().any(|prefix| tensor.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_overridden_and_layers_filled_in() {
        let names = HfNames::default().with(Role::FfnNorm, "model.layers.{}.ffn_norm");
        assert_eq!(names.path(Role::FfnNorm.at(12)).unwrap(), "model.layers.12.ffn_norm");
        assert_eq!(names.path(Role::Output.into()).unwrap(), "lm_head");
        assert_eq!(names.path(Role::RopeFreqs.into()), None);
        assert!(names.ignores("vision_tower.blocks.0.weight"));
    }
}
