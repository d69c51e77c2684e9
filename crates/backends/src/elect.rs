//! Which backend serves a model: what the model and the user need, met by what each backend can do
//! and what is installed.

use std::fmt;

use russet_weights::Format;

use crate::{Backend, Feature, Installed, NotFound, TooBig};

/// What is to be served.
#[derive(Debug, Clone)]
pub struct Model {
    /// How it is stored.
    pub format: Format,
    /// What the native backend has to say against it.
    pub native: Result<(), Refusal>,
    /// Whether its files fit into memory as they are, as other processes keep them.
    pub fit: Result<(), TooBig>,
    /// Whether there is something that turns text into tokens.
    pub has_tokenizer: bool,
}

/// A feature that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// What.
    pub feature: Feature,
    /// How the user asked, such as `--context 4096`.
    pub setting: String,
}

/// Why a backend cannot serve a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not read such files.
    Format {
        /// What the model is.
        found: Format,
    },
    /// It cannot do what was asked for.
    Feature {
        /// What it lacks.
        feature: Feature,
        /// How the user asked for it.
        setting: String,
    },
    /// Why the native backend cannot read it.
    Native(String),
    /// Nothing turns text into tokens.
    NoTokenizer,
    /// There is not enough memory.
    TooBig(TooBig),
    /// Its program is not here.
    NotInstalled(NotFound),
    /// No server was named.
    NoUrl,
}

/// One backend and what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub backend: Backend,
    /// Everything that speaks against it; nothing if it can serve the model.
    pub refusals: Vec<Refusal>,
}

/// What came out, with every backend in the order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// Every backend.
    pub candidates: Vec<Candidate>,
    /// The only one that the user wants.
    pub forced: Option<Backend>,
}

/// Holds every backend against the model and the demands. The first that nothing speaks against is
/// elected, or nobody if the user forces one that is refused.
pub fn elect(
    model: &Model,
    demands: &[Demand],
    installed: &Installed,
    forced: Option<Backend>,
) -> Election {
    let candidate = |backend: Backend| {
        let mut refusals = Vec::from_iter(model_refusal(backend, model));
        refusals.extend(Candidate::for_demands(backend, demands).refusals);
        refusals.extend(presence_refusal(backend, installed));
        // What cannot be started needs no word on its size.
        if refusals.is_empty() && matches!(backend, Backend::Llama | Backend::MlxLm) {
            refusals.extend(model.fit.err().map(Refusal::TooBig));
        }
        Candidate { backend, refusals }
    };
    Election { candidates: Backend::ALL.map(candidate).into(), forced }
}

fn model_refusal(backend: Backend, model: &Model) -> Option<Refusal> {
    let found = model.format;
    match (backend, &model.native) {
        (Backend::Native, native) => native.as_ref().err().cloned(),
        // Its models are its own affair.
        (Backend::Remote, _) => None,
        _ => {
            let reads = backend.capabilities().formats.contains(&found);
            match (reads, model.has_tokenizer) {
                (false, _) => Some(Refusal::Format { found }),
                (true, false) => Some(Refusal::NoTokenizer),
                (true, true) => None,
            }
        }
    }
}

fn feature_refusal(backend: Backend, demand: &Demand) -> Option<Refusal> {
    let Demand { feature, setting } = demand.clone();
    let offers = backend.capabilities().features.contains(&feature);
    (!offers).then_some(Refusal::Feature { feature, setting })
}

fn presence_refusal(backend: Backend, installed: &Installed) -> Option<Refusal> {
    if backend == Backend::Remote {
        return installed.remote_url.is_none().then_some(Refusal::NoUrl);
    }
    installed.program(backend)?.as_ref().err().cloned().map(Refusal::NotInstalled)
}

impl Election {
    /// Who serves the model.
    pub fn elected(&self) -> Option<Backend> {
        let wanted = |candidate: &&Candidate| self.forced.is_none_or(|b| b == candidate.backend);
        let able = |candidate: &&Candidate| candidate.refusals.is_empty();
        self.candidates.iter().filter(wanted).find(able).map(|candidate| candidate.backend)
    }
}

impl fmt::Display for Election {
    /// Why nobody was elected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forced = |candidate: &&Candidate| Some(candidate.backend) == self.forced;
        if let Some(candidate) = self.candidates.iter().find(forced) {
            return candidate.fmt(f);
        }
        f.write_str("no backend can")?;
        self.candidates.iter().try_for_each(|candidate| {
            write!(f, "\n  {}: {}", candidate.backend, candidate.reasons().join("; "))
        })
    }
}

impl fmt::Display for Candidate {
    /// Why it was not elected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot: {}", self.backend, self.reasons().join("; "))
    }
}

impl Candidate {
    /// A backend and which of the demands it cannot honour.
    pub fn for_demands(backend: Backend, demands: &[Demand]) -> Self {
        let refusals = demands.iter().filter_map(|demand| feature_refusal(backend, demand));
        Self { backend, refusals: refusals.collect() }
    }

    /// What speaks against it, for people; empty if nothing does.
    pub fn reasons(&self) -> Vec<String> {
        self.refusals.iter().map(|refusal| self.reason(refusal)).collect()
    }

