//! One opened model: its configuration and its weights by role.

mod mlx_matrix;
mod summary;

use std::path::Path;

use russet_tensor::{MatrixData, MatrixView, RowMap};

use crate::generation::GenerationConfig;
use crate::gguf::{self, GgufTokenizer};
use crate::quantization::{Listed, Quantization};
use crate::tensors::{Element, Tensor, TensorTable, check_shape, wrong_type};
use crate::{
    ArchLayout, Config, Error, NormStorage, Part, QkRows, Role, RoleAt, TensorError,
    safetensors_dir,
};
pub use summary::EncodingSummary;

/// One opened model. Its files stay mapped as long as it lives.
///
/// Read [`config`](Self::config), choose the architecture, call [`with_layout`](Self::with_layout),
/// take every [`matrix`](Self::matrix) and [`vector`](Self::vector), then call
/// [`finish`](Self::finish), which refuses a model of which something was not understood.
///
/// ```no_run
/// use russet_weights::{Checkpoint, Part, Role};
///
/// # fn main() -> Result<(), russet_weights::Error> {
/// let checkpoint = Checkpoint::open("model".as_ref())?;
/// let hidden: usize = checkpoint.config().require("hidden_size")?;
/// let query = checkpoint.matrix(Role::AttnQ.at(0), hidden, hidden)?;
/// let norm = checkpoint.vector(Role::OutputNorm, Part::Weight, hidden)?;
/// println!("{}, {} norm weights", query.view.encoding(), norm.len());
/// checkpoint.finish()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    format: Format,
    config: Config,
    generation: GenerationConfig,
    tensors: TensorTable,
    quantization: Option<Quantization>,
    layout: ArchLayout,
    /// What precedes every tensor name of this file.
    prefix: &'static str,
    metadata: Option<gguf::Metadata>,
}

/// The format of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A folder written by MLX.
    Mlx,
    /// A folder in Hugging Face's layout, not quantised.
    HuggingFace,
    /// A GGUF file, or the files of a split one.
    Gguf,
}

impl Format {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlx => "MLX",
            Self::HuggingFace => "Hugging Face",
            Self::Gguf => "GGUF",
        }
    }
}

/// A weight matrix in its file.
#[derive(Debug, Clone, Copy)]
pub struct MatrixSource<'a> {
    /// The encoded elements, borrowed from the map.
    pub view: MatrixView<'a>,
    /// Where each row is in `view`.
    pub row_map: RowMap,
}

