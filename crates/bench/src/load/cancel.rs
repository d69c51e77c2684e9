//! Ends a level early.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends a level early. Clones share one state.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<watch::Sender<bool>>);

impl Cancel {
    /// Not cancelled yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Ends what watches this handle: nothing more is sent, and requests under way are given up.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once [`cancel`](Self::cancel) was called.
    pub async fn cancelled(&self) {
        let mut state = self.0.subscribe();
        state.wait_for(|cancelled| *cancelled).await.expect("this handle keeps the sender");
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}
