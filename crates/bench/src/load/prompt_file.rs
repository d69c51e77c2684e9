//! Prompts from a file with one on each line.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Error;

/// The largest file that is read; its prompts stay in memory.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The messages of each line. Blank lines are passed over.
pub(super) fn read(path: &Path) -> Result<Vec<Vec<Value>>, Error> {
    let failed = |source| Error::PromptFile { path: path.to_owned(), source };
    let found_bytes = fs::metadata(path).map_err(failed)?.len();
    if found_bytes > MAX_FILE_BYTES {
        let limit_bytes = MAX_FILE_BYTES;
        return Err(Error::PromptFileSize { path: path.to_owned(), found_bytes, limit_bytes });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let mut prompts = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |problem| Error::PromptLine { path: path.to_owned(), line: index + 1, problem };
        prompts.push(messages(line).map_err(wrong)?);
    }
    if prompts.is_empty() {
        return Err(Error::NoPrompts { path: path.to_owned() });
    }
    Ok(prompts)
}

/// The messages of a line, or what is wrong with it.
fn messages(line: &str) -> Result<Vec<Value>, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("it is no JSON: {e}"))?;
    let Value::Object(object) = value else {
        return Err(format!("found {}", kind(&value)));
    };
    match one_field(object)? {
        ("messages", Value::Array(messages)) if messages.is_empty() => {
            Err("`messages` is empty".to_owned())
        }
        ("messages", Value::Array(messages)) => {
            let bad = messages.iter().position(|message| !message["role"].is_string());
            match bad {
                Some(at) => Err(format!("message {} has no `role` that is a string", at + 1)),
                None => Ok(messages),
            }
        }
        ("prompt", Value::String(prompt)) => Ok(vec![json!({"role": "user", "content": prompt})]),
        (field, other) => Err(format!("`{field}` is {}", kind(&other))),
    }
}

/// What a line does not mean is refused, so that nobody waits for it to have an effect.
fn one_field(object: Map<String, Value>) -> Result<(&'static str, Value), String> {
    if object.len() > 1 {
        let fields: Vec<&str> = object.keys().map(String::as_str).collect();
        return Err(format!("found several fields: {}", fields.join(", ")));
    }
    let (field, value) = object.into_iter().next().ok_or("found no field")?;
    match field.as_str() {
        "messages" => Ok(("messages", value)),
        "prompt" => Ok(("prompt", value)),
        _ => Err(format!("found the field `{field}`")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Vec<Value>>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.jsonl");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn lines_are_messages_or_prompts() {
        let system = r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user"}]}"#;
        let prompts = read_text(&format!("{system}\r\n\n  \n{{\"prompt\": \"p\"}}")).unwrap();
        assert_eq!(prompts.len(), 2);
        let messages = [json!({"role": "system", "content": "s"}), json!({"role": "user"})];
        assert_eq!(prompts[0], messages);
        assert_eq!(prompts[1], [json!({"role": "user", "content": "p"})]);
    }

    #[test]
    fn other_lines_are_refused_with_file_line_and_what_was_found() {
        for (line, found) in [
            ("{\"prompt\": ", "no JSON"),
            ("[1]", "an array"),
            ("{}", "no field"),
            (r#"{"text": "a"}"#, "`text`"),
            (r#"{"prompt": 5}"#, "`prompt` is a number"),
            (r#"{"prompt": ["a"]}"#, "`prompt` is an array"),
            (r#"{"messages": "a"}"#, "`messages` is a string"),
            (r#"{"messages": []}"#, "`messages` is empty"),
            (r#"{"messages": [{"role": "user"}, {"content": "a"}]}"#, "message 2"),
            (r#"{"messages": [5]}"#, "message 1"),
            (r#"{"prompt": "a", "max_tokens": 5}"#, "prompt, max_tokens"),
        ] {
            let text = read_text(&format!("{{\"prompt\": \"a\"}}\n{line}\n")).unwrap_err();
            let text = text.to_string();
            let wanted = ["prompts.jsonl, line 2", found, "accepted"];
            assert!(wanted.iter().all(|part| text.contains(part)), "{line}: {text}");
        }
    }

    #[test]
    fn files_without_a_prompt_are_refused() {
        assert!(matches!(read_text("\n \n"), Err(Error::NoPrompts { .. })));
        assert!(matches!(read(Path::new("no/such.jsonl")), Err(Error::PromptFile { .. })));
    }
}
