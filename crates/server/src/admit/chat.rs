//! Admission of chat requests.

use russet_engine::TokenId;
use russet_protocol::{ChatRequest, Content, ContentPart, Message, Role};
use russet_tokenizer::{AddSpecial, RenderOptions};
use serde_json::{Map, Value, json};

use super::controls::{MaxTokens, check_num_top, raw_controls, value};
use super::{Admissible, Admitted, PlannedPrompt, TextPlace, plan, unsupported};
use crate::EngineModel;
use crate::error::ApiError;

impl Admissible for ChatRequest {
    fn admit(self, model: &EngineModel, max_choices: usize) -> Result<Admitted, ApiError> {
        unsupported::check_chat(&self)?;
        let asked = self.max_completion_tokens.or(self.max_tokens);
        let max_tokens = asked.map_or(MaxTokens::Default(usize::MAX), MaxTokens::Asked);
        let logprobs = logprobs(&self)?;
        let request = self;
        let kwargs = request.chat_template_kwargs;
        let messages = template_messages(request.messages)?;
        let raw = raw_controls!(request, max_tokens: max_tokens, logprobs: logprobs);
        let controls = raw.check(&model.defaults)?;
        controls.check_num_answers(1, max_choices)?;
        let tokens = encode(model, &messages, kwargs.as_ref())?;
        let prompts = vec![PlannedPrompt { tokens, echo: None }];
        plan(model, prompts, controls, TextPlace::Answer)
    }
}

fn logprobs(request: &ChatRequest) -> Result<Option<usize>, ApiError> {
    let wanted = request.logprobs.unwrap_or(false);
    check_num_top("top_logprobs", request.top_logprobs)?;
    match request.top_logprobs {
        Some(num) if num > 0 && !wanted => {
            Err(ApiError::Needs { param: "top_logprobs", needed: "logprobs" })
        }
        num => Ok(wanted.then_some(num.unwrap_or(0))),
    }
}

/// The prompt's tokens: the template writes every special token itself.
fn encode(
    model: &EngineModel,
    messages: &Value,
    kwargs: Option<&Map<String, Value>>,
) -> Result<Vec<TokenId>, ApiError> {
    let template = model.template.as_ref().ok_or(ApiError::NoTemplate)?;
    let options = RenderOptions {
        add_generation_prompt: true,
        extra: kwargs,
        special: Some(model.tokenizer.special_tokens()),
        ..RenderOptions::default()
    };
    let text = template.render(messages, &options)?;
    let ids = model.tokenizer.encode(&text, AddSpecial::No)?;
    Ok(ids.into_iter().map(TokenId).collect())
}

/// The conversation as chat templates read it.
fn template_messages(messages: Vec<Message>) -> Result<Value, ApiError> {
    if messages.is_empty() {
        return Err(value("messages", "empty", "at least one message"));
    }
    messages.into_iter().map(template_message).collect()
}

fn template_message(message: Message) -> Result<Value, ApiError> {
    let role = role_name(message.role);
    let has_calls = message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
    let mut fields = Map::new();
    fields.insert("role".to_owned(), role.into());
    match message.content {
        Some(content) => fields.insert("content".to_owned(), content_text(content)?.into()),
        // Templates differ in whether they look for null or for an empty text.
        None if message.role == Role::Assistant && has_calls => {
            fields.insert("content".to_owned(), "".into())
        }
        None if message.role == Role::Assistant && message.reasoning_content.is_some() => {
            fields.insert("content".to_owned(), "".into())
        }
        None => return Err(ApiError::NoContent { role }),
    };
    let optional = [
        ("name", message.name.map(Value::from)),
        ("tool_call_id", message.tool_call_id.map(Value::from)),
        ("reasoning_content", message.reasoning_content.map(Value::from)),
        ("tool_calls", message.tool_calls.filter(|_| has_calls).map(template_calls)),
    ];
    for (name, field) in optional {
        if let Some(field) = field {
            fields.insert(name.to_owned(), field);
        }
    }
    Ok(Value::Object(fields))
}

/// Clients send a call's arguments as JSON text; templates want the object.
fn template_calls(mut calls: Vec<Value>) -> Value {
    for call in &mut calls {
        let Some(arguments) = call.pointer_mut("/function/arguments") else { continue };
        let parsed = arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
        if let Some(object @ Value::Object(_)) = parsed {
            *arguments = object;
        }
    }
    json!(calls)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Text parts follow each other as they are.
fn content_text(content: Content) -> Result<String, ApiError> {
    let part_text = |part: ContentPart| match (part.kind.as_str(), part.text) {
        ("text", Some(text)) => Ok(text),
        ("text", None) => Err(ApiError::PartWithoutText),
        _ => Err(ApiError::Media { kind: part.kind }),
    };
    match content {
        Content::Text(text) => Ok(text),
        Content::Parts(parts) => parts.into_iter().map(part_text).collect(),
    }
}
