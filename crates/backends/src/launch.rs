//! The command lines of external backends.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[cfg(unix)]
use crate::process::{Guard, Health, Spec};
#[cfg(unix)]
use crate::{Backend, Launcher};

/// What an external program is to serve, and how. What is `None` is left to the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The GGUF file or the model's folder.
    pub model: PathBuf,
    /// Longest sequence, in tokens.
    pub context: Option<NonZeroUsize>,
    /// Threads that compute.
    pub threads: Option<NonZeroUsize>,
    /// Most prompt tokens that one step computes.
    pub prefill_chunk: Option<NonZeroUsize>,
    /// Element type of keys and values, as llama.cpp calls it.
    pub kv_type: Option<String>,
    /// `host:port` of llama.cpp's RPC workers that the model is split over.
    pub rpc_workers: Vec<String>,
}

impl Launch {
    /// Serves `model` as its program likes best.
    pub fn new(model: PathBuf) -> Self {
        let (context, threads, prefill_chunk, kv_type) = (None, None, None, None);
        Self { model, context, threads, prefill_chunk, kv_type, rpc_workers: Vec::new() }
    }

    /// How the program of `backend` is kept running; none if it has no program.
    #[cfg(unix)]
    pub fn spec(self, backend: Backend, guard: Guard, launcher: Launcher) -> Option<Spec> {
        match backend {
            Backend::Native | Backend::Remote => None,
            Backend::Llama => Some(Spec::new(guard, launcher, move |port| self.llama_server(port))),
            Backend::MlxLm => {
                let mut spec = Spec::new(guard, launcher, move |port| self.mlx_server(port));
                spec.health = Health::of_mlx_server();
                Some(spec)
            }
        }
    }

    /// The arguments of `llama-server` on `port` of 127.0.0.1. It answers to every model name.
    pub fn llama_server(&self, port: u16) -> Vec<OsString> {
        let mut line = Line::default();
        line.add("--model", &self.model).listen(port).flag("--offline").flag("--jinja");
        line.add_some("--ctx-size", self.context);
        line.add_some("--threads", self.threads).add_some("--threads-batch", self.threads);
        line.add_some("--batch-size", self.prefill_chunk);
        line.add_some("--ubatch-size", self.prefill_chunk);
        line.add_some("--cache-type-k", self.kv_type.as_ref());
        line.add_some("--cache-type-v", self.kv_type.as_ref());
        if !self.rpc_workers.is_empty() {
            line.add("--rpc", self.rpc_workers.join(","));
        }
        line.arguments
    }

    /// The arguments of `mlx_lm.server` on `port` of 127.0.0.1, where the model's name is
    /// [`MLX_MODEL_NAME`].
    pub fn mlx_server(&self, port: u16) -> Vec<OsString> {
        let mut line = Line::default();
        line.add("--model", &self.model).listen(port);
        line.add_some("--prefill-step-size", self.prefill_chunk);
        line.arguments
    }
}

/// What `mlx_lm.server` calls the model of its command line. It would load what any other name
/// stands for.
pub const MLX_MODEL_NAME: &str = "default_model";

#[derive(Default)]
struct Line {
    arguments: Vec<OsString>,
}

impl Line {
    fn flag(&mut self, name: &str) -> &mut Self {
        self.arguments.push(name.into());
        self
    }

    fn add(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.flag(name).arguments.push(value.into());
        self
    }

    fn add_some(&mut self, name: &str, value: Option<impl ToString>) -> &mut Self {
        if let Some(value) = value {
            self.add(name, value.to_string());
        }
        self
    }

    fn listen(&mut self, port: u16) -> &mut Self {
        self.add("--host", "127.0.0.1").add("--port", port.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(arguments: Vec<OsString>) -> String {
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn what_nobody_asked_for_is_left_to_the_program() {
        let launch = Launch::new("/models/a b.gguf".into());
        let line = "--model /models/a b.gguf --host 127.0.0.1 --port 81 --offline --jinja";
        assert_eq!(text(launch.llama_server(81)), line);
        assert_eq!(launch.llama_server(81)[1], "/models/a b.gguf", "one argument");
        let launch = Launch::new("/models/a".into());
        assert_eq!(text(launch.mlx_server(82)), "--model /models/a --host 127.0.0.1 --port 82");
    }

    #[test]
    fn what_was_asked_for_is_passed_on() {
        let launch = Launch {
            model: "m".into(),
            context: NonZeroUsize::new(4096),
            threads: NonZeroUsize::new(3),
            prefill_chunk: NonZeroUsize::new(256),
            kv_type: Some("f16".to_owned()),
            rpc_workers: vec!["a:1".to_owned(), "b:2".to_owned()],
        };
        let line = text(launch.llama_server(1));
        let end = "--offline --jinja --ctx-size 4096 --threads 3 --threads-batch 3 \
                   --batch-size 256 --ubatch-size 256 --cache-type-k f16 --cache-type-v f16 \
                   --rpc a:1,b:2";
        assert!(line.ends_with(end), "{line}");
        let line = text(launch.mlx_server(1));
        assert!(line.ends_with("--port 1 --prefill-step-size 256"), "{line}");
    }
}
