//! Open loop: requests that come when they come, whatever became of those before.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::Due;
use super::arrivals::Arrivals;
use super::phase::{Measured, Phase, Sender};

/// Sends a phase's requests as they arrive.
pub(super) async fn run<S: Sender>(phase: Arc<Phase<S>>, arrivals: Arrivals) -> Vec<Measured> {
    let mut running = JoinSet::new();
    for (index, offset) in (0..phase.num_conversations()).zip(arrivals) {
        if phase.cancel.is_cancelled() {
            break;
        }
        // A task waits for its moment by itself, so that its request is made before and not then.
        let due = phase.start + offset;
        let task = phase.clone();
        running.spawn(async move { task.converse(index, Due::At(due)).await });
        tokio::select! {
            () = sleep_until(due) => {}
            () = phase.cancel.cancelled() => break,
        }
    }
    running.join_all().await.into_iter().flatten().collect()
}
