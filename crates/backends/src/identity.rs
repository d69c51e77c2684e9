//! What a model is called, and which models are one model in several forms.

use std::fmt;
use std::path::Path;

/// A model's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    /// The repository on the hub, `org/name`, if it comes from one.
    pub repo: Option<String>,
    /// The commit of the repository.
    pub revision: Option<String>,
    /// How its weights are stored, such as `Q4_K_M` or `4bit`, if its name says so.
    pub quantisation: Option<String>,
    /// The name that people and clients see.
    pub alias: String,
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.alias)
    }
}

impl ModelId {
    /// The identity of the model at `path`: a folder or a file, which is best absolute. In the
    /// hub's cache it is called after its repository and, if it is a GGUF, its quantisation.
    pub fn of_path(path: &Path) -> Self {
        let name = base_name(path);
        let quantisation_of = |name: &str| split_name(name).1.map(str::to_owned);
        let Some((repo, revision)) = path.ancestors().find_map(snapshot) else {
            let quantisation = quantisation_of(&name);
            return Self { repo: None, revision: None, quantisation, alias: name };
        };
        let is_folder = path.ends_with(&revision);
        let quantisation = quantisation_of(if is_folder { base(&repo) } else { &name });
        let alias = match &quantisation {
            Some(quantisation) if !is_folder => format!("{repo}:{quantisation}"),
            _ => repo.clone(),
        };
        Self { repo: Some(repo), revision: Some(revision), quantisation, alias }
    }

    /// The name without organisation, quantisation and format: the same for every form of one
    /// model, up to case. Only good to find forms that may be compared.
    pub fn family(&self) -> String {
        let name = self.alias.split_once(':').map_or(self.alias.as_str(), |(name, _)| name);
        split_name(base(name)).0.to_owned()
    }

    /// Whether both are forms of one model, as far as their names tell.
    pub fn is_same_family(&self, other: &Self) -> bool {
        self.family().eq_ignore_ascii_case(&other.family())
    }
}

/// What follows the last `/`.
fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The name of a folder, or of a file without `.gguf` and the number of its part.
fn base_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let stem = match name.len().checked_sub(5).and_then(|at| name.get(at..)) {
        Some(end) if end.eq_ignore_ascii_case(".gguf") => &name[..name.len() - 5],
        _ => &name,
    };
    without_part(stem).to_owned()
}

/// Without the end `-00001-of-00003` of a split file.
fn without_part(stem: &str) -> &str {
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = || {
        let (rest, total) = stem.rsplit_once("-of-")?;
        let (name, number) = rest.rsplit_once('-')?;
        (is_number(total) && is_number(number)).then_some(name)
    };
    parts().unwrap_or(stem)
}

/// The repository and the commit of `.../models--org--name/snapshots/COMMIT`.
fn snapshot(path: &Path) -> Option<(String, String)> {
    let revision = path.file_name()?.to_str()?;
    let snapshots = path.parent().filter(|folder| folder.ends_with("snapshots"))?;
    let repo = snapshots.parent()?.file_name()?.to_str()?.strip_prefix("models--")?;
    Some((repo.replacen("--", "/", 1), revision.to_owned()))
}

/// Words after a model's name that say how it is stored or was made so.
const FORMS: &[&str] = &[
    "2bit", "3bit", "4bit", "5bit", "6bit", "8bit", "awq", "bf16", "dwq", "f16", "f32", "fp16",
    "fp32", "fp8", "gguf", "gptq", "hf", "imat", "int4", "int8", "mlx", "mxfp4", "mxfp8", "nvfp4",
    "ud",
];

/// The family's name, and the first word that says how the weights are stored.
fn split_name(name: &str) -> (&str, Option<&str>) {
    let (mut family, mut quantisation) = (name, None);
    while let Some((rest, word)) = last_word(family) {
        let is_k_quant = is_ggml_type(word);
        if !is_k_quant && !FORMS.contains(&word.to_ascii_lowercase().as_str()) {
            break;
        }
        let is_bits = is_k_quant || word.bytes().any(|byte| byte.is_ascii_digit());
        quantisation = if is_bits { Some(word) } else { quantisation };
        family = rest;
    }
    (family, quantisation)
}

