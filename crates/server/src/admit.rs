//! From a parsed request to engine requests; every refusal of a request's content ends here, before
//! anything is sent.

mod chat;
mod completion;
mod controls;
mod unsupported;

use std::sync::Arc;

use russet_engine::{Request, SamplingParams, StopRule, TokenId};

use self::controls::Controls;
use crate::error::ApiError;
use crate::{EngineModel, ServerState};

/// A request that can be run.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Prompts in order, and the choices of each.
    pub(crate) choices: Vec<PlannedChoice>,
    /// Strings that end a choice.
    pub(crate) stop: Vec<String>,
    /// Where the answers' text stands.
    pub(crate) place: TextPlace,
    /// How the answer is sent.
    pub(crate) delivery: Delivery,
}

/// One choice that will be generated.
#[derive(Debug)]
pub(crate) struct PlannedChoice {
    pub(crate) request: Request,
    /// Text that comes before the generated one.
    pub(crate) echo: Option<String>,
    /// Which of the choices of its prompt it is; the first one accounts for the prompt.
    pub(crate) of_prompt: usize,
}

/// Where an answer's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextPlace {
    /// It is an answer of its own.
    Answer,
    /// It follows the prompt's text.
    AfterPrompt,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Stream { usage: StreamUsage },
}

/// Whether a stream ends with token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamUsage {
    Absent,
    LastChunk,
}

/// A prompt, ready for the engine.
#[derive(Debug)]
pub(crate) struct PlannedPrompt {
    tokens: Vec<TokenId>,
    echo: Option<String>,
}

/// A request body that asks for text.
pub(crate) trait Admissible: Send + 'static {
    /// Checks it and turns it into engine requests, `max_choices` at most.
    fn admit(self, model: &EngineModel, max_choices: usize) -> Result<Admitted, ApiError>;
}

/// Templates, tokenises and checks a request, beside the threads that serve connections: a long
/// prompt takes a while.
pub(crate) async fn admit(
    state: &ServerState,
    model: &Arc<EngineModel>,
    request: impl Admissible,
) -> Result<Admitted, ApiError> {
    let max_choices = state.max_choices(model);
    let model = model.clone();
    let admitted = tokio::task::spawn_blocking(move || request.admit(&model, max_choices)).await;
    admitted.unwrap_or(Err(ApiError::Internal))
}

/// `controls.num_choices` engine requests for each prompt.
fn plan(
    model: &EngineModel,
    prompts: Vec<PlannedPrompt>,
    controls: Controls,
    place: TextPlace,
) -> Result<Admitted, ApiError> {
    let context_len = model.handle.limits().context_len;
    let mut choices = Vec::new();
    for prompt in prompts {
        let max_tokens = controls.max_tokens(prompt.tokens.len(), context_len)?;
        for of_prompt in 0..controls.num_choices {
            let request = Request {
                prompt: prompt.tokens.clone(),
                max_tokens,
                sampling: nth_choice(&controls.sampling, of_prompt),
                stop: stop_rule(model, &controls),
                logprobs: controls.logprobs,
            };
            model.handle.check(&request)?;
            choices.push(PlannedChoice { request, echo: prompt.echo.clone(), of_prompt });
        }
    }
    Ok(Admitted { choices, stop: controls.stop, place, delivery: controls.delivery })
}

/// The choices of a prompt differ by their seeds.
fn nth_choice(sampling: &SamplingParams, n: usize) -> SamplingParams {
    let n = u64::try_from(n).expect("a usize has at most 64 bits");
    SamplingParams { seed: sampling.seed.map(|seed| seed.wrapping_add(n)), ..sampling.clone() }
}

fn stop_rule(model: &EngineModel, controls: &Controls) -> StopRule {
    if controls.ignore_eos {
        return StopRule::Never;
    }
    let stop = model.stop_tokens.clone();
    StopRule::Tokens { stop, min_tokens: controls.min_tokens }
}
