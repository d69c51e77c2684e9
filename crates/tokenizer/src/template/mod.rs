//! Chat templates: a conversation to the text that a model was trained on.
//!
//! The engine is `minijinja`. What surrounds it makes it behave like the Jinja2 environment of
//! Hugging Face's `transformers` (`chat_template_utils.py`), and keeps hostile templates in bounds.

mod budget;
mod clock;
mod expression;
mod filters;
mod generator;
mod lexer;
mod methods;
mod operators;
mod python;
mod rewrite;

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State};
use serde_json::{Map, Value};

pub use clock::Clock;

use crate::special::SpecialTokens;

/// The largest template that is read; real ones stay below 20 KB.
const SOURCE_LIMIT_BYTES: usize = 1 << 20;
/// Steps of the engine in one rendering.
const FUEL: u64 = 4_000_000;
/// Bytes of template text that the fuel may output without being accounted for.
const UNCOUNTED_LIMIT_BYTES: u64 = 256 << 20;
/// Nested macros, loops and blocks.
const RECURSION_LIMIT: usize = 150;
/// Stack of the thread that renders: what dropping [`budget`]'s largest chain of objects takes, at
/// several hundred bytes each, with room to spare. Only what is used becomes real memory.
const STACK_BYTES: usize = 128 << 20;
/// Names under which clients pass a message's reasoning.
const REASONING_FIELDS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Why a template does not compile or render. Line numbers count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The source is larger than any real one.
    #[error("the chat template has {found_bytes} bytes; at most {limit_bytes} are accepted")]
    SourceTooLarge {
        /// Its size.
        found_bytes: usize,
        /// The most that is accepted.
        limit_bytes: usize,
    },
    /// The template is not well formed.
    #[error("chat template, line {line}: {message}")]
    Syntax {
        /// Where.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Rendering failed.
    #[error("chat template, line {line}: {message}")]
    Render {
        /// Where.
        line: usize,
        /// What went wrong.
        message: String,
    },
    /// The template refuses this conversation by `raise_exception`.
    #[error("the chat template refuses the conversation: {message}")]
    Raised {
        /// The template's own words.
        message: String,
        /// Where.
        line: usize,
    },
    /// Rendering creates more text than any real prompt.
    #[error("chat template, line {line}: rendering creates more than {limit_bytes} bytes")]
    TooLarge {
        /// Where.
        line: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// Rendering creates more lists, maps and loops than any real prompt.
    #[error("chat template, line {line}: rendering creates more than {limit} objects")]
    TooManyObjects {
        /// Where.
        line: usize,
        /// The limit.
        limit: usize,
    },
    /// No thread could be started to render on.
    #[error("cannot start a thread to render the chat template: {reason}")]
    Thread {
        /// What the operating system said.
        reason: std::io::ErrorKind,
    },
    /// Rendering takes more steps than any real prompt.
    #[error("chat template, line {line}: rendering takes more than {limit_steps} steps")]
    TooSlow {
        /// Where.
        line: usize,
        /// The limit.
        limit_steps: u64,
    },
}

/// What a template is given besides the messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenderOptions<'a> {
    /// Tools as JSON schemas, a list; absent is `none` in the template.
    pub tools: Option<&'a Value>,
    /// Documents for retrieval, a list; absent is `none` in the template.
    pub documents: Option<&'a Value>,
    /// Whether the text ends where the assistant is to begin.
    pub add_generation_prompt: bool,
    /// Whether a model that can think should; absent leaves it to the template.
    pub enable_thinking: Option<bool>,
    /// Any other variables; they win over everything else but the messages.
    pub extra: Option<&'a Map<String, Value>>,
    /// `bos_token` and the like.
    pub special: Option<&'a SpecialTokens>,
    /// What `strftime_now` says.
    pub clock: Clock,
}

/// A compiled chat template. Cloning shares it.
#[derive(Clone)]
pub struct ChatTemplate {
    env: Arc<Environment<'static>>,
    fuel: u64,
}

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line, or [`TemplateError::SourceTooLarge`].
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_LIMIT_BYTES {
            let (found_bytes, limit_bytes) = (source.len(), SOURCE_LIMIT_BYTES);
            return Err(TemplateError::SourceTooLarge { found_bytes, limit_bytes });
        }
        let rewritten = rewrite::rewrite(source).map_err(|line| TemplateError::Syntax {
            line,
            message: "brackets or signs are nested too deeply".to_owned(),
        })?;
        let fuel = FUEL.min(UNCOUNTED_LIMIT_BYTES / rewritten.largest_uncounted_bytes as u64);
        let mut env = environment(fuel);
        env.add_template_owned("chat", rewritten.source).map_err(|error| describe(&error, fuel))?;
        Ok(Self { env: Arc::new(env), fuel })
    }

    /// Renders a conversation: `messages` is a list of objects with `role` and `content`.
    ///
    /// # Errors
    /// Whatever the template runs into, with its line; [`TemplateError::Raised`] if it refuses the
    /// conversation.
    pub fn render(
        &self,
        messages: &Value,
        options: &RenderOptions<'_>,
    ) -> Result<String, TemplateError> {
        let render = || self.render_here(messages, options);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            let rendering = thread
                .spawn_scoped(scope, render)
                .map_err(|error| TemplateError::Thread { reason: error.kind() })?;
            rendering.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn render_here(
        &self,
        messages: &Value,
        options: &RenderOptions<'_>,
    ) -> Result<String, TemplateError> {
        let fail = |error: minijinja::Error| describe(&error, self.fuel);
        let context = engine_value(&Value::Object(context(messages, options)));
        self.env.get_template("chat").and_then(|chat| chat.render(context)).map_err(fail)
    }
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("fuel", &self.fuel).finish_non_exhaustive()
    }
}

