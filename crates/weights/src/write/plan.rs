//! Which tensors of a GGUF file become which tensors of an MLX folder.

use std::collections::BTreeMap;

use russet_tensor::{FloatType, RowMap};
use safetensors::Dtype;

use super::encode::{Blocks, GROUP, QuantPart};
use crate::checkpoint::halves_from_pairs;
use crate::gguf::GgufFile;
use crate::tensors::{Element, Tensor};
use crate::{Error, HfNames, Part, Role, RoleAt, WriteError};

/// All tensors to write, in their order in the file.
pub(super) struct Plan<'a> {
    pub(super) outputs: Vec<Output<'a>>,
    /// Bits of each quantised module.
    pub(super) bits: BTreeMap<String, usize>,
}

/// One tensor to write.
pub(super) struct Output<'a> {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) source: &'a Tensor,
    pub(super) row_map: RowMap,
    pub(super) content: Content,
}

/// What of its source a tensor holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// The same bytes, row by row.
    Same,
    /// One part of the quantised matrix.
    Part(Blocks, QuantPart),
}

impl Output<'_> {
    pub(super) fn num_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * (self.dtype.bitsize() / 8)
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(source: &'a GgufFile) -> Result<Self, Error> {
        let mut plan = Self { outputs: Vec::new(), bits: BTreeMap::new() };
        let names = HfNames::default();
        for (name, tensor) in source.tensors.iter() {
            let (path, at, part) = hf_name(&names, name)
                .ok_or_else(|| not_exact(name, tensor, "MLX's llama has no such tensor"))?;
            let row_map = row_map(source, name, tensor, at)?;
            plan.add(name, tensor, &path, part, row_map)?;
        }
        // Elements of 4 bytes first, so that everything is aligned.
        plan.outputs.sort_by_key(|output| std::cmp::Reverse(output.dtype.bitsize()));
        Ok(plan)
    }

    pub(super) fn num_bytes(&self) -> u64 {
        self.outputs.iter().map(|output| output.num_bytes() as u64).sum()
    }

    fn add(
        &mut self,
        name: &str,
        source: &'a Tensor,
        path: &str,
        part: Part,
        row_map: RowMap,
    ) -> Result<(), Error> {
        let mut push = |part: &str, dtype, shape, content| {
            let name = format!("{path}.{part}");
            self.outputs.push(Output { name, dtype, shape, source, row_map, content });
        };
        let blocks = match source.element {
            Element::Float(float) => {
                push(part.suffix(), dtype(float), source.shape.clone(), Content::Same);
                return Ok(());
            }
            Element::Ggml(ty) => Blocks::new(ty),
            _ => None,
        };
        let (Some(blocks), &[rows, cols]) = (blocks, &source.shape[..]) else {
            return Err(not_exact(name, source, "only matrices of Q4_0, Q4_1 and Q8_0 can be"));
        };
        let words = cols * blocks.bits / 32;
        let groups = vec![rows, cols / GROUP];
        let part = |part| Content::Part(blocks, part);
        push("weight", Dtype::U32, vec![rows, words], part(QuantPart::Codes));
        push("scales", Dtype::F16, groups.clone(), part(QuantPart::Scales));
        push("biases", Dtype::F16, groups, part(QuantPart::Biases));
        self.bits.insert(path.to_owned(), blocks.bits);
        Ok(())
    }
}

fn hf_name(names: &HfNames, name: &str) -> Option<(String, RoleAt, Part)> {
    let (stem, suffix) = name.rsplit_once('.')?;
    let part = [Part::Weight, Part::Bias].into_iter().find(|part| part.suffix() == suffix)?;
    let at = RoleAt::from_gguf_stem(stem)?;
    Some((names.path(at)?, at, part))
}

/// GGUF's llama files pair the rows of queries and keys.
fn row_map(source: &GgufFile, name: &str, tensor: &Tensor, at: RoleAt) -> Result<RowMap, Error> {
    let all: usize = source.config.require("num_attention_heads")?;
    let heads = match at.role {
        Role::AttnQ => all,
        Role::AttnK => source.config.get_or("num_key_value_heads", all)?,
        _ => return Ok(RowMap::Identity),
    };
    halves_from_pairs(name, tensor.shape[0], heads)
}

pub(super) fn not_exact(name: &str, tensor: &Tensor, reason: &'static str) -> Error {
    let (name, encoding) = (name.to_owned(), tensor.element.to_string());
    WriteError::NotExact { name, encoding, reason }.into()
}

fn dtype(float: FloatType) -> Dtype {
    match float {
        FloatType::F32 => Dtype::F32,
        FloatType::F16 => Dtype::F16,
        FloatType::BF16 => Dtype::BF16,
    }
}
