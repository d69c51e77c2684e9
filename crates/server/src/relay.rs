//! Passing a request on to another server, and its answer back, without waiting for the end of it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use russet_backends::Upstream;
use russet_backends::upstream::{Events, Fault, Reply, answer_with_model};
use russet_engine::{SequenceError, SubmitError};
use tokio::sync::watch;

use crate::error::{ApiError, Refusal};
use crate::state::{Found, Phase, Relayed};
use crate::stream::unbuffered;
use crate::{ServedBy, ServerState};

/// Has the model's server answer the request `json`, under the name that the client used.
///
/// Dropping the future or the body of the response ends the answer there as well.
pub(crate) async fn relay(
    state: &ServerState,
    found: &Found,
    path: &str,
    json: &str,
) -> Result<Response, ApiError> {
    let ServedBy::Upstream { upstream, name } = &found.by else { return Err(ApiError::Internal) };
    let mut phase = state.phase();
    if *phase.borrow() != Phase::Accepting {
        return Err(SubmitError::Draining.into());
    }
    let relayed = state.count_relayed();
    let body = upstream.request(json, name)?;
    let reply = unless_aborted(&mut phase, upstream.ask(path, body.into())).await??;
    if !(200..300).contains(&reply.status()) {
        return Err(unless_aborted(&mut phase, refusal(reply)).await?);
    }
    let headers = reply.headers();
    let mut response = if reply.is_event_stream() {
        let events = reply.events(&found.name);
        let upstream = upstream.clone();
        stream(Passing { reply, events, upstream, phase, relayed, ended: false })
    } else {
        unless_aborted(&mut phase, whole(reply, upstream, &found.name)).await??
    };
    response.headers_mut().extend(headers);
    Ok(response)
}

/// The output of `future`, or an error if the server ends first.
async fn unless_aborted<T>(
    phase: &mut watch::Receiver<Phase>,
    future: impl Future<Output = T>,
) -> Result<T, ApiError> {
    tokio::select! {
        output = future => Ok(output),
        () = aborted(phase) => Err(SequenceError::Aborted.into()),
    }
}

async fn aborted(phase: &mut watch::Receiver<Phase>) {
    if phase.wait_for(|phase| *phase == Phase::Aborting).await.is_err() {
        // The server is gone, and this with it.
        std::future::pending::<()>().await;
    }
}

/// An answer in one piece.
async fn whole(mut reply: Reply, upstream: &Upstream, model: &str) -> Result<Response, ApiError> {
    let bytes = match reply.whole().await {
        Ok(bytes) => bytes,
        Err(fault) => return Err(upstream.explained(fault).await.into()),
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| Fault::Malformed { why: "it is not UTF-8".to_owned() })?;
    if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() {
        return Err(Fault::Malformed { why: "it is not JSON".to_owned() }.into());
    }
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], answer_with_model(&text, model)).into_response())
}

/// The error that another server answered with.
async fn refusal(mut reply: Reply) -> ApiError {
    let status = StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    match reply.whole().await {
        Ok(body) => {
            let text = reply.without_path(&String::from_utf8_lossy(&body));
            ApiError::Refused(Box::new(Refusal::new(status, &text, reply.headers())))
        }
        Err(fault) => fault.into(),
    }
}

/// The answer as it comes.
fn stream(passing: Passing) -> Response {
    let pieces = futures_util::stream::unfold(passing, |mut passing| async move {
        let piece = passing.next().await?;
        Some((Ok::<_, Infallible>(piece), passing))
    });
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    unbuffered((HeaderMap::from_iter(kind), Body::from_stream(pieces)).into_response())
}

/// A stream on its way through.
struct Passing {
    reply: Reply,
    events: Events,
    upstream: Arc<Upstream>,
    phase: watch::Receiver<Phase>,
    relayed: Relayed,
    ended: bool,
}

impl Passing {
    /// Complete events, or a comment after a while without any; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let keep_alive = self.relayed.state.settings().keep_alive;
        while !self.ended {
            let chunk = tokio::select! {
                chunk = self.reply.chunk() => chunk,
                () = tokio::time::sleep(keep_alive) => return Some(Bytes::from(":\n\n")),
                () = aborted(&mut self.phase) => {
                    return Some(self.fail(&SequenceError::Aborted.into()));
                }
            };
            let pushed = match chunk {
                Ok(Some(bytes)) => self.events.push(&bytes),
                _ if self.events.is_complete() => return None,
                Ok(None) => return Some(self.break_off(None).await),
                Err(fault) => return Some(self.break_off(Some(fault)).await),
            };
            match pushed {
                Ok(events) if events.is_empty() => {}
                Ok(events) => return Some(events.into()),
                Err(error) => {
                    let fault = Fault::Malformed { why: error.to_string() };
                    return Some(self.fail(&fault.into()));
                }
            }
        }
        None
    }

    async fn break_off(&mut self, fault: Option<Fault>) -> Bytes {
        let early = || Fault::Broken { why: "it has no end".to_owned() };
        let fault = self.upstream.explained(fault.unwrap_or_else(early)).await;
        self.fail(&fault.into())
    }

    /// The event that says why nothing follows.
    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.ended = true;
        tracing::error!(%error, "a stream broke off");
        format!("data: {}\n\n", error.event_data()).into()
    }
}
