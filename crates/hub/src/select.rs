//! Which files of a repository make the model that was asked for.

use std::collections::BTreeMap;

use crate::error::Error;

/// Preferred when a repository holds several quantisations and none is named, as peers do.
const DEFAULT_QUANT: &str = "Q4_K_M";

/// The files to have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selection<'a> {
    /// A model directory: configuration, tokenizer and safetensors.
    Directory(Vec<&'a str>),
    /// One GGUF, in one file or in all its shards in order.
    Gguf(Vec<&'a str>),
}

impl<'a> Selection<'a> {
    pub(crate) fn names(&self) -> &[&'a str] {
        match self {
            Self::Directory(names) | Self::Gguf(names) => names,
        }
    }
}

/// Selects from `names` (relative, with `/`). A directory wins over GGUF files beside it unless
/// `quant` names one of those.
///
/// # Errors
/// `model` names the model in [`Error::NoWeights`], [`Error::NoSuchQuant`],
/// [`Error::AmbiguousQuant`] and [`Error::MissingShards`].
pub(crate) fn select<'a>(
    model: &dyn ToString,
    names: &[&'a str],
    quant: Option<&str>,
) -> Result<Selection<'a>, Error> {
    let is_directory = names.contains(&"config.json") && names.iter().any(|n| is_weights(n));
    if is_directory && quant.is_none() {
        let wanted = names.iter().copied().filter(|name| is_wanted(name));
        return Ok(Selection::Directory(wanted.collect()));
    }
    let groups = gguf_groups(names);
    if groups.is_empty() && quant.is_none() {
        let found = names.iter().map(|&name| name.to_owned()).collect();
        return Err(Error::NoWeights { model: model.to_string(), found });
    }
    let shards = choose(model, &groups, quant)?;
    check_shards(model, &shards)?;
    Ok(Selection::Gguf(shards))
}

fn is_weights(name: &str) -> bool {
    name.starts_with("model") && name.ends_with(".safetensors") && !name.contains('/')
}

/// The allow-list of a model directory; everything else (other frameworks' weights, pictures,
/// code) stays on the hub.
fn is_wanted(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let by_end = [".json", ".tiktoken", ".txt", ".jinja"].iter().any(|end| file.ends_with(end));
    by_end || file == "tokenizer.model" || is_weights(name)
}

/// The GGUF models among the names, by name without the shard number.
fn gguf_groups<'a>(names: &[&'a str]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for &name in names {
        let Some(stem) = gguf_stem(name) else { continue };
        let lower = stem.to_ascii_lowercase();
        // Image encoders and calibration data are no language models.
        if lower.contains("mmproj") || lower.contains("imatrix") {
            continue;
        }
        groups.entry(shard_of(stem).0).or_default().push(name);
    }
    groups.values_mut().for_each(|shards| shards.sort_unstable());
    groups
}

fn choose<'a>(
    model: &dyn ToString,
    groups: &BTreeMap<&'a str, Vec<&'a str>>,
    quant: Option<&str>,
) -> Result<Vec<&'a str>, Error> {
    let all: Vec<_> = groups.keys().copied().collect();
    let fitting = match quant {
        Some(quant) => fitting(&all, quant),
        None if all.len() == 1 => all.clone(),
        None => Some(fitting(&all, DEFAULT_QUANT)).filter(|f| f.len() == 1).unwrap_or(all.clone()),
    };
    let owned = |names: &[&str]| names.iter().map(|&name| format!("{name}.gguf")).collect();
    match fitting.as_slice() {
        [one] => Ok(groups[one].clone()),
        [] => Err(Error::NoSuchQuant { model: model.to_string(), available: owned(&all) }),
        several => {
            Err(Error::AmbiguousQuant { model: model.to_string(), available: owned(several) })
        }
    }
}

/// The names that carry `quant`. Of a plain file and its "UD" (dynamic) variant, the plain one.
fn fitting<'a>(names: &[&'a str], quant: &str) -> Vec<&'a str> {
    let quant = quant.to_ascii_lowercase();
    let carries = |name: &&&str| carries_quant(&name.to_ascii_lowercase(), &quant);
    let fitting: Vec<_> = names.iter().filter(carries).copied().collect();
    let dynamic = format!("ud-{quant}");
    let is_plain = |name: &&&str| !name.to_ascii_lowercase().contains(&dynamic);
    let plain: Vec<_> = fitting.iter().filter(is_plain).copied().collect();
    if plain.is_empty() { fitting } else { plain }
}

