//! The quantisation that a configuration lists for an MLX model. The tensors decide; this is
//! checked against them.

use std::collections::BTreeMap;
use std::fmt;

use russet_tensor::{AffineBits, FpFormat};
use serde_json::Value;

use crate::{Config, ConfigError};

/// One way to quantise a matrix in MLX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Affine { bits: AffineBits, group: usize },
    Fp(FpFormat),
}

/// Group sizes of MLX's affine mode.
pub(crate) const AFFINE_GROUPS: [usize; 3] = [32, 64, 128];
const FP_FORMATS: [FpFormat; 3] = [FpFormat::Mxfp4, FpFormat::Mxfp8, FpFormat::Nvfp4];

impl Scheme {
    pub(crate) const NVFP4: Self = Self::Fp(FpFormat::Nvfp4);

    pub(crate) fn affine(bits: usize, group: usize) -> Option<Self> {
        let bits = AffineBits::new(bits as u64)?;
        AFFINE_GROUPS.contains(&group).then_some(Self::Affine { bits, group })
    }

    /// The mode with 8-bit scales that has codes of `bits` in groups of `group`.
    pub(crate) fn fp(bits: usize, group: usize) -> Option<Self> {
        FP_FORMATS.into_iter().find(|f| (f.bits(), f.group()) == (bits, group)).map(Self::Fp)
    }

    pub(crate) fn bits(self) -> usize {
        match self {
            Self::Affine { bits, .. } => bits.get(),
            Self::Fp(format) => format.bits(),
        }
    }

    pub(crate) fn group(self) -> usize {
        match self {
            Self::Affine { group, .. } => group,
            Self::Fp(format) => format.group(),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Affine { bits, group } => write!(f, "affine {}-bit group {group}", bits.get()),
            Self::Fp(format) => f.write_str(format.name()),
        }
    }
}

/// What the configuration says about one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Nothing about this module itself.
    No,
    /// It is not quantised.
    Dense,
    /// It is quantised like this.
    As(Scheme),
}

/// The `quantization` object of a configuration.
#[derive(Debug)]
pub(crate) struct Quantization {
    default: Scheme,
    modules: BTreeMap<String, Listed>,
}

impl Quantization {
    /// Finds the object in `config` or in its `text_config`; other projects' quantisations are
    /// refused by name.
    pub(crate) fn find(config: &Config) -> Result<Option<Self>, ConfigError> {
        let nested = config.peek_object("text_config");
        let places: Vec<&Config> = std::iter::once(config).chain(nested).collect();
        for key in ["quantization", "quantization_config"] {
            for place in &places {
                let Some(value) = place.peek_json(key) else { continue };
                return match place.peek_object(key) {
                    Some(object) => Self::parse(object).map(Some),
                    None => Err(place.wrong_type(key, "an object", value)),
                };
            }
        }
        Ok(None)
    }

    fn parse(object: &Config) -> Result<Self, ConfigError> {
        if object.contains("quant_method") {
            let accepted = "models quantised by MLX (affine, mxfp4, mxfp8, nvfp4)";
            return Err(object.unsupported("quant_method", accepted));
        }
        let default = parse_scheme(object)?;
        let mut modules = BTreeMap::new();
        for (key, value) in object.json_entries() {
            let listed = match value {
                Value::Bool(false) => Listed::Dense,
                Value::Bool(true) => Listed::As(default),
                Value::Object(_) => match object.peek_object(key) {
                    Some(module) => Listed::As(parse_scheme(module)?),
                    None => return Err(object.wrong_type(key, "an object", value)),
                },
                _ if ["group_size", "bits", "mode"].contains(&key) => continue,
                _ => return Err(object.unsupported(key, "group_size, bits, mode, module paths")),
            };
            modules.insert(key.to_owned(), listed);
        }
        Ok(Self { default, modules })
    }

    pub(crate) fn listed(&self, path: &str) -> Listed {
        self.modules.get(path).copied().unwrap_or(Listed::No)
    }

