//! The server with the native backend.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{ANSWER, COLOURS, COLOURS_GO_ON, QUESTION, Server, failure, starter, text};

#[test]
fn the_server_answers_streams_and_refuses() {
    let server = Server::start();
    let loaded: Value = serde_json::from_str(&server.get("/info")).unwrap();
    let info: Value = serde_json::from_str(&text(&["info", "--json"])).unwrap();
    assert_eq!(info["packed_bytes"], loaded["weights_bytes"]);
    let messages = json!([{"role": "user", "content": QUESTION}]);
    let (status, body) =
        server.post("/v1/chat/completions", &json!({"model": "starter", "messages": messages}));
    assert!(status.contains("200"), "{status} {body}");
    let reply: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(reply["choices"][0]["message"]["content"], ANSWER);
    assert_eq!(reply["usage"]["prompt_tokens"], 37);

    let request = json!({"messages": messages, "stream": true});
    let (_, body) = server.post("/v1/chat/completions", &request);
    let chunks = body.lines().filter_map(|line| line.strip_prefix("data: {"));
    let chunks: Vec<Value> =
        chunks.map(|rest| serde_json::from_str(&format!("{{{rest}")).unwrap()).collect();
    let delta = |chunk: &Value| {
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(chunks.iter().map(delta).collect::<String>(), ANSWER);
    assert!(body.trim_end().contains("data: [DONE]"));

    let request = json!({"prompt": COLOURS, "max_tokens": 5, "temperature": 0});
    let (_, body) = server.post("/v1/completions", &request);
    let reply: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(reply["choices"][0]["text"], COLOURS_GO_ON);

    let request = json!({"prompt": "word ".repeat(9000)});
    let (status, body) = server.post("/v1/completions", &request);
    assert!(status.contains("400") && body.contains("8192"), "{status} {body}");
}

/// The file's pages go as its weights are packed, so at no time are both in memory as a whole.
#[cfg(target_os = "linux")]
#[test]
fn weights_are_never_in_memory_twice() {
    let server = Server::start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let packed = kilobytes("RssAnon:") << 10;
    let (peak, shared) = (kilobytes("VmHWM:") << 10, kilobytes("RssFile:") << 10);
    let file = std::fs::metadata(format!("{}/model.safetensors", starter())).unwrap().len();
    assert!(packed > file, "{packed} bytes of memory cannot hold {file} of weights");
    assert!(peak < packed + shared + file / 3, "{peak} at most, {packed} and {shared} now");
}

#[cfg(unix)]
#[test]
fn sigterm_ends_the_server_in_good_order() {
    let mut server = Server::start();
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = failure(&["serve", "--port", &port]);
    assert!(message.contains(&port), "{message}");
}
