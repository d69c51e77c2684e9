//! The shape of the random model and its tensors, in the order of the file.

use super::blocks::Encoding;

/// The numbers of a llama.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    base: &'static str,
    usual_layers: usize,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) ffn: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) vocab: usize,
    pub(super) context: usize,
}

/// One tensor by its name in GGUF.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// Outermost first: one number for a vector.
    pub(super) shape: Vec<usize>,
    pub(super) content: Content,
}

/// What a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A norm that does nothing.
    Ones,
    /// A matrix of random weights.
    Random,
}

impl Content {
    /// How this is stored in a file whose matrices are `matrices`.
    pub(super) fn encoding(self, matrices: Encoding) -> Encoding {
        match self {
            Self::Ones => Encoding::F32,
            Self::Random => matrices,
        }
    }
}

impl Tensor {
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Shape {
    /// Llama-3.2-1B's shape with the vocabulary size of SmolLM2: 1.07 G parameters.
    pub(super) const ONE_B: Self = Self {
        base: "synth-1b",
        usual_layers: 16,
        hidden: 2048,
        layers: 16,
        ffn: 8192,
        heads: 32,
        kv_heads: 8,
        head_dim: 64,
        vocab: 49_152,
        context: 8192,
    };

    /// Small enough for a test.
    pub(super) const TINY: Self = Self {
        base: "synth-tiny",
        usual_layers: 1,
        hidden: 64,
        layers: 1,
        ffn: 128,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        vocab: 320,
        context: 256,
    };

    /// The model's name; another number of layers than usual is part of it.
    pub(super) fn name(&self) -> String {
        match self.layers == self.usual_layers {
            true => self.base.to_owned(),
            false => format!("{}-{}-layers", self.base, self.layers),
        }
    }

    /// Every tensor. The embedding serves as head, too.
    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let (hidden, ffn) = (self.hidden, self.ffn);
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let matrix = |name: &str, rows, cols| Tensor {
            name: format!("{name}.weight"),
            shape: vec![rows, cols],
            content: Content::Random,
        };
        let norm = |name: &str| Tensor {
            name: format!("{name}.weight"),
            shape: vec![hidden],
            content: Content::Ones,
        };
        let mut tensors = vec![matrix("token_embd", self.vocab, hidden)];
        for layer in 0..self.layers {
            let at = |role: &str| format!("blk.{layer}.{role}");
            tensors.extend([
                norm(&at("attn_norm")),
                matrix(&at("attn_q"), q, hidden),
                matrix(&at("attn_k"), kv, hidden),
                matrix(&at("attn_v"), kv, hidden),
                matrix(&at("attn_output"), hidden, q),
                norm(&at("ffn_norm")),
                matrix(&at("ffn_gate"), ffn, hidden),
                matrix(&at("ffn_up"), ffn, hidden),
                matrix(&at("ffn_down"), hidden, ffn),
            ]);
        }
        tensors.push(norm("output_norm"));
        tensors
    }
}
