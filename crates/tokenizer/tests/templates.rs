//! Chat templates against what Python's Jinja2 makes of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod data;

use russet_tokenizer::{ChatTemplate, Clock, RenderOptions, TemplateError};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Renders one of the conversations of the fixture.
fn render(source: &str, fixture: &Value, case: &Value) -> Result<String, TemplateError> {
    let mut extra: Map<String, Value> = fixture["special"].as_object().unwrap().clone();
    extra.extend(case["extra"].as_object().cloned().unwrap_or_default());
    let options = RenderOptions {
        tools: case.get("tools"),
        documents: case.get("documents"),
        add_generation_prompt: case["add_generation_prompt"] == true,
        extra: Some(&extra),
        clock: Clock::Fixed(fixture["now"].as_i64().unwrap()),
        ..RenderOptions::default()
    };
    ChatTemplate::new(source)?.render(&case["messages"], &options)
}

/// Length in characters and SHA-256, as in the fixture; null for an error.
fn digest(rendered: &Result<String, TemplateError>) -> Value {
    let Ok(text) = rendered else { return Value::Null };
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    json!([text.chars().count(), hex])
}

#[test]
fn real_templates_render_as_in_python() {
    let Some(data) = data::dir() else { return };
    let (conversations, expected) = (fixture("conversations.json"), fixture("templates.json"));
    let dump = std::env::var_os("RUSSET_TEST_DUMP").map(std::path::PathBuf::from);
    let (mut checked, mut wrong) = (0, Vec::new());
    for (file, row) in expected.as_object().unwrap() {
        let source = std::fs::read_to_string(data.join("templates").join(file)).unwrap();
        for (name, expected) in row.as_object().unwrap() {
            let rendered = render(&source, &conversations, &conversations["cases"][name]);
            checked += 1;
            if digest(&rendered) == *expected {
                continue;
            }
            let outcome = rendered
                .as_ref()
                .map_or_else(ToString::to_string, |t| format!("{} bytes", t.len()));
            wrong.push(format!("{file} {name}: {outcome}; expected {expected}"));
            if let (Some(dump), Ok(text)) = (&dump, &rendered) {
                let stem = file.trim_end_matches(".jinja");
                std::fs::write(dump.join(format!("{stem}.{name}.txt")), text).unwrap();
            }
        }
    }
    println!("{checked} renderings of {} templates", expected.as_object().unwrap().len());
    assert!(checked > 500, "only {checked} renderings");
    assert!(wrong.is_empty(), "{} of {checked} differ\n{}", wrong.len(), wrong.join("\n"));
}

/// Small templates, so that a clone without test data checks something real.
#[test]
fn snippets_render_as_in_python() {
    let (conversations, snippets) = (fixture("conversations.json"), fixture("snippets.json"));
    let mut wrong = Vec::new();
    let snippets = snippets.as_array().unwrap();
    for snippet in snippets {
        let source = snippet[0].as_str().unwrap();
        let rendered = render(source, &conversations, &conversations["cases"]["system"]);
        if rendered.as_deref().ok() != snippet[1].as_str() {
            let expected = &snippet[1];
            wrong.push(format!("{source}\n  found    {rendered:?}\n  expected {expected}"));
        }
    }
    assert!(snippets.len() > 80, "only {} snippets", snippets.len());
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), snippets.len(), wrong.join("\n"));
}

fn run(source: &str) -> Result<String, TemplateError> {
    let messages = json!([{"role": "user", "content": "0123456789".repeat(100)}]);
    ChatTemplate::new(source)?.render(&messages, &RenderOptions::default())
}

