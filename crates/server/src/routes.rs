//! Which path and method is answered by what.

mod chat;
mod completions;
mod health;
mod models;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::ServerState;
use crate::error::ApiError;
use crate::host::{Hosts, check_host};

/// All routes, for a server that is bound to `bound`.
pub fn router(state: ServerState, bound: SocketAddr) -> Router {
    let hosts = Hosts::of(bound, &state.settings().allowed_hosts);
    Router::new()
        .route("/", get(health::about))
        .route("/health", get(health::health))
        .route("/info", get(health::info))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/chat/completions", post(chat::chat_completions))
        .route("/v1/completions", post(completions::completions))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(hosts, check_host))
        .with_state(state)
}

async fn unknown_route(request: Request) -> ApiError {
    ApiError::UnknownRoute { path: request.uri().path().to_owned() }
}

async fn wrong_method(request: Request) -> ApiError {
    let path = request.uri().path().to_owned();
    ApiError::WrongMethod { method: request.method().clone(), path }
}
