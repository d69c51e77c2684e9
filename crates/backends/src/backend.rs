//! The backends by name.

use std::fmt;
use std::str::FromStr;

/// What serves a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Russet's own engine.
    Native,
    /// A `llama-server` process.
    Llama,
    /// An `mlx_lm.server` process.
    MlxLm,
    /// A server somewhere else that speaks OpenAI's API.
    Remote,
}

impl Backend {
    /// Every backend, the most wanted first.
    pub const ALL: [Self; 4] = [Self::Native, Self::Llama, Self::MlxLm, Self::Remote];

    /// Its name in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Llama => "llama",
            Self::MlxLm => "mlx-lm",
            Self::Remote => "remote",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no backend has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no backend; accepted: native, llama, mlx-lm, remote")]
pub struct UnknownBackend {
    found: String,
}

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        let named = |backend: &Self| backend.name() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| UnknownBackend { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for backend in Backend::ALL {
            assert_eq!(backend.name().parse(), Ok(backend));
        }
        let error = "mlx".parse::<Backend>().unwrap_err().to_string();
        for backend in Backend::ALL {
            assert!(error.contains(backend.name()), "{error}");
        }
    }
}