/// Whether `quant` stands in `name` as a word: `q4_k` is not in `q4_k_m`, nor `q4_xs` in `iq4_xs`.
fn carries_quant(name: &str, quant: &str) -> bool {
    name.match_indices(quant).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        let after = name[at + quant.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric)
            && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn check_shards(model: &dyn ToString, shards: &[&str]) -> Result<(), Error> {
    let numbers: Vec<_> = shards
        .iter()
        .map(|name| shard_of(gguf_stem(name).unwrap_or(name)).1.unwrap_or((1, 1)))
        .collect();
    let expected = numbers.first().map_or(1, |&(_, of)| of);
    let complete = numbers.iter().zip(1..).all(|(&shard, at)| shard == (at, expected));
    match complete && numbers.len() == expected {
        true => Ok(()),
        false => Err(Error::MissingShards {
            model: model.to_string(),
            file: shards.first().map_or(String::new(), |&name| name.to_owned()),
            expected,
            found: numbers.len(),
        }),
    }
}

fn gguf_stem(name: &str) -> Option<&str> {
    let stem = name.get(..name.len().checked_sub(5)?)?;
    name[stem.len()..].eq_ignore_ascii_case(".gguf").then_some(stem)
}

/// Splits `name-00002-of-00005` (llama.cpp's naming of split files) into `name` and (2, 5).
fn shard_of(stem: &str) -> (&str, Option<(usize, usize)>) {
    let parse = || {
        let (rest, of) = stem.rsplit_once("-of-")?;
        let (name, index) = rest.rsplit_once('-')?;
        let number = |text: &str| (text.len() == 5).then(|| text.parse().ok()).flatten();
        Some((name, (number(index)?, number(of)?)))
    };
    parse().map_or((stem, None), |(name, shard)| (name, Some(shard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gguf<'a>(names: &[&'a str], quant: Option<&str>) -> Result<Vec<&'a str>, Error> {
        match select(&"org/repo", names, quant)? {
            Selection::Gguf(shards) => Ok(shards),
            Selection::Directory(_) => panic!("expected a GGUF"),
        }
    }

    #[test]
    fn a_directory_takes_the_allow_list() {
        let wanted = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.model",
            "vocab.tiktoken",
            "merges.txt",
            "chat_template.jinja",
            "1_Pooling/config.json",
        ];
        let unwanted = [
            "pytorch_model.bin",
            "README.md",
            "modeling_x.py",
            "onnx/model.safetensors",
            "optimizer.safetensors",
            "x-Q4_0.gguf",
        ];
        let names: Vec<_> = wanted.iter().chain(&unwanted).copied().collect();
        let selection = select(&"a/b", &names, None).unwrap();
        assert_eq!(selection, Selection::Directory(wanted.to_vec()));
    }

    #[test]
    fn a_quant_selects_one_file_by_word() {
        let names = [
            "x-IQ4_XS.gguf",
            "x-Q4_K_S.gguf",
            "x-Q4_K_M.gguf",
            "x-UD-Q4_K_M.gguf",
            "x.Q8_0.GGUF",
            "mmproj-Q8_0.gguf",
            "config.json",
        ];
        assert_eq!(gguf(&names, Some("q4_k_m")).unwrap(), ["x-Q4_K_M.gguf"]);
        assert_eq!(gguf(&names, Some("UD-Q4_K_M")).unwrap(), ["x-UD-Q4_K_M.gguf"]);
        assert_eq!(gguf(&names, Some("Q8_0")).unwrap(), ["x.Q8_0.GGUF"]);
        assert_eq!(gguf(&names, None).unwrap(), ["x-Q4_K_M.gguf"]);
        for none in ["Q4_K", "Q4_XS", "Q8", "f16"] {
            let error = gguf(&names, Some(none)).unwrap_err();
            assert!(
                matches!(error, Error::NoSuchQuant { ref available, .. } if available.len() == 5)
            );
        }
    }

    #[test]
    fn several_that_fit_are_listed() {
        let error = gguf(&["a-Q8_0.gguf", "b-Q8_0.gguf"], Some("Q8_0")).unwrap_err().to_string();
        assert!(error.contains("a-Q8_0.gguf, b-Q8_0.gguf"), "{error}");
        let error = gguf(&["a-Q8_0.gguf", "a-Q6_K.gguf"], None).unwrap_err();
        assert!(matches!(error, Error::AmbiguousQuant { .. }));
    }

    #[test]
    fn shards_come_in_order_and_complete() {
        let names = ["Q8_0/x-00002-of-00002.gguf", "x-Q4_0.gguf", "Q8_0/x-00001-of-00002.gguf"];
        let shards = ["Q8_0/x-00001-of-00002.gguf", "Q8_0/x-00002-of-00002.gguf"];
        assert_eq!(gguf(&names, Some("Q8_0")).unwrap(), shards);
        let error = gguf(&names[..2], Some("Q8_0")).unwrap_err();
        assert!(matches!(error, Error::MissingShards { expected: 2, found: 1, .. }), "{error}");
        let error = gguf(&["x-99999-of-00000.gguf"], None).unwrap_err();
        assert!(matches!(error, Error::MissingShards { .. }), "{error}");
    }

    #[test]
    fn nothing_to_load() {
        let error = select(&"a/b", &["pytorch_model.bin"], None).unwrap_err();
        assert!(error.to_string().ends_with("it holds: pytorch_model.bin"), "{error}");
        assert!(matches!(select(&"a/b", &[], Some("Q4_0")), Err(Error::NoSuchQuant { .. })));
    }
}
