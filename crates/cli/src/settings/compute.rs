//! Settings of how a model is computed. What is not set is `None`, so that it is known what the
//! user asked for; the defaults are those of the native backend.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use russet_backends::{Demand, Feature};
use russet_kernels::Isa;
use serde::Serialize;

use crate::machine;

const DEFAULT_PREFILL_CHUNK: NonZeroUsize = NonZeroUsize::new(512).expect("not 0");

/// How a model is computed.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Compute")]
pub(crate) struct ComputeSettings {
    /// Threads that compute [default: the physical cores]
    #[arg(short, long, env = "RUSSET_THREADS", value_name = "N", hide_env_values = true)]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) kernels: KernelSettings,
}

/// How a model is computed, whatever the number of threads.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Compute")]
pub(crate) struct KernelSettings {
    /// Instruction set: scalar, avx2, avx-vnni, avx512 or neon [default: the best there is]
    #[arg(long, env = "RUSSET_ISA", value_name = "ISA", hide_env_values = true)]
    #[serde(serialize_with = "as_text")]
    pub(crate) isa: Option<Isa>,
    /// How activations meet quantised weights [default: balanced]
    #[arg(long, env = "RUSSET_PRECISION", value_name = "P", hide_env_values = true)]
    pub(crate) precision: Option<PrecisionChoice>,
    /// How keys and values are kept [default: bf16; with --precision fine f16, exact f32]
    #[arg(long, value_name = "TYPE")]
    pub(crate) kv_type: Option<KvChoice>,
    /// Longest sequence, prompt and answer together [default: the model's, as memory allows]
    #[arg(short, long, value_name = "TOKENS")]
    pub(crate) context: Option<NonZeroUsize>,
    /// Most prompt tokens that one step computes [default: 512]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) prefill_chunk: Option<NonZeroUsize>,
}

/// How activations meet quantised weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionChoice {
    /// f32, as the reference implementation; slow
    Exact,
    /// About 15 bits: hardly distinguishable from exact
    Fine,
    /// 8 bits, twice that where values stand out
    Balanced,
    /// 8 bits, as other engines do; answers change now and then
    Fast,
}

/// Element type of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KvChoice {
    /// binary32
    F32,
    /// binary16
    F16,
    /// bfloat16
    Bf16,
}

impl ComputeSettings {
    /// What the user asked of the backend.
    pub(crate) fn demands(&self) -> Vec<Demand> {
        let Self { threads, kernels } = self;
        let KernelSettings { isa, precision, kv_type, context, prefill_chunk } = kernels;
        let asked = [
            (Feature::Threads, "--threads", threads.map(|n| n.to_string())),
            (Feature::Isa, "--isa", isa.map(|isa| isa.to_string())),
            (Feature::Precision, "--precision", precision.map(choice_name)),
            (Feature::KvType, "--kv-type", kv_type.map(choice_name)),
            (Feature::Context, "--context", context.map(|n| n.to_string())),
            (Feature::PrefillChunk, "--prefill-chunk", prefill_chunk.map(|n| n.to_string())),
        ];
        let demand = |(feature, flag, value): (Feature, &str, Option<String>)| {
            Some(Demand { feature, setting: format!("{flag} {}", value?) })
        };
        asked.into_iter().filter_map(demand).collect()
    }

    /// Threads that compute.
    pub(crate) fn num_threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(machine::physical_cores)
    }

    /// The same with the defaults filled in, except for the context, which depends on the model.
    pub(crate) fn effective(&self) -> Self {
        let kernels = KernelSettings {
            precision: Some(self.kernels.precision()),
            kv_type: Some(self.kernels.kv_type()),
            prefill_chunk: Some(self.kernels.prefill_chunk()),
            ..self.kernels.clone()
        };
        Self { threads: Some(self.num_threads()), kernels }
    }
}

impl KernelSettings {
    pub(crate) fn precision(&self) -> PrecisionChoice {
        self.precision.unwrap_or(PrecisionChoice::Balanced)
    }

    pub(crate) fn kv_type(&self) -> KvChoice {
        self.kv_type.unwrap_or(match self.precision() {
            PrecisionChoice::Exact => KvChoice::F32,
            PrecisionChoice::Fine => KvChoice::F16,
            // What the CPU multiplies without widening, where it has such products.
            PrecisionChoice::Balanced | PrecisionChoice::Fast => KvChoice::Bf16,
        })
    }

    pub(crate) fn prefill_chunk(&self) -> NonZeroUsize {
        self.prefill_chunk.unwrap_or(DEFAULT_PREFILL_CHUNK)
    }
}

/// A choice as it is typed.
pub(crate) fn choice_name(choice: impl ValueEnum) -> String {
    let value = choice.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn as_text<T: ToString, S: serde::Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.as_ref().map(T::to_string).serialize(serializer)
}
