//! Parts of messages.

use std::fmt;

use crate::starter::Attempt;

pub(super) fn access_advice(has_token: bool) -> &'static str {
    match has_token {
        true => {
            "the token sent may not read it (a gated model also needs its terms accepted on the \
             hub's page of the model)"
        }
        false => {
            "it does not exist, or it is private or gated: accept its terms on the hub and set a \
             token (HF_TOKEN)"
        }
    }
}

/// At most twelve names, then how many more.
pub(super) struct Listed<'a>(pub(super) &'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 12;
        if self.0.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.0[..self.0.len().min(MOST)].join(", "))?;
        match self.0.len().checked_sub(MOST) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}

/// One line for each.
pub(super) struct Attempts<'a>(pub(super) &'a [Attempt]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|a| write!(f, "\n  {}: {}", a.source, a.error))
    }
}

/// Bytes in the unit that people read.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..0x10_0000 => write!(f, "{} bytes", self.0),
            bytes => write!(f, "{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        }
    }
}
