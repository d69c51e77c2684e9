//! Accepting connections and ending them.
//!
//! Built on `hyper-util` because `axum::serve` sets no timer, without which the time limit for
//! request heads does nothing.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::{ServerState, router};

/// Pause after a failed accept, which mostly means that no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long aborted requests may take to tell their clients.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers requests until `shutdown` is ready.
///
/// Then it accepts no more connections or requests, lets running ones go on for
/// [`drain_timeout`](crate::ServerSettings::drain_timeout), aborts the rest with an error event
/// and returns.
///
/// # Errors
/// If the listener has no local address.
pub async fn serve(
    state: ServerState,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let app = router(state.clone(), listener.local_addr()?);
    let graceful = GracefulShutdown::new();
    let builder = builder(&state);
    let places = Arc::new(Semaphore::new(state.settings().max_connections));
    let mut shutdown = pin!(shutdown);
    loop {
        let connection = tokio::select! {
            () = &mut shutdown => break,
            connection = accept(&listener, &places) => connection,
        };
        let (stream, place) = connection;
        let service = TowerToHyperService::new(app.clone());
        let served = builder.serve_connection(TokioIo::new(stream), service);
        let served = graceful.watch(served);
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    drain(&state, graceful).await;
    Ok(())
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Place) {
    let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Tokens are small and must not wait for more of them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return (stream, place);
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder(state: &ServerState) -> Builder {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(state.settings().header_timeout);
    builder
}

async fn drain(state: &ServerState, graceful: GracefulShutdown) {
    state.drain();
    let mut ended = pin!(graceful.shutdown());
    if tokio::time::timeout(state.settings().drain_timeout, &mut ended).await.is_ok() {
        return;
    }
    tracing::warn!("requests still run after the time for draining; aborting them");
    state.abort_all();
    if tokio::time::timeout(ABORT_TIMEOUT, ended).await.is_err() {
        tracing::warn!("some connections did not end; leaving them");
    }
}