impl Checkpoint {
    /// Opens a folder with `config.json` and `model*.safetensors`, or a GGUF file. Reads headers
    /// only.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let is_folder = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.is_dir();
        if is_folder { Self::open_folder(path) } else { Self::open_gguf(path) }
    }

    fn open_folder(path: &Path) -> Result<Self, Error> {
        let folder = safetensors_dir::open(path)?;
        Ok(Self {
            format: folder.format,
            config: folder.config,
            generation: folder.generation,
            tensors: folder.tensors,
            quantization: folder.quantization,
            layout: ArchLayout::default(),
            prefix: "",
            metadata: None,
        }
        .with_layout(ArchLayout::default()))
    }

    fn open_gguf(path: &Path) -> Result<Self, Error> {
        let file = gguf::open(path)?;
        Ok(Self {
            format: Format::Gguf,
            config: file.config,
            generation: file.generation,
            tensors: file.tensors,
            quantization: None,
            layout: ArchLayout::default(),
            prefix: "",
            metadata: Some(file.metadata),
        })
    }

    /// Sets how this architecture's files are stored. Until then it is [`ArchLayout::default`].
    #[must_use]
    pub fn with_layout(mut self, layout: ArchLayout) -> Self {
        if self.format != Format::Gguf {
            let embedding = layout.names.path(Role::TokenEmbd.into()).unwrap_or_default();
            let fits =
                |prefix: &&&str| self.tensors.get(&format!("{prefix}{embedding}.weight")).is_some();
            self.prefix = layout.names.prefixes().iter().find(fits).copied().unwrap_or_default();
        }
        self.layout = layout;
        self
    }

    /// The format of the files.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The configuration, with Hugging Face's keys in every format.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Defaults for generation that come with the model.
    pub fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// The tokenizer inside of a GGUF file; `None` for other formats.
    pub fn gguf_tokenizer(&self) -> Result<Option<GgufTokenizer>, Error> {
        let Some(metadata) = &self.metadata else { return Ok(None) };
        let file = self.tensors.file(0);
        let read = GgufTokenizer::read(metadata, file.bytes());
        read.map(Some).map_err(|fault| Error::gguf(file.path(), fault))
    }

    /// Whether the model has this tensor.
    pub fn has(&self, at: impl Into<RoleAt>, part: Part) -> bool {
        self.find(at.into(), part).is_some()
    }

    /// Errors if the model has this tensor, which its architecture has no place for.
    pub fn refuse(&self, at: impl Into<RoleAt>, part: Part) -> Result<(), Error> {
        match self.find(at.into(), part) {
            Some((name, _)) => Err(Error::tensor(&name, TensorError::Unexpected)),
            None => Ok(()),
        }
    }

    /// The matrix of `at`, `rows` outputs by `cols` inputs. Another shape is an error.
    pub fn matrix(
        &self,
        at: impl Into<RoleAt>,
        rows: usize,
        cols: usize,
    ) -> Result<MatrixSource<'_>, Error> {
        let at = at.into();
        let (name, tensor) = self.require(at, Part::Weight)?;
        let view = self.view(&name, tensor, rows, cols)?;
        Ok(MatrixSource { view, row_map: self.row_map(&name, at, rows)? })
    }

    /// The vector of `at`, of `len` elements, widened to f32. A norm's weight is always the factor
    /// to multiply by.
    pub fn vector(&self, at: impl Into<RoleAt>, part: Part, len: usize) -> Result<Vec<f32>, Error> {
        let at = at.into();
        let (name, tensor) = self.require(at, part)?;
        let stored = self.tensors.floats(&name, tensor, &[len])?;
        let map = self.row_map(&name, at, len)?;
        let mut values: Vec<f32> =
            (0..len).map(|row| stored.get(map.source_row(row, len))).collect();
        tensor.consume();
        if at.role.is_norm() && part == Part::Weight && self.norms_lack_one() {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        Ok(values)
    }

    /// Takes the pages of all tensors taken so far out of this process's memory, to be called when
    /// they have been packed. They can still be read, at the price of fetching them again.
    pub fn release_consumed(&self) {
        self.tensors.release_consumed();
    }

    /// Counts all tensors of `at` as consumed: the architecture has no use for them.
    pub fn skip(&self, at: impl Into<RoleAt>) {
        let at = at.into();
        let Some(stem) = self.stem(at) else { return };
        for (name, tensor) in self.tensors.iter() {
            if name.rsplit_once('.').is_some_and(|(module, _)| module == stem) {
                tensor.consume();
            }
        }
    }

    /// Refuses the model if a tensor was not consumed or a configuration key not read.
    ///
    /// Not counted: rotary `inv_freq` buffers (they follow from the configuration), a copy of the
    /// embedding as head where `tie_word_embeddings` is true, tensors under the prefixes that
    /// [`crate::HfNames`] ignores, and keys that never matter to inference.
    pub fn finish(&self) -> Result<(), Error> {
        let keys = self.config.unread();
        let unused = self
            .tensors
            .iter()
            .filter(|(name, tensor)| !tensor.is_consumed() && !self.may_stay_unused(name));
        let tensors: Vec<String> = unused.map(|(name, _)| name.to_owned()).collect();
        if tensors.is_empty() && keys.is_empty() {
            return Ok(());
        }
        Err(Error::Unused { tensors, keys })
    }

    fn may_stay_unused(&self, name: &str) -> bool {
        if self.format == Format::Gguf {
            return false;
        }
        let module = name.rsplit_once('.').map(|(module, _)| module);
        let is_head = module.is_some() && module == self.stem(Role::Output.into()).as_deref();
        let tied = matches!(self.config.peek("tie_word_embeddings"), Ok(Some(true)));
        name.ends_with(".rotary_emb.inv_freq") || is_head && tied || self.layout.names.ignores(name)
    }

    /// The tensor's name without its part.
    fn stem(&self, at: RoleAt) -> Option<String> {
        match self.format {
            Format::Gguf => Some(at.to_string()),
            _ => Some(format!("{}{}", self.prefix, self.layout.names.path(at)?)),
        }
    }

    fn find(&self, at: RoleAt, part: Part) -> Option<(String, &Tensor)> {
        let name = format!("{}.{}", self.stem(at)?, part.suffix());
        let tensor = self.tensors.get(&name)?;
        Some((name, tensor))
    }

    fn require(&self, at: RoleAt, part: Part) -> Result<(String, &Tensor), Error> {
        self.find(at, part).ok_or_else(|| {
            let role = format!("{at}.{}", part.suffix());
            let name = self.stem(at).map(|stem| format!("{stem}.{}", part.suffix()));
            Error::tensor(&name.unwrap_or_else(|| role.clone()), TensorError::Missing { role })
        })
    }

    fn view(
        &self,
        name: &str,
        tensor: &Tensor,
        rows: usize,
        cols: usize,
    ) -> Result<MatrixView<'_>, Error> {
        let path = name.strip_suffix(".weight").unwrap_or(name);
        let listed = self.quantization.as_ref().map_or(Listed::No, |q| q.listed(path));
        if self.format != Format::Gguf && self.tensors.get(&format!("{path}.scales")).is_some() {
            return mlx_matrix::view(&self.tensors, path, (rows, cols), listed);
        }
        if let Listed::As(scheme) = listed {
            let (listed, found) = (scheme.to_string(), format!("{}, no scales", tensor.element));
            return Err(Error::tensor(name, TensorError::Contradiction { listed, found }));
        }
        let data = match tensor.element {
            Element::Ggml(ty) => {
                check_shape(name, tensor, &[rows, cols])?;
                MatrixData::Ggml { ty, bytes: self.tensors.bytes(tensor) }
            }
            Element::Float(_) => {
                MatrixData::Dense(self.tensors.floats(name, tensor, &[rows, cols])?)
            }
            _ => return Err(wrong_type(name, tensor, "F32, F16, BF16, or U32 beside scales")),
        };
        tensor.consume();
        let view = MatrixView::new(rows, cols, data);
        view.map_err(|fault| Error::tensor(name, TensorError::Parts(fault)))
    }

    /// The row order of `rows` rows of `at`: GGUF's llama files pair the rows of queries and keys.
    fn row_map(&self, name: &str, at: RoleAt, rows: usize) -> Result<RowMap, Error> {
        if self.format != Format::Gguf || self.layout.gguf_qk_rows == QkRows::InOrder {
            return Ok(RowMap::Identity);
        }
        // Peeking leaves it to the architecture to read these keys.
        let all = self.config.peek("num_attention_heads")?.unwrap_or(0);
        let heads: usize = match at.role {
            Role::AttnQ => all,
            Role::AttnK => self.config.peek("num_key_value_heads")?.unwrap_or(all),
            _ => return Ok(RowMap::Identity),
        };
        halves_from_pairs(name, rows, heads)
    }

    fn norms_lack_one(&self) -> bool {
        self.format != Format::Gguf && self.layout.hf_norms == NormStorage::FactorMinusOne
    }
}

/// The row order of a GGUF llama matrix with `heads` heads of adjacent pairs.
pub(crate) fn halves_from_pairs(name: &str, rows: usize, heads: usize) -> Result<RowMap, Error> {
    let is_even = rows.checked_div(heads).is_some_and(|head| head.is_multiple_of(2));
    if !is_even || !rows.is_multiple_of(heads) {
        return Err(Error::tensor(name, TensorError::Heads { rows, heads }));
    }
    Ok(RowMap::HalvesFromPairs { heads })
}
