//! `run`: one answer, or a conversation.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use russet_engine::SamplingParams;
use russet_hub::Hub;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::chat::{Answer, Conversation};
use crate::console;
use crate::loaded::{self, Loaded};
use crate::settings::{RunSettings, SamplingSettings};

/// As `mlx_lm.generate`: the likeliest token.
const DEFAULT_TEMPERATURE: f32 = 0.0;

const HELP: &str = "\
/reset          forget the conversation, but not the system message
/system TEXT    start over with this system message
/help           this text
/quit           leave (also Ctrl-D)
Ctrl-C stops an answer. End a line with \\ to go on in the next.";

/// Answers the prompt, what is piped in, or a conversation.
pub(crate) fn run(hub: &Hub, settings: &RunSettings) -> Result<()> {
    let prompt = match &settings.prompt {
        Some(prompt) if prompt != "-" => Some(prompt.clone()),
        None if std::io::stdin().is_terminal() => None,
        _ => Some(piped()?),
    };
    if prompt.as_ref().is_some_and(|prompt| prompt.trim().is_empty()) {
        bail!("the prompt is empty");
    }
    let loaded = loaded::load(hub, &settings.model, &settings.compute, 1)?;
    let sampling = sampling(&loaded, &settings.sampling)?;
    let max_tokens = settings.sampling.max_tokens.map(|n| n as usize);
    let mut conversation = Conversation::new(&loaded, sampling, max_tokens);
    conversation.reset(settings.system.as_deref());
    match prompt {
        Some(prompt) => answer(&mut conversation, &prompt, &AtomicBool::new(false)),
        None => converse(&loaded, &mut conversation, &hub.config().russet_home.join("history")),
    }
}

fn piped() -> Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!("standard input is not UTF-8: byte {at} is invalid")
    })
}

fn sampling(loaded: &Loaded, asked: &SamplingSettings) -> Result<SamplingParams> {
    let defaults = loaded.sampling(DEFAULT_TEMPERATURE);
    let params = SamplingParams {
        temperature: asked.temperature.unwrap_or(defaults.temperature),
        top_p: asked.top_p.unwrap_or(defaults.top_p),
        top_k: asked.top_k.map_or(defaults.top_k, |k| k as usize),
        min_p: asked.min_p.unwrap_or(defaults.min_p),
        repetition_penalty: asked.repetition_penalty.unwrap_or(defaults.repetition_penalty),
        seed: asked.seed.map(|seed| seed as u64),
        ..defaults
    };
    check("--temperature", params.temperature, 0.0..=2.0)?;
    check("--top-p", params.top_p, 0.0..=1.0)?;
    check("--min-p", params.min_p, 0.0..=1.0)?;
    check("--repetition-penalty", params.repetition_penalty, 0.01..=100.0)?;
    Ok(params)
}

fn check(name: &str, value: f32, accepted: std::ops::RangeInclusive<f32>) -> Result<()> {
    match accepted.contains(&value) {
        true => Ok(()),
        false => bail!("{name} is {value}; accepted: {} to {}", accepted.start(), accepted.end()),
    }
}

fn answer(conversation: &mut Conversation<'_>, prompt: &str, stop: &AtomicBool) -> Result<()> {
    let mut out = std::io::stdout();
    let mut ends_line = true;
    let answer = conversation.ask(prompt, stop, &mut |piece| {
        ends_line = piece.ends_with('\n');
        out.write_all(piece.as_bytes())?;
        out.flush()
    })?;
    if !ends_line {
        writeln!(out)?;
    }
    if let Some(why) = answer.cut_short {
        console::note(format_args!("({why})"));
    }
    report(&answer);
    Ok(())
}

fn report(answer: &Answer) {
    let decode = answer.total.saturating_sub(answer.to_first_token).as_secs_f64();
    let after_first = answer.num_tokens.saturating_sub(1) as f64;
    tracing::info!(
        prompt_tokens = answer.num_prompt_tokens,
        tokens = answer.num_tokens,
        to_first_token_ms = answer.to_first_token.as_millis() as u64,
        tokens_per_s = format!("{:.1}", if decode > 0.0 { after_first / decode } else { 0.0 }),
        "answered"
    );
}

fn converse(loaded: &Loaded, conversation: &mut Conversation<'_>, history: &Path) -> Result<()> {
    let stop = stop_on_interrupt()?;
    let mut editor = DefaultEditor::new()?;
    // A missing or unreadable history only means an empty one.
    let _ = editor.load_history(history);
    console::line(format_args!("{}. /help for help.", loaded.name))?;
    while let Some(line) = read(&mut editor)? {
        let _ = editor.add_history_entry(&line);
        let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match command {
            "" => {}
            "/help" | "/?" => console::line(format_args!("{HELP}"))?,
            "/quit" | "/exit" | "/bye" => break,
            "/reset" => conversation.forget(),
            "/system" => conversation.reset(Some(rest.trim()).filter(|text| !text.is_empty())),
            _ if command.starts_with('/') => {
                console::line(format_args!("{command} is not a command. /help lists them."))?
            }
            _ => {
                stop.store(false, Ordering::Relaxed);
                // One bad answer must not end the conversation.
                if let Err(error) = answer(conversation, &line, &stop) {
                    console::note(format_args!("error: {error:#}"));
                }
            }
        }
    }
    // The folder is missing where no model was ever fetched into it.
    let folder = history.parent().map_or(Ok(()), std::fs::create_dir_all);
    if let Err(error) = folder.map_err(Into::into).and_then(|()| editor.save_history(history)) {
        tracing::info!(%error, "the history was not saved");
    }
    Ok(())
}

/// The next line, lines that end in a backslash joined; `None` at the end of input.
fn read(editor: &mut DefaultEditor) -> Result<Option<String>> {
    let mut text = String::new();
    loop {
        match editor.readline(if text.is_empty() { "> " } else { ". " }) {
            Ok(line) => match line.strip_suffix('\\') {
                Some(start) => {
                    text.push_str(start);
                    text.push('\n');
                }
                None => return Ok(Some(text + &line)),
            },
            Err(ReadlineError::Interrupted) => {
                text.clear();
                console::line(format_args!("(Ctrl-D or /quit to leave)"))?;
            }
            Err(ReadlineError::Eof) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A flag that Ctrl-C sets. At the prompt the editor takes Ctrl-C itself.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let flag = Arc::clone(&stop);
    std::thread::spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(stop)
}
