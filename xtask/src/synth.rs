//! Writes the model `synth-1b`: random weights in the shape of a 1 G llama, once in each format, so
//! that engines can be timed on a model that does not fit in any cache.
//!
//! One pass makes two GGUF files from the same floats, `Q4_1` and `Q4_0`; the MLX folder is then
//! converted from the `Q4_1` file and holds exactly its numbers.

mod blocks;
mod gguf;
mod normal;
mod shape;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use russet_weights::{TokenizerFiles, write_mlx_from_gguf};

use self::blocks::Encoding;
use self::gguf::GgufWriter;
use self::normal::Normal;
use self::shape::{Content, Shape, Tensor};
use self::vocabulary::Vocabulary;
use crate::error::Error;

/// Standard deviation of the weights, as models are initialised with.
const SIGMA: f32 = 0.02;
const SEED: u64 = 0x7275_7373_6574;
/// Elements that are made before they are written.
const CHUNK: usize = 1 << 20;

/// What to write where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder for the files [default: target/synth]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The shape to start from
    #[arg(long, value_enum, default_value = "1b")]
    preset: Preset,
    /// Another number of layers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    layers: Option<u32>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Preset {
    /// 16 layers of 2048, about 1 G parameters
    #[value(name = "1b")]
    OneB,
    /// One layer of 64, to test the writers
    Tiny,
}

/// Writes the three forms of the model and says where they are.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), Error> {
    let mut shape = match options.preset {
        Preset::OneB => Shape::ONE_B,
        Preset::Tiny => Shape::TINY,
    };
    if let Some(layers) = options.layers {
        shape.layers = layers as usize;
    }
    let out = options.out.clone().unwrap_or_else(|| root.join("target/synth"));
    let started = Instant::now();
    let files = write(&shape, &out)?;
    println!("{} in {:.0} s:", shape.name(), started.elapsed().as_secs_f64());
    for path in [&files.q4_1, &files.q4_0, &files.mlx] {
        println!("  {}", path.display());
    }
    Ok(())
}

/// Where the forms of one model are.
struct Files {
    q4_1: PathBuf,
    q4_0: PathBuf,
    mlx: PathBuf,
}

fn write(shape: &Shape, out: &Path) -> Result<Files, Error> {
    let name = shape.name();
    let files = Files {
        q4_1: out.join(format!("{name}.Q4_1.gguf")),
        q4_0: out.join(format!("{name}.Q4_0.gguf")),
        mlx: out.join(format!("{name}-4bit")),
    };
    let failed = |source| Error::Write { path: out.to_owned(), source };
    fs::create_dir_all(out).map_err(failed)?;
    let vocabulary = Vocabulary::new(shape.vocab);
    write_gguf(shape, &vocabulary, &files)?;
    // The converter never overwrites; what is there was written by an earlier run.
    if files.mlx.exists() {
        fs::remove_dir_all(&files.mlx).map_err(failed)?;
    }
    let tokenizer = TokenizerFiles {
        tokenizer_json: &vocabulary.tokenizer_json(),
        tokenizer_config_json: &vocabulary.tokenizer_config_json(),
    };
    write_mlx_from_gguf(&files.q4_1, &files.mlx, tokenizer, &mut |_, _| {})?;
    Ok(files)
}

/// Both GGUF files in one pass over the random numbers.
fn write_gguf(shape: &Shape, vocabulary: &Vocabulary, files: &Files) -> Result<(), Error> {
    let tensors = shape.tensors();
    let normal = Normal::new(SEED, SIGMA);
    let mut writers = [
        (Encoding::Q4_1, GgufWriter::create(&files.q4_1, shape, vocabulary, Encoding::Q4_1)?),
        (Encoding::Q4_0, GgufWriter::create(&files.q4_0, shape, vocabulary, Encoding::Q4_0)?),
    ];
    let (mut values, mut bytes) = (Vec::new(), Vec::new());
    for (index, tensor) in tensors.iter().enumerate() {
        for start in (0..tensor.len()).step_by(CHUNK) {
            let len = CHUNK.min(tensor.len() - start);
            values.resize(len, 0.0);
            fill(tensor, &normal, (index, start), &mut values);
            for (encoding, writer) in &mut writers {
                bytes.clear();
                tensor.content.encoding(*encoding).encode(&values, &mut bytes);
                writer.write(&bytes)?;
            }
        }
        writers.iter_mut().try_for_each(|(_, writer)| writer.end_tensor())?;
    }
    writers.into_iter().try_for_each(|(_, writer)| writer.finish())
}

fn fill(tensor: &Tensor, normal: &Normal, (index, start): (usize, usize), values: &mut [f32]) {
    match tensor.content {
        Content::Ones => values.fill(1.0),
        Content::Random => normal.fill(index, start, values),
    }
}
