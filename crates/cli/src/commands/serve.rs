//! `serve`: the HTTP server.

#[cfg(unix)]
mod external;
mod native;
mod remote;

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use russet_backends::{Backend, Candidate, elect};
use russet_engine::Engine;
use russet_hub::Hub;
use russet_server::{Catalog, ServedBy, ServedModel, ServerSettings, ServerState};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::settings::{ListenSettings, ServeSettings};
use crate::{console, described};

/// The model where none is named.
const DEFAULT_MODEL: &str = "starter";

/// What answers requests.
struct Served {
    catalog: Catalog,
    /// The engine, if it is in this process.
    engine: Option<Engine>,
    /// In a few words.
    summary: String,
    /// For `GET /info`.
    info: Value,
}

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
    let Served { catalog, engine, summary, info } = choose(hub, settings)?;
    console::note(format_args!("{summary}"));
    let address = listener.local_addr()?;
    console::note(format_args!("listening on http://{address} (API at http://{address}/v1)"));
    let state = ServerState::new(catalog.clone(), server_settings(listen, info));
    runtime.block_on(russet_server::serve(state, listener, stop_signal()))?;
    if let Some(engine) = engine {
        engine.finish();
    }
    stop_programs(&runtime, &catalog);
    Ok(())
}

async fn bind(listen: &ListenSettings) -> Result<TcpListener> {
    let address = (listen.host.as_str(), listen.port);
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {}:{}", listen.host, listen.port))
}

/// Elects the backend and has it ready.
///
/// The native backend comes first and is simply tried: what it says against a model counts in the
/// election.
fn choose(hub: &Hub, settings: &ServeSettings) -> Result<Served> {
    let forced = settings.backend.backend;
    let is_remote = match forced {
        Some(backend) => backend == Backend::Remote,
        None => settings.model.is_none() && settings.remote.url().is_some(),
    };
    let demands = settings.demands();
    let honours = |backend| {
        let candidate = Candidate::for_demands(backend, &demands);
        if candidate.refusals.is_empty() { Ok(()) } else { Err(anyhow!("{candidate}")) }
    };
    if is_remote {
        honours(Backend::Remote)?;
        return remote::serve(settings);
    }
    let model = settings.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let is_native =
        forced.is_none_or(|backend| backend == Backend::Native) && honours(Backend::Native).is_ok();
    let failure = match is_native.then(|| native::serve(hub, model, settings)) {
        Some(Ok(served)) => return Ok(served),
        Some(Err(error)) => Some(error),
        None => None,
    };
    let described = match described::describe(hub, model, settings.compute.kernels.context) {
        Ok(described) => described,
        Err(error) => return Err(failure.unwrap_or(error)),
    };
    let mut programs = settings.backend.programs();
    programs.remote_url = settings.remote.url().map(str::to_owned);
    let installed = programs.find();
    let election = elect(&described.model, &demands, &installed, forced);
    match (election.elected(), failure) {
        (Some(Backend::Native) | None, Some(failure)) if forced.is_some() => Err(failure),
        // It reads such models, and something else is the matter.
        (Some(Backend::Native), Some(failure)) => Err(failure),
        (Some(Backend::Native), None) => native::serve(hub, model, settings),
        (Some(Backend::Remote), _) => remote::serve(settings),
        #[cfg(not(unix))]
        (Some(backend), _) => bail!("{backend} needs Linux or macOS"),
        #[cfg(unix)]
        (Some(backend), failure) => {
            let Some(Ok(program)) = installed.program(backend) else {
                bail!("{backend} was elected without a program");
            };
            if let Some(failure) = failure {
                let why = crate::message(&failure);
                console::note(format_args!("the native backend cannot serve {model}: {why}"));
            }
            let chosen = external::Chosen { backend, program, model, described: &described };
            external::serve(chosen, settings)
        }
        (None, _) => bail!("{model} cannot be served: {election}"),
    }
}

/// The names of the model that the operator typed as `typed`, besides its own.
fn aliases(typed: &str, listen: &ListenSettings) -> Vec<String> {
    let mut aliases = listen.alias.clone();
    // Places on this machine are no names.
    if !Path::new(typed).exists() {
        aliases.push(typed.to_owned());
    }
    aliases
}

/// A model as clients see it.
fn served_model(id: &str, aliases: Vec<String>, by: ServedBy) -> ServedModel {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    ServedModel { id: id.to_owned(), aliases, created: now.map_or(0, |d| d.as_secs()), by }
}

fn server_settings(listen: &ListenSettings, mut info: Value) -> ServerSettings {
    info["server"] = json!(listen);
    ServerSettings {
        drain_timeout: Duration::from_secs(listen.drain_s),
        allowed_hosts: listen.allow_host.clone(),
        info: Some(info),
        ..ServerSettings::default()
    }
}

/// Waits until the programs of external backends are gone.
fn stop_programs(runtime: &Runtime, catalog: &Catalog) {
    for model in &catalog.models {
        if let ServedBy::Upstream { upstream, .. } = &model.by {
            runtime.block_on(upstream.stop());
        }
    }
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

/// Completes when the user asks this process to stop.
#[cfg(unix)]
pub(crate) async fn one_signal() {
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