/// What precedes the last word and the word: `Q4_K_M` is one word after `-` or `.`.
fn last_word(name: &str) -> Option<(&str, &str)> {
    let at = name.rfind(['-', '.'])?;
    (at > 0).then(|| (&name[..at], &name[at + 1..]))
}

/// `Q4_0`, `Q4_K_M`, `IQ3_XXS`, `TQ1_0`.
fn is_ggml_type(word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    let Some(rest) = ["IQ", "TQ", "Q"].iter().find_map(|start| word.strip_prefix(start)) else {
        return false;
    };
    let mut parts = rest.split('_');
    let is_width = parts.next().is_some_and(|bits| matches!(bits.as_bytes(), [b'1'..=b'8']));
    let known = ["0", "1", "K", "S", "M", "L", "XS", "XXS", "NL", "XL"];
    let mut rest = parts.peekable();
    is_width && rest.peek().is_some() && rest.all(|part| known.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(path: &str) -> String {
        ModelId::of_path(path.as_ref()).family()
    }

    #[test]
    fn forms_of_one_model_have_one_family() {
        for path in [
            "/models/Qwen2.5-0.5B-Instruct",
            "/models/Qwen2.5-0.5B-Instruct-4bit",
            "/models/Qwen2.5-0.5B-Instruct-Q4_K_M.gguf",
            "Qwen2.5-0.5B-Instruct.Q8_0.GGUF",
            "Qwen2.5-0.5B-Instruct-mlx-8bit",
            "Qwen2.5-0.5B-Instruct-4bit-DWQ",
            "Qwen2.5-0.5B-Instruct-UD-IQ3_XXS-00001-of-00003.gguf",
            "/hub/models--mlx-community--Qwen2.5-0.5B-Instruct-bf16/snapshots/0123abc",
            "/hub/models--Qwen--Qwen2.5-0.5B-Instruct-GGUF/snapshots/0123abc/\
             Qwen2.5-0.5B-Instruct-Q4_0.gguf",
        ] {
            assert_eq!(family(path), "Qwen2.5-0.5B-Instruct", "{path}");
        }
        assert_eq!(family("SmolLM2-135M-Instruct.Q4_1.gguf"), "SmolLM2-135M-Instruct");
        // What is part of a name stays.
        for name in ["gemma-3-1b-it", "Llama-3.2-1B", "phi-4", "Q", "4bit"] {
            assert_eq!(family(name), name);
        }
        let of = |path: &str| ModelId::of_path(path.as_ref());
        assert!(of("SMOLLM2-135m-4bit").is_same_family(&of("SmolLM2-135M.Q4_0.gguf")));
        assert!(!of("SmolLM2-135M-4bit").is_same_family(&of("SmolLM2-360M-4bit")));
    }

    #[test]
    fn a_snapshot_is_called_after_its_repository() {
        let folder = "/hub/models--mlx-community--Qwen3-4B-4bit/snapshots/0123abc";
        let id = ModelId::of_path(folder.as_ref());
        assert_eq!(id.to_string(), "mlx-community/Qwen3-4B-4bit");
        assert_eq!(id.repo.as_deref(), Some("mlx-community/Qwen3-4B-4bit"));
        assert_eq!(id.revision.as_deref(), Some("0123abc"));
        assert_eq!(id.quantisation.as_deref(), Some("4bit"));
        let file = "/hub/models--org--a-GGUF/snapshots/77/below/a-Q4_K_M-00001-of-00002.gguf";
        let id = ModelId::of_path(file.as_ref());
        assert_eq!((id.alias.as_str(), id.revision.as_deref()), ("org/a-GGUF:Q4_K_M", Some("77")));
        assert_eq!(id.quantisation.as_deref(), Some("Q4_K_M"));
    }

    #[test]
    fn other_paths_give_their_last_part() {
        let id = ModelId::of_path("/models/My Model.Q6_K.gguf".as_ref());
        assert_eq!(id.alias, "My Model.Q6_K");
        assert_eq!((id.repo, id.revision), (None, None));
        assert_eq!(id.quantisation.as_deref(), Some("Q6_K"));
    }
}
