//! What a checkpoint holds, in numbers.

use std::collections::BTreeMap;

use crate::Checkpoint;
use crate::quantization::{AFFINE_GROUPS, Scheme};
use crate::tensors::{Element, Tensor};

/// All matrices of one encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodingSummary {
    /// Such as `affine 4-bit group 64` or `Q4_K`.
    pub encoding: String,
    /// Matrices that have it.
    pub num_matrices: usize,
    /// Their bytes in the file.
    pub num_bytes: u64,
}

impl Checkpoint {
    /// Bytes of all tensors.
    pub fn num_tensor_bytes(&self) -> u64 {
        self.tensors.iter().map(|(_, tensor)| tensor.len as u64).sum()
    }

    /// Numbers that the model has learnt: elements of all tensors, where a quantised matrix counts
    /// as what it stands for.
    pub fn num_parameters(&self) -> u64 {
        let count = |(name, tensor): (&str, &Tensor)| match self.part(name) {
            PartKind::Quantization => 0,
            PartKind::Codes { scales, .. } => {
                scales.num_elements()
                    * self.scheme(name, tensor, scales).map_or(0, |s| s.group() as u64)
            }
            PartKind::Plain => tensor.num_elements(),
        };
        self.tensors.iter().map(count).sum()
    }

    /// The encodings of all matrices, the one with most bytes first.
    pub fn encodings(&self) -> Vec<EncodingSummary> {
        let mut found: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        for (name, tensor) in self.tensors.iter().filter(|(_, tensor)| tensor.shape.len() > 1) {
            let (encoding, extra) = match self.part(name) {
                PartKind::Quantization => continue,
                PartKind::Codes { scales, biases } => {
                    let scheme = self.scheme(name, tensor, scales);
                    let name = scheme.map_or_else(|| "unknown".into(), |s| s.to_string());
                    (name, scales.len + biases.map_or(0, |biases| biases.len))
                }
                PartKind::Plain => (tensor.element.to_string(), 0),
            };
            let entry = found.entry(encoding).or_default();
            entry.0 += 1;
            entry.1 += (tensor.len + extra) as u64;
        }
        let mut list: Vec<EncodingSummary> = found
            .into_iter()
            .map(|(encoding, (num_matrices, num_bytes))| EncodingSummary {
                encoding,
                num_matrices,
                num_bytes,
            })
            .collect();
        list.sort_by_key(|summary| std::cmp::Reverse(summary.num_bytes));
        list
    }

    fn part(&self, name: &str) -> PartKind<'_> {
        let Some((module, part)) = name.rsplit_once('.') else { return PartKind::Plain };
        let Some(scales) = self.tensors.get(&format!("{module}.scales")) else {
            return PartKind::Plain;
        };
        match part {
            "weight" => {
                PartKind::Codes { scales, biases: self.tensors.get(&format!("{module}.biases")) }
            }
            "scales" | "biases" | "global_scale" => PartKind::Quantization,
            _ => PartKind::Plain,
        }
    }

    /// The quantisation of a module. Shapes give only bits times group, so the configuration helps
    /// to tell them apart.
    fn scheme(&self, name: &str, codes: &Tensor, scales: &Tensor) -> Option<Scheme> {
        let (words, groups) = (*codes.shape.last()?, *scales.shape.last()?);
        let group_bits = words.checked_mul(32)?.checked_div(groups)?;
        let fits = |scheme: &Scheme| scheme.bits() * scheme.group() == group_bits;
        if scales.element == Element::U8 {
            return [(4, 32), (8, 32), (4, 16)]
                .into_iter()
                .filter_map(|(bits, group)| Scheme::fp(bits, group))
                .find(fits);
        }
        let path = name.strip_suffix(".weight").unwrap_or(name);
        let likely = self.quantization.as_ref().map(|listed| listed.likely(path)).filter(fits);
        let by_shape = || {
            AFFINE_GROUPS.into_iter().find_map(|group| Scheme::affine(group_bits / group, group))
        };
        likely.or_else(by_shape)
    }
}

/// What a tensor is to its module.
enum PartKind<'a> {
    /// Codes of a quantised matrix.
    Codes { scales: &'a Tensor, biases: Option<&'a Tensor> },
    /// Scales and biases of one.
    Quantization,
    /// Anything else.
    Plain,
}
