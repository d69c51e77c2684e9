//! Sending an answer: piece by piece as server-sent events, or as a whole. Both read the same
//! [`Generation`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use russet_protocol::FinishReason;

use crate::admit::{Admitted, Delivery, StreamUsage};
use crate::error::ApiError;
use crate::generation::{Generation, Progressed};
use crate::shape::{Shape, WholeChoice};
use crate::text::Piece;
use crate::{EngineModel, ServerState};

/// Starts the generation and answers as the request asked for.
pub(crate) async fn respond(
    state: &ServerState,
    model: &EngineModel,
    admitted: Admitted,
    shape: impl Shape,
) -> Result<Response, ApiError> {
    let delivery = admitted.delivery;
    let num_choices = admitted.choices.len();
    let generation = Generation::start(model, admitted)?;
    match delivery {
        Delivery::Stream { usage } => {
            Ok(to_sse(generation, shape, usage, state.settings().keep_alive))
        }
        Delivery::Whole => collect(generation, shape, num_choices).await,
    }
}

/// The answer as it comes. A failure is an `error` event, after which nothing follows.
fn to_sse(
    generation: Generation,
    shape: impl Shape,
    usage: StreamUsage,
    keep_alive: Duration,
) -> Response {
    let chunks = Chunks { generation, shape, usage, ready: VecDeque::new(), ended: false };
    let events = chunks.map(|data| Ok::<_, Infallible>(Event::default().data(data)));
    let keep_alive = KeepAlive::new().interval(keep_alive);
    unbuffered(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// Proxies that buffer would hold the tokens back.
pub(crate) fn unbuffered(mut response: Response) -> Response {
    let name = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(name, HeaderValue::from_static("no"));
    response
}

/// The data of each event of an answer.
struct Chunks<S> {
    generation: Generation,
    shape: S,
    usage: StreamUsage,
    ready: VecDeque<String>,
    ended: bool,
}

impl<S: Shape> Chunks<S> {
    fn advance(&mut self, progressed: Option<Progressed>) {
        match progressed {
            Some(Progressed::Failed(error)) => {
                self.ended = true;
                let error = ApiError::from(error);
                tracing::error!(%error, "a stream broke off");
                self.ready.push_back(error.event_data());
            }
            Some(progressed) => self.ready.extend(self.shape.chunk(progressed)),
            None => {
                self.ended = true;
                if self.usage == StreamUsage::LastChunk {
                    self.ready.push_back(self.shape.usage_chunk(self.generation.usage()));
                }
                self.ready.push_back("[DONE]".to_owned());
            }
        }
    }
}

impl<S: Shape> Stream for Chunks<S> {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return Poll::Ready(Some(data));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.generation.poll_next_unpin(context) {
                Poll::Ready(progressed) => self.advance(progressed),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The whole answer, once it is complete.
async fn collect(
    mut generation: Generation,
    shape: impl Shape,
    num_choices: usize,
) -> Result<Response, ApiError> {
    let empty = || WholeChoice { piece: Piece::default(), reason: FinishReason::Length };
    let mut choices: Vec<WholeChoice> = (0..num_choices).map(|_| empty()).collect();
    while let Some(progressed) = generation.next().await {
        match progressed {
            Progressed::Started { .. } => {}
            Progressed::Text { index, piece } => {
                let whole = &mut choices[index].piece;
                whole.text.push_str(&piece.text);
                whole.logprobs.extend(piece.logprobs);
            }
            Progressed::Ended { index, reason } => choices[index].reason = reason,
            Progressed::Failed(error) => return Err(error.into()),
        }
    }
    Ok(Json(shape.whole(choices, generation.usage())).into_response())
}