fn environment(fuel: u64) -> Environment<'static> {
    let mut env = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    env.set_syntax(syntax.expect("the default delimiters are valid"));
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_formatter(write_value);
    env.set_fuel(Some(fuel));
    env.set_recursion_limit(RECURSION_LIMIT);
    env.set_unknown_method_callback(methods::call);
    operators::register(&mut env);
    filters::register(&mut env);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", strftime_now);
    add_tests(&mut env);
    // It would print the engine's state.
    env.remove_global("debug");
    env
}

/// Tests whose answers differ from Python's in the engine.
fn add_tests(env: &mut Environment<'static>) {
    let is_one_of =
        |kinds: &'static [ValueKind]| move |value: minijinja::Value| kinds.contains(&value.kind());
    use ValueKind::{Bool, Iterable, Map, Number, Plain, Seq, String, Undefined};
    env.add_test("callable", is_one_of(&[Plain, Undefined]));
    env.add_test("iterable", is_one_of(&[Iterable, Map, Seq, String, Undefined]));
    env.add_test("sequence", is_one_of(&[Map, Seq, String, Undefined]));
    env.add_test("number", is_one_of(&[Bool, Number]));
}

fn write_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &minijinja::Value,
) -> Result<(), minijinja::Error> {
    let failed = |_| minijinja::Error::from(ErrorKind::WriteFailure);
    if let Some(text) = value.as_str() {
        budget::charge(state, text.len())?;
        return out.write_str(text).map_err(failed);
    }
    let text = python::to_str(value)?;
    budget::charge(state, text.len())?;
    out.write_str(&text).map_err(failed)
}

/// The reason inside a [`minijinja::Error`] when the template itself gives up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn raise_exception(message: minijinja::Value) -> Result<minijinja::Value, minijinja::Error> {
    let message = python::to_str(&message)?;
    let error = minijinja::Error::new(ErrorKind::InvalidOperation, "raise_exception was called");
    Err(error.with_source(Raised(message)))
}

fn strftime_now(state: &mut State<'_, '_>, format: String) -> Result<String, minijinja::Error> {
    budget::charge(state, format.len().saturating_mul(16))?;
    let now = state.lookup("__now").and_then(|now| now.as_i64()).unwrap_or(0);
    Ok(clock::strftime(now, &format))
}

/// Everything the template sees.
fn context(messages: &Value, options: &RenderOptions<'_>) -> Map<String, Value> {
    let mut context = Map::new();
    for (name, text) in options.special.iter().flat_map(|special| special.texts()) {
        context.insert(name.to_owned(), text.into());
    }
    let absent = |value: Option<&Value>| value.cloned().unwrap_or(Value::Null);
    context.insert("tools".to_owned(), absent(options.tools));
    context.insert("documents".to_owned(), absent(options.documents));
    context.insert("add_generation_prompt".to_owned(), options.add_generation_prompt.into());
    if let Some(enable_thinking) = options.enable_thinking {
        context.insert("enable_thinking".to_owned(), enable_thinking.into());
    }
    for (name, value) in options.extra.into_iter().flatten() {
        context.insert(name.clone(), value.clone());
    }
    context.insert("__now".to_owned(), options.clock.unix_seconds().into());
    context.insert("messages".to_owned(), name_reasoning(messages));
    context
}

/// Gives every message's reasoning the names that templates look for: `reasoning_content`, and
/// `thinking` for gpt-oss (as `transformers` does).
fn name_reasoning(messages: &Value) -> Value {
    let Some(list) = messages.as_array() else { return messages.clone() };
    let name = |message: &Value| {
        let fields = message.as_object();
        let found = REASONING_FIELDS
            .iter()
            .find_map(|field| fields?.get(*field).filter(|value| !value.is_null()));
        let (Some(fields), Some(reasoning)) = (fields, found) else { return message.clone() };
        let mut named = Map::new();
        named.insert("thinking".to_owned(), reasoning.clone());
        named.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        named.insert("reasoning_content".to_owned(), reasoning.clone());
        Value::Object(named)
    };
    list.iter().map(name).collect()
}

/// A JSON value as the engine has it, keys in their order.
fn engine_value(value: &Value) -> minijinja::Value {
    match value {
        Value::Null => ().into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => integer.into(),
            (None, Some(integer)) => integer.into(),
            (None, None) => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(engine_value).collect(),
        Value::Object(fields) => minijinja::Value::from_pairs(
            fields.iter().map(|(name, value)| (name.as_str(), engine_value(value))),
        ),
    }
}

/// The engine's error as ours.
fn describe(error: &minijinja::Error, fuel: u64) -> TemplateError {
    let line = error.line().unwrap_or(1);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(reason) = cause {
        if let Some(Raised(message)) = reason.downcast_ref() {
            return TemplateError::Raised { message: message.clone(), line };
        }
        if let Some(over) = reason.downcast_ref::<budget::OverBudget>() {
            return TemplateError::TooLarge { line, limit_bytes: over.limit_bytes };
        }
        if let Some(too_many) = reason.downcast_ref::<budget::TooManyObjects>() {
            return TemplateError::TooManyObjects { line, limit: too_many.limit };
        }
        if let Some(inner) = reason.downcast_ref::<minijinja::Error>()
            && inner.kind() == ErrorKind::OutOfFuel
        {
            return TemplateError::TooSlow { line, limit_steps: fuel };
        }
        cause = reason.source();
    }
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest => {
            TemplateError::Syntax { line, message }
        }
        _ => TemplateError::Render { line, message },
    }
}
