//! What every external backend has to do with a real program.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{ANSWER, QUESTION, Server};

/// What a server says of itself.
pub(crate) struct Names<'a> {
    pub(crate) backend: &'a str,
    /// What clients call the model.
    pub(crate) model: &'a str,
    /// What nobody may see.
    pub(crate) path: &'a str,
}

pub(crate) fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The data of all events in a reply.
fn events(reply: &str) -> Vec<&str> {
    reply.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

pub(crate) fn answers_under_our_names(server: &Server, names: &Names<'_>) {
    let Names { backend, model, path } = names;
    let info = json_of(&server.get("/info"));
    assert_eq!((&info["backend"], &info["model"]), (&json!(backend), &json!(model)));
    assert_eq!(json_of(&server.get("/v1/models"))["data"][0]["id"], *model);
    let messages = json!([{"role": "user", "content": QUESTION}]);
    let mut request =
        json!({"model": model, "messages": messages, "max_tokens": 20, "temperature": 0});
    let (status, body) = server.post("/v1/chat/completions", &request);
    assert!(status.contains("200"), "{status} {body}");
    let reply = json_of(&body);
    assert_eq!(reply["choices"][0]["message"]["content"], ANSWER);
    assert_eq!((&reply["model"], &reply["usage"]["prompt_tokens"]), (&json!(model), &json!(37)));

    request["stream"] = json!(true);
    let (_, body) = server.post("/v1/chat/completions", &request);
    let events = events(&body);
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1].iter().map(|data| json_of(data)).collect();
    assert!(chunks.iter().all(|chunk| chunk["model"] == *model), "{body}");
    let text = |chunk: &Value| {
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(chunks.iter().map(text).collect::<String>(), ANSWER);
    assert!(!body.contains(path), "{body}");
}

/// Requests with these fields are errors whose messages have these words.
pub(crate) fn refuses(server: &Server, names: &Names<'_>, refusals: &[(Value, &str)]) {
    for (fields, word) in refusals {
        let mut request = json!({"messages": [{"role": "user", "content": "a"}]});
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (status, body) = server.post("/v1/chat/completions", &request);
        assert!(status.contains(" 40"), "{status} {body}");
        let message = json_of(&body)["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(word) && !message.contains(names.path), "{message}");
    }
}

/// Kills the program in the middle of an answer, and stops the server in the end.
#[cfg(target_os = "linux")]
pub(crate) fn is_started_again(mut server: Server) {
    use std::io::{BufRead, BufReader, Read};
    use std::time::{Duration, Instant};

    let messages = json!([{"role": "user", "content": "Count to one thousand."}]);
    let request = json!({"messages": messages, "stream": true, "max_tokens": 1000});
    let stream = server.request("POST", "/v1/chat/completions", &request.to_string());
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0);
    }
    let first = child_of(&server);
    run("kill", &["-KILL", &first]);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    let last = json_of(events(&rest).last().unwrap());
    let message = last["error"]["message"].as_str().unwrap();
    assert!(message.contains("broke off: ended (signal: 9"), "{last}");

    let small = json!({"prompt": "a", "max_tokens": 1});
    let (status, body) = server.post("/v1/completions", &small);
    assert!(status.contains("503") && body.contains("starts again"), "{status} {body}");
    let begin = Instant::now();
    while !server.get("/health").contains("\"ok\"") {
        assert!(begin.elapsed() < Duration::from_secs(120), "it does not come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (status, body) = server.post("/v1/completions", &small);
    assert!(status.contains("200"), "{status} {body}");

    let second = child_of(&server);
    assert_ne!(first, second);
    run("kill", &["-TERM", &server.child.id().to_string()]);
    assert!(server.child.wait().unwrap().success());
    let is_left = std::path::Path::new("/proc").join(&second).exists();
    assert!(!is_left, "{second} is left");
}

/// The program's process.
#[cfg(target_os = "linux")]
fn child_of(server: &Server) -> String {
    let parent = server.child.id().to_string();
    let output = Command::new("pgrep").args(["-P", &parent]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().next().unwrap().to_owned()
}
