//! Requests that another server answers.
#![cfg(test)]

mod answers;
mod faults;
mod names;
mod support;