    /// What the module at `path` most likely has, for counting elements before the shapes needed
    /// are known.
    pub(crate) fn likely(&self, path: &str) -> Scheme {
        match self.listed(path) {
            Listed::As(scheme) => scheme,
            Listed::No | Listed::Dense => self.default,
        }
    }
}

/// Reads `mode`, `bits` and `group_size`. Missing values are the mode's defaults, as in MLX.
fn parse_scheme(object: &Config) -> Result<Scheme, ConfigError> {
    let mode: &str = object.peek("mode")?.unwrap_or("affine");
    let bits: Option<usize> = object.peek("bits")?;
    let group: Option<usize> = object.peek("group_size")?;
    if mode == "affine" {
        let (bits, group) = (bits.unwrap_or(4), group.unwrap_or(64));
        return Scheme::affine(bits, group).ok_or_else(|| {
            let key = if AFFINE_GROUPS.contains(&group) { "bits" } else { "group_size" };
            object.unsupported(key, "affine bits 2, 3, 4, 5, 6, 8; group_size 32, 64, 128")
        });
    }
    let Some(format) = FP_FORMATS.into_iter().find(|format| format.name() == mode) else {
        return Err(object.unsupported("mode", "affine, mxfp4, mxfp8, nvfp4"));
    };
    if bits.is_some_and(|bits| bits != format.bits()) {
        return Err(object.unsupported("bits", &format!("{} for {mode}", format.bits())));
    }
    if group.is_some_and(|group| group != format.group()) {
        return Err(object.unsupported("group_size", &format!("{} for {mode}", format.group())));
    }
    Ok(Scheme::Fp(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Quantization>, ConfigError> {
        Quantization::find(&Config::parse(text).unwrap())
    }

    fn affine(bits: usize, group: usize) -> Listed {
        Listed::As(Scheme::affine(bits, group).unwrap())
    }

    #[test]
    fn overrides_have_the_defaults_of_their_mode() {
        let found = parse(
            r#"{"text_config": {"quantization": {"group_size": 32, "bits": 4, "a": {"bits": 6},
                "b": {"group_size": null, "bits": 8}, "c": {"mode": "mxfp8"}, "d": false,
                "e": true, "f": {"mode": "nvfp4", "bits": 4, "group_size": 16}}}}"#,
        );
        let quantization = found.unwrap().unwrap();
        assert_eq!(quantization.listed("a"), affine(6, 64));
        assert_eq!(quantization.listed("b"), affine(8, 64));
        assert_eq!(quantization.listed("c"), Listed::As(Scheme::Fp(FpFormat::Mxfp8)));
        assert_eq!(quantization.listed("d"), Listed::Dense);
        assert_eq!(quantization.listed("e"), affine(4, 32));
        assert_eq!(quantization.listed("f"), Listed::As(Scheme::Fp(FpFormat::Nvfp4)));
        assert_eq!(quantization.listed("g"), Listed::No);
        assert_eq!(Listed::As(quantization.likely("g")), affine(4, 32));
    }

    #[test]
    fn what_mlx_does_not_write_is_refused_by_name() {
        let refusals = [
            (r#"{"quantization": {"bits": 7}}"#, "quantization.bits: 7"),
            (r#"{"quantization": {"group_size": 48}}"#, "quantization.group_size: 48"),
            (r#"{"quantization": {"mode": "nf4"}}"#, "quantization.mode: \"nf4\""),
            (r#"{"quantization": {"mode": "mxfp4", "bits": 8}}"#, "bits: 8 is not"),
            (r#"{"quantization": {"zero_point": 3}}"#, "quantization.zero_point: 3"),
            (r#"{"quantization": {"bits": "4"}}"#, "an unsigned integer expected"),
            (r#"{"quantization": "q4"}"#, "quantization: an object expected, found \"q4\""),
            (r#"{"quantization_config": {"quant_method": "awq"}}"#, "quant_method: \"awq\""),
            (r#"{"quantization_config": {"quant_method": "fp8"}}"#, "quant_method: \"fp8\""),
        ];
        for (text, message) in refusals {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
        assert!(parse(r#"{"hidden_size": 4}"#).unwrap().is_none());
    }
}
