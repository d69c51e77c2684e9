//! Closed loop: some clients, each of which waits for its answer before it asks again.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::Due;
use super::phase::{Measured, Phase, Sender};

/// Sends a phase from so many clients at once.
pub(super) async fn run<S: Sender>(phase: Arc<Phase<S>>, clients: NonZeroUsize) -> Vec<Measured> {
    let next = Arc::new(AtomicUsize::new(0));
    let num_conversations = phase.num_conversations();
    let mut running = JoinSet::new();
    for _ in 0..clients.get().min(num_conversations) {
        let (phase, next) = (phase.clone(), next.clone());
        running.spawn(async move {
            let mut measured = Vec::new();
            while !phase.cancel.is_cancelled() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= num_conversations {
                    break;
                }
                measured.extend(phase.converse(index, Due::Now).await);
            }
            measured
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}
