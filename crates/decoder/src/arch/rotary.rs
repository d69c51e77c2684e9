//! The rotary embedding in a configuration.

use russet_weights::{Checkpoint, Config, ConfigError, Part, Role};

use crate::{DynamicNtk, LoadError, Rope, RopePairing, RopeScaling, Yarn};

/// What a configuration may leave out.
pub(super) struct RotaryDefaults {
    pub(super) theta: f64,
    pub(super) context_len: usize,
}

/// Reads `rope_theta`, `rope_scaling` (or transformers 5's `rope_parameters`), partial rotation and
/// GGUF's factors.
pub(super) fn read(
    checkpoint: &Checkpoint,
    head_dim: usize,
    defaults: &RotaryDefaults,
) -> Result<Rope, LoadError> {
    let c = checkpoint.config();
    let scaling = match c.object("rope_scaling")? {
        Some(scaling) => Some(scaling),
        None => c.object("rope_parameters")?,
    };
    let nested = |key| scaling.map_or(Ok(None), |s| above_zero(s, key));
    let theta = above_zero(c, "rope_theta")?.or(nested("rope_theta")?).unwrap_or(defaults.theta);
    let dims = dims(c, head_dim, nested("partial_rotary_factor")?)?;
    let pairing = match c.get_or("rope_traditional", false)? {
        true => RopePairing::Interleaved,
        false => RopePairing::Halves,
    };
    let parsed = match scaling {
        Some(scaling) => parse(checkpoint, scaling, (theta, dims), defaults)?,
        None => RopeScaling::None,
    };
    let mut rope = Rope::new(dims, theta, pairing, &parsed);
    if checkpoint.has(Role::RopeFreqs, Part::Weight) {
        let factors = checkpoint.vector(Role::RopeFreqs, Part::Weight, dims / 2)?;
        rope.divide_frequencies(&factors);
    }
    Ok(rope)
}

/// How many dimensions of a head rotate.
fn dims(c: &Config, head_dim: usize, nested: Option<f64>) -> Result<usize, LoadError> {
    let factor = c.get("partial_rotary_factor")?.or(nested).unwrap_or(1.0);
    let by_factor = (head_dim as f64 * factor) as usize;
    let dims = c.get_or("rope_dim", by_factor)?;
    if dims == 0 || dims > head_dim || !dims.is_multiple_of(2) {
        let key = if c.contains("rope_dim") { "rope_dim" } else { "partial_rotary_factor" };
        let accepted = format!("an even number of the {head_dim} dimensions of a head");
        return Err(c.unsupported(key, &accepted).into());
    }
    Ok(dims)
}

/// A number by which something is divided or whose logarithm is taken.
pub(super) fn above_zero(c: &Config, key: &str) -> Result<Option<f64>, ConfigError> {
    match c.get::<f64>(key)? {
        Some(n) if n.is_nan() || n <= 0.0 => Err(c.unsupported(key, "a number above 0")),
        found => Ok(found),
    }
}

fn parse(
    checkpoint: &Checkpoint,
    s: &Config,
    (base, dims): (f64, usize),
    defaults: &RotaryDefaults,
) -> Result<RopeScaling, LoadError> {
    let max_len = defaults.context_len as f64;
    let factor = || above_zero(s, "factor").and_then(|_| s.require("factor"));
    let original_len = |default: f64| {
        above_zero(s, "original_max_position_embeddings").map(|len| len.unwrap_or(default))
    };
    let kind_key = if s.contains("type") { "type" } else { "rope_type" };
    // Files of both spellings repeat the value.
    s.ignore("rope_type");
    Ok(match s.get_or(kind_key, "default")? {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: factor()? },
        "dynamic" => RopeScaling::Dynamic(DynamicNtk { base, factor: factor()?, max_len }),
        "llama3" => RopeScaling::Llama3 {
            factor: factor()?,
            low_freq_factor: s.get_or("low_freq_factor", 1.0)?,
            high_freq_factor: s.get_or("high_freq_factor", 4.0)?,
            original_len: original_len(8192.0)?,
        },
        "yarn" => RopeScaling::Yarn(Yarn {
            factor: factor()?,
            original_len: original_len(4096.0)?,
            beta_fast: s.get_or("beta_fast", 32.0)?,
            beta_slow: s.get_or("beta_slow", 1.0)?,
            mscale: s.get_or("mscale", 1.0)?,
            mscale_all_dim: s.get_or("mscale_all_dim", 0.0)?,
        }),
        "longrope" | "su" => longrope(checkpoint, s, dims, max_len)?,
        _ => {
            let accepted = "default, linear, dynamic, llama3, yarn, longrope, su";
            return Err(s.unsupported(kind_key, accepted).into());
        }
    })
}

/// The long factors serve at every length, as in mlx-lm. GGUF keeps them in a tensor.
fn longrope(
    checkpoint: &Checkpoint,
    s: &Config,
    dims: usize,
    max_len: f64,
) -> Result<RopeScaling, LoadError> {
    s.ignore("short_factor");
    checkpoint.skip(Role::RopeFactorsShort);
    let long_factors: Vec<f64> = match checkpoint.has(Role::RopeFactorsLong, Part::Weight) {
        true => {
            let factors = checkpoint.vector(Role::RopeFactorsLong, Part::Weight, dims / 2)?;
            factors.into_iter().map(f64::from).collect()
        }
        false => s.require("long_factor")?,
    };
    if long_factors.len() != dims / 2 {
        let accepted = format!("{} numbers, one per rotated pair", dims / 2);
        return Err(s.unsupported("long_factor", &accepted).into());
    }
    let key = "original_max_position_embeddings";
    let original_len = above_zero(s, key).and_then(|_| s.require(key))?;
    Ok(RopeScaling::LongRope { long_factors, max_len, original_len })
}
