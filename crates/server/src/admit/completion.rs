//! Admission of legacy completion requests.

use russet_engine::TokenId;
use russet_protocol::{CompletionRequest, Prompt};
use russet_tokenizer::{AddSpecial, SkipSpecial};

use super::controls::{MaxTokens, check_num_top, raw_controls, value};
use super::{Admissible, Admitted, PlannedPrompt, TextPlace, plan, unsupported};
use crate::EngineModel;
use crate::error::ApiError;

/// Tokens to generate when a request does not say, as OpenAI has it.
const DEFAULT_MAX_TOKENS: usize = 16;

impl Admissible for CompletionRequest {
    fn admit(self, model: &EngineModel, max_choices: usize) -> Result<Admitted, ApiError> {
        unsupported::check_completion(&self)?;
        check_num_top("logprobs", self.logprobs)?;
        let echo = echo(&self)?;
        if let Some(best_of) = self.best_of.filter(|best_of| *best_of > self.n.unwrap_or(1)) {
            return Err(value("best_of", best_of, "at most `n`"));
        }
        let request = self;
        let unasked = MaxTokens::Default(DEFAULT_MAX_TOKENS);
        let max_tokens = request.max_tokens.map_or(unasked, MaxTokens::Asked);
        let raw = raw_controls!(request, max_tokens: max_tokens, logprobs: request.logprobs);
        let controls = raw.check(&model.defaults)?;
        // Before the prompts are tokenised, as there may be a million of them.
        controls.check_num_answers(num_prompts(&request.prompt), max_choices)?;
        let prompts = prompts(model, request.prompt, echo)?;
        plan(model, prompts, controls, TextPlace::AfterPrompt)
    }
}

/// Whether answers begin with their prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    Yes,
    No,
}

fn echo(request: &CompletionRequest) -> Result<Echo, ApiError> {
    match (request.echo, request.logprobs) {
        (Some(true), Some(_)) => Err(value("echo", "true with `logprobs`", "set without it")),
        (Some(true), None) => Ok(Echo::Yes),
        _ => Ok(Echo::No),
    }
}

fn num_prompts(prompt: &Prompt) -> usize {
    match prompt {
        Prompt::Text(_) | Prompt::Tokens(_) => 1,
        Prompt::Texts(texts) => texts.len(),
        Prompt::TokenLists(lists) => lists.len(),
    }
}

fn prompts(
    model: &EngineModel,
    prompt: Prompt,
    echo: Echo,
) -> Result<Vec<PlannedPrompt>, ApiError> {
    let prompts: Vec<PlannedPrompt> = match prompt {
        Prompt::Text(text) => vec![from_text(model, text, echo)?],
        Prompt::Texts(texts) => {
            texts.into_iter().map(|text| from_text(model, text, echo)).collect::<Result<_, _>>()?
        }
        Prompt::Tokens(ids) => vec![from_ids(model, ids, echo)],
        Prompt::TokenLists(lists) => {
            lists.into_iter().map(|ids| from_ids(model, ids, echo)).collect()
        }
    };
    if prompts.is_empty() {
        return Err(value("prompt", "an empty array", "at least one text"));
    }
    Ok(prompts)
}

fn from_text(model: &EngineModel, text: String, echo: Echo) -> Result<PlannedPrompt, ApiError> {
    let ids = model.tokenizer.encode(&text, AddSpecial::Yes)?;
    let tokens = ids.into_iter().map(TokenId).collect();
    Ok(PlannedPrompt { tokens, echo: (echo == Echo::Yes).then_some(text) })
}

fn from_ids(model: &EngineModel, ids: Vec<u32>, echo: Echo) -> PlannedPrompt {
    let text = || model.tokenizer.decode(&ids, SkipSpecial::No);
    let echo = (echo == Echo::Yes).then(text);
    PlannedPrompt { tokens: ids.into_iter().map(TokenId).collect(), echo }
}