    fn reason(&self, refusal: &Refusal) -> String {
        match refusal {
            Refusal::Format { found } => {
                let formats = self.backend.capabilities().formats.iter();
                let names: Vec<&str> = formats.map(|format| format.name()).collect();
                format!("reads {}, and this is {}", names.join(" and "), found.name())
            }
            Refusal::Feature { feature, setting } => {
                format!("{setting} asks for what it lacks: {feature}")
            }
            Refusal::Native(why) => why.clone(),
            Refusal::NoTokenizer => "the model has no tokenizer".to_owned(),
            Refusal::TooBig(too_big) => too_big.to_string(),
            Refusal::NotInstalled(not_found) => not_found.to_string(),
            Refusal::NoUrl => "no server was named".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fit, Launcher};

    fn launcher() -> Result<Launcher, NotFound> {
        Ok(Launcher { program: "program".into(), arguments: Vec::new() })
    }

    fn all_installed() -> Installed {
        Installed { llama_server: launcher(), mlx_server: launcher(), remote_url: None }
    }

    fn model(format: Format) -> Model {
        Model { format, native: Ok(()), fit: Ok(()), has_tokenizer: true }
    }

    fn reasons(election: &Election, backend: Backend) -> Vec<String> {
        let mut all = election.candidates.iter();
        all.find(|candidate| candidate.backend == backend).unwrap().reasons()
    }

    #[test]
    fn native_comes_first_and_formats_decide_among_the_others() {
        let unread = Err(Refusal::Native("it is a mamba".to_owned()));
        for (format, other) in [
            (Format::Gguf, Backend::Llama),
            (Format::Mlx, Backend::MlxLm),
            (Format::HuggingFace, Backend::MlxLm),
        ] {
            let election = elect(&model(format), &[], &all_installed(), None);
            assert_eq!(election.elected(), Some(Backend::Native));
            assert_eq!(reasons(&election, other), [""; 0]);
            let model = Model { native: unread.clone(), ..model(format) };
            let election = elect(&model, &[], &all_installed(), None);
            assert_eq!(election.elected(), Some(other));
            assert_eq!(reasons(&election, Backend::Native), ["it is a mamba"]);
        }
        let election = elect(&model(Format::Mlx), &[], &all_installed(), None);
        assert_eq!(reasons(&election, Backend::Llama), ["reads GGUF, and this is MLX"]);
        let silent = Model { has_tokenizer: false, ..model(Format::Mlx) };
        let election = elect(&silent, &[], &all_installed(), Some(Backend::MlxLm));
        assert_eq!(election.elected(), None);
        assert_eq!(reasons(&election, Backend::MlxLm), ["the model has no tokenizer"]);
    }

    #[test]
    fn what_a_backend_cannot_honour_speaks_against_it() {
        let demand = |feature, setting: &str| Demand { feature, setting: setting.to_owned() };
        let split = [demand(Feature::Split, "--split")];
        let election = elect(&model(Format::Gguf), &split, &all_installed(), None);
        assert_eq!(election.elected(), Some(Backend::Llama));
        let expected = ["--split asks for what it lacks: split over machines"];
        assert_eq!(reasons(&election, Backend::Native), expected);
        let both = [split[0].clone(), demand(Feature::Isa, "--isa avx2")];
        let election = elect(&model(Format::Gguf), &both, &all_installed(), None);
        assert_eq!(election.elected(), None, "nobody has both");
    }

    #[test]
    fn nothing_is_taken_in_place_of_the_one_that_is_forced() {
        let nothing = || Err(NotFound { tried: vec!["here".to_owned(), "there".to_owned()] });
        let (llama_server, mlx_server) = (nothing(), nothing());
        let installed = Installed { llama_server, mlx_server, remote_url: None };
        let forced = Some(Backend::Llama);
        let election = elect(&model(Format::Gguf), &[], &installed, forced);
        assert_eq!(election.elected(), None);
        let expected = ["not installed; tried here, there"];
        assert_eq!(reasons(&election, Backend::Llama), expected);
        let election = elect(&model(Format::Gguf), &[], &all_installed(), forced);
        assert_eq!(election.elected(), forced);
    }

    #[test]
    fn memory_is_asked_for_as_each_takes_it() {
        let (weights, kv_per_token) = (1 << 30, 1 << 10);
        let fit = Fit { weights, kv_per_token, context: 4096, slots: 1, free: Some(1 << 20) };
        let too_big = fit.check().unwrap_err();
        let files = Model { fit: Err(too_big), ..model(Format::Mlx) };
        let election = elect(&files, &[], &all_installed(), None);
        assert_eq!(election.elected(), Some(Backend::Native));
        assert_eq!(reasons(&election, Backend::MlxLm), [too_big.to_string()]);
        assert_eq!(reasons(&election, Backend::Llama).len(), 1, "of its format only");
        let packed = Model { native: Err(Refusal::TooBig(too_big)), ..model(Format::Mlx) };
        let election = elect(&packed, &[], &all_installed(), None);
        assert_eq!(election.elected(), Some(Backend::MlxLm));
    }
}
