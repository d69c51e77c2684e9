//! Progress bars on standard error; nothing when it is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use russet_hub::Progress;

/// The bar of the work that is going on.
#[derive(Default)]
pub(crate) struct Bar {
    bar: Option<ProgressBar>,
}

impl Progress for Bar {
    fn begin(&mut self, what: &str, total_bytes: Option<u64>) {
        // A bar that is merely dropped leaves its line on the screen.
        self.finish();
        let bar = match total_bytes {
            Some(total) => ProgressBar::new(total)
                .with_style(style("{wide_msg} [{bar:10}] {percent}% of {total_bytes}, {eta} left")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {wide_msg}")),
        };
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = Some(bar);
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A bar over steps of unequal length.
pub(crate) struct Steps(ProgressBar);

impl Steps {
    /// Of so many steps, none of which has begun.
    pub(crate) fn new(num: usize) -> Self {
        let bar = ProgressBar::new(num as u64)
            .with_style(style("{wide_msg} [{bar:20}] {pos} of {len}, {elapsed} so far"));
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// Says what is going on.
    pub(crate) fn say(&self, what: String) {
        self.0.set_message(what);
    }

    /// Another step is done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed")
}
