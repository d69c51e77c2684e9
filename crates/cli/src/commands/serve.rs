//! `serve`: the HTTP server.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use russet_hub::Hub;
use russet_server::{ServedModel, ServerSettings, ServerState};
use serde_json::json;
use tokio::net::TcpListener;

use crate::console;
use crate::loaded::{self, Loaded};
use crate::settings::{ListenSettings, ServeSettings};

/// OpenAI's default.
const DEFAULT_TEMPERATURE: f32 = 1.0;

/// Serves until SIGTERM or Ctrl-C, then lets running requests finish. A second signal ends at once.
pub(crate) fn serve(hub: &Hub, settings: &ServeSettings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // The engine computes on its own threads; these only move bytes.
        .worker_threads(2)
        .enable_all()
        .build()?;
    let listen = &settings.listen;
    // Before loading: a port in use should not cost the wait for a model.
    let listener = runtime.block_on(bind(listen))?;
    let loaded = loaded::load(hub, &settings.model, &settings.compute, listen.max_waiting)?;
    announce(&loaded, &listener)?;
    let state = state(&loaded, settings);
    runtime.block_on(russet_server::serve(state, listener, stop_signal()))?;
    loaded.engine.finish();
    Ok(())
}

async fn bind(listen: &ListenSettings) -> Result<TcpListener> {
    let address = (listen.host.as_str(), listen.port);
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {}:{}", listen.host, listen.port))
}

fn announce(loaded: &Loaded, listener: &TcpListener) -> Result<()> {
    let address = listener.local_addr()?;
    let fact = |name: &str| loaded.facts[name].to_string();
    console::note(format_args!(
        "{} ({}) with {} on {} threads, context {} tokens",
        loaded.name,
        fact("architecture").trim_matches('"'),
        fact("isa").trim_matches('"'),
        fact("threads"),
        fact("context_tokens"),
    ));
    console::note(format_args!("listening on http://{address} (API at http://{address}/v1)"));
    Ok(())
}

fn state(loaded: &Loaded, settings: &ServeSettings) -> ServerState {
    let listen = &settings.listen;
    let mut aliases = listen.alias.clone();
    // What the operator typed names the model too, unless it is a place on this machine.
    if !Path::new(&settings.model).exists() {
        aliases.push(settings.model.clone());
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let model = ServedModel {
        id: loaded.name.clone(),
        aliases,
        created: now.map_or(0, |d| d.as_secs()),
        tokenizer: loaded.tokenizer.clone(),
        template: loaded.template.clone(),
        defaults: loaded.sampling(DEFAULT_TEMPERATURE),
        stop_tokens: loaded.stop_tokens.clone(),
    };
    let mut info = loaded.facts.clone();
    info["server"] = json!(listen);
    let settings = ServerSettings {
        drain_timeout: Duration::from_secs(listen.drain_s),
        allowed_hosts: listen.allow_host.clone(),
        info: Some(info),
        ..ServerSettings::default()
    };
    ServerState::new(model, loaded.engine.handle(), settings)
}

/// Completes at the first signal; the second ends the process.
async fn stop_signal() {
    one_signal().await;
    console::note(format_args!("stopping: running requests may finish (signal again to end now)"));
    tokio::spawn(async {
        one_signal().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn one_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return wait_for_interrupt().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        () = wait_for_interrupt() => {}
    }
}

#[cfg(not(unix))]
async fn one_signal() {
    wait_for_interrupt().await;
}

async fn wait_for_interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the system's own action ends the process.
        std::future::pending::<()>().await;
    }
}