/// Templates whose texts would take all memory.
#[test]
fn growing_texts_stay_in_bounds() {
    let loop_of = |body: &str| {
        format!(
            "{{% set ns = namespace(s=messages[0].content, l=[1]) %}}\
             {{% for i in range(60) %}}{body}{{% endfor %}}{{{{ ns.s }}}}"
        )
    };
    let growing = [
        "{% set ns.s = ns.s ~ ns.s %}",
        "{% set ns.s = ns.s + ns.s %}",
        "{% set ns.s = ns.s * 9 %}",
        "{% set ns.s = ns.s | replace('', ns.s) %}",
        "{% set ns.s = ns.s.replace('0', ns.s) %}",
        "{% set ns.s = [ns.s, ns.s] | join(ns.s) %}",
        "{% set ns.s = ns.s.join([ns.s, ns.s]) %}",
        "{% set ns.s = '%s%s' % (ns.s, ns.s) %}",
        "{% set ns.s = '%s%s' | format(ns.s, ns.s) %}",
        "{% set ns.s = '{}{}'.format(ns.s, ns.s) %}",
        "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}",
        "{% set ns.s = (ns.s ~ '\n') | indent(ns.s) ~ ns.s %}",
        "{% set ns.s = [ns.s, ns.s] | string %}",
        "{% set ns.s = [ns.s, ns.s] | tojson %}",
        "{% set ns.l = ns.l + ns.l %}",
        "{% set ns.l = ns.l * 9 %}",
        "{% set ns.s = ns.s | urlize if false else ns.s ~ (ns.s | upper) %}",
        "{% set ns.s = ns.s[:] ~ ns.s[1:] %}",
    ];
    let growing = growing.iter().map(|body| loop_of(body)).chain([
        "{% macro f(s) %}{{ f(s ~ s) }}{% endmacro %}{{ f('x' * 1000) }}".to_owned(),
        "{{ 'x' * 2000000000 }}".to_owned(),
        "{{ ('x' * 60000000) ~ ('x' * 60000000) }}".to_owned(),
        "{{ 'x'.center(2000000000) }}".to_owned(),
        "{% set ns = namespace(l=[]) %}{% for i in range(90000) %}\
         {% set ns.l = [ns.l, messages[0].content[i % 7:]] %}{% endfor %}{{ ns.l }}"
            .to_owned(),
        format!(
            "{{% set x %}}{{% for i in range(99999) %}}{{% for i in range(99999) %}}{}\
             {{% endfor %}}{{% endfor %}}{{% endset %}}",
            "word ".repeat(2000)
        ),
        format!(
            "{{% set x %}}{{% for i in range(99999) %}}{{% for i in range(99999) %}}a{}\
             {{% endfor %}}{{% endfor %}}{{% endset %}}",
            " ".repeat(9000) + "\n"
        ),
    ]);
    for source in growing {
        let outcome = run(&source);
        let bounded = matches!(
            outcome,
            Err(TemplateError::TooLarge { .. }
                | TemplateError::TooSlow { .. }
                | TemplateError::TooManyObjects { .. }
                | TemplateError::Render { .. }
                | TemplateError::Syntax { .. })
        );
        let shown: String = source.chars().take(120).collect();
        assert!(bounded, "{shown}: {} bytes", outcome.map_or(0, |text| text.len()));
    }
}

/// Templates that never end, or are too large or too deep.
#[test]
fn endless_templates_stay_in_bounds() {
    let endless = "{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}";
    assert!(matches!(run(endless), Err(TemplateError::TooSlow { .. })));
    for wide in
        ["{{ '%99999999d' % 1 }}", "{{ '{:>99999999}'.format(1) }}", "{{ 'x' | indent(99999999) }}"]
    {
        assert!(matches!(run(wide), Err(TemplateError::Render { .. })), "{wide}");
    }
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(matches!(run(&deep), Err(TemplateError::Syntax { .. })));
    let nested = "{% if true %}".repeat(20_000) + &"{% endif %}".repeat(20_000);
    assert!(matches!(run(&nested), Err(TemplateError::Syntax { .. })));
    let large = " ".repeat(2 << 20);
    assert!(matches!(run(&large), Err(TemplateError::SourceTooLarge { .. })));
    let recursive = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    assert!(matches!(run(recursive), Err(TemplateError::Render { .. })));
}

/// Templates that build chains of objects.
#[test]
fn chains_of_objects_stay_in_bounds() {
    for chain in [
        "[ns.l]",
        "ns.l, 1",
        "(ns.l, 1)",
        "{'a': ns.l}",
        "dict(a=ns.l)",
        "namespace(p=ns.l)",
        "ns.l[:]",
        "ns.l | batch(1) | list",
        "ns.l | map('string') | list + [ns.l]",
        "[[[[[[[[[[ns.l]]]]]]]]]]",
    ] {
        let body = format!(
            "{{% set ns = namespace(l=[1]) %}}{{% for i in range(900) %}}\
             {{% for j in range(900) %}}{{% set ns.l = {chain} %}}{{% endfor %}}{{% endfor %}}"
        );
        let outcome = run(&body);
        let bounded = matches!(
            outcome,
            Err(TemplateError::TooManyObjects { .. }
                | TemplateError::TooSlow { .. }
                | TemplateError::TooLarge { .. })
        );
        assert!(bounded, "{chain}: {outcome:?}");
    }
    let macros = "{% set ns = namespace(p=none) %}\
                  {% for i in range(900) %}{% for j in range(900) %}{% set prev = ns.p %}\
                  {% macro f() %}{{ prev }}{% endmacro %}{% set ns.p = f %}\
                  {% endfor %}{% endfor %}";
    assert!(matches!(run(macros), Err(TemplateError::TooManyObjects { .. })));
}

#[test]
fn errors_say_where_and_why() {
    let raised = run("one\ntwo {{ raise_exception('No ' ~ 1) }}").unwrap_err();
    assert_eq!(raised, TemplateError::Raised { message: "No 1".to_owned(), line: 2 });
    let inside = run("{% macro f() %}\n\n{{ raise_exception('x') }}{% endmacro %}\n{{ f() }}");
    assert_eq!(inside, Err(TemplateError::Raised { message: "x".to_owned(), line: 3 }));
    let TemplateError::Render { line, .. } = run("{% set x = 1 %}\n\n{{ x.y.z }}").unwrap_err()
    else {
        panic!("attribute of undefined must fail");
    };
    assert_eq!(line, 3);
    for (source, expected) in
        [("\n{% if %}", 2), ("a\n\n{{ x | nosuch }}", 3), ("{% for x in y %}", 1)]
    {
        match run(source).unwrap_err() {
            TemplateError::Syntax { line, .. } => assert_eq!(line, expected, "{source}"),
            other => panic!("{source}: {other}"),
        }
    }
}
