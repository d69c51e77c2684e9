//! The remote backend, with another Russet as the server somewhere else.

use serde_json::{Value, json};

use crate::support::{ANSWER, QUESTION, Server, failure};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn it_serves_the_models_of_another_server_under_their_names_here() {
    let there = Server::start();
    let url = format!("http://{}/v1", there.address);
    let messages = json!([{"role": "user", "content": QUESTION}]);
    let answer_of = |here: &Server, model: &str| {
        let request = json!({"model": model, "messages": messages});
        let (status, body) = here.post("/v1/chat/completions", &request);
        let reply = json_of(&body);
        assert_eq!((&*status, &reply["model"]), ("HTTP/1.1 200 OK", &json!(model)));
        reply["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    let here = Server::with(&["--remote-url", &url, "--remote-model", "small=starter"]);
    assert_eq!(answer_of(&here, "small"), ANSWER);
    let info = json_of(&here.get("/info"));
    assert_eq!((&info["backend"], &info["models"]), (&json!("remote"), &json!(["small"])));
    let (status, body) = here.post("/v1/chat/completions", &json!({"model": "starter"}));
    assert!(status.contains("404") && body.contains("`small`"), "{status} {body}");

    let here = Server::with(&["--remote-url", &url]);
    assert_eq!(answer_of(&here, "SmolLM2-135M-Instruct"), ANSWER);
    let models = json_of(&here.get("/v1/models"));
    assert_eq!(models["data"], json_of(&there.get("/v1/models"))["data"]);
    // What the other server refuses is refused as it does.
    let request = json!({"messages": messages, "model": "starter", "temperature": -1});
    let (refused, refused_there) =
        (here.post("/v1/chat/completions", &request), there.post("/v1/chat/completions", &request));
    assert!(refused.0.contains("400"), "{refused:?}");
    assert_eq!(json_of(&refused.1), json_of(&refused_there.1));
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let error = failure(&["serve", "--backend", "remote"]);
    assert!(error.contains("the remote backend needs --remote-url"), "{error}");
    let error = failure(&["serve", "--remote-url", "localhost:80"]);
    assert!(error.contains("`localhost:80` is no base URL"), "{error}");
    let error = failure(&["serve", "--remote-model", "a=b"]);
    assert!(error.contains("--remote-url"), "{error}");
    let error = failure(&["serve", "--remote-url", "http://h/v1", "--threads", "2"]);
    assert!(error.contains("remote cannot: --threads 2 asks for what it lacks"), "{error}");
}
