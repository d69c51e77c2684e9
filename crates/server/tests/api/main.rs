//! The HTTP API from outside, over a fake model.
#![cfg(test)]

mod chat;
mod completions;
mod connections;
mod refusals;
mod support;
