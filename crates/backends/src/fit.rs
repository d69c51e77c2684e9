//! Whether a model fits into free memory, before anything is started.

use std::fmt;

/// What a backend would take, and what there is. All sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Of the tensors, as the backend keeps them.
    pub weights: u64,
    /// Keys and values of one token of one sequence in all layers.
    pub kv_per_token: u64,
    /// Tokens of the longest sequence.
    pub context: usize,
    /// Sequences that each have such a context.
    pub slots: usize,
    /// What programs can still take; `None` if the system does not say.
    pub free: Option<u64>,
}

/// A model that does not fit, and what would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooBig {
    asked: Fit,
    free: u64,
}

/// A context below this is of no use to anybody.
const LEAST_CONTEXT: u64 = 256;

impl Fit {
    /// All that is needed.
    fn needed(&self) -> u64 {
        self.weights.saturating_add(self.kv())
    }

    fn kv(&self) -> u64 {
        let tokens = (self.context as u64).saturating_mul(self.slots as u64);
        tokens.saturating_mul(self.kv_per_token)
    }

    /// Whether it fits. It is taken to fit where nobody knows how much is free.
    ///
    /// # Errors
    /// [`TooBig`], with what would fit.
    pub fn check(&self) -> Result<(), TooBig> {
        match self.free {
            Some(free) if self.needed() > free => Err(TooBig { asked: *self, free }),
            _ => Ok(()),
        }
    }
}

impl TooBig {
    /// The longest context that fits with `slots` sequences.
    fn context_that_fits(&self, slots: u64) -> Option<u64> {
        let left = self.free.checked_sub(self.asked.weights)?;
        let tokens = left.checked_div(self.asked.kv_per_token.checked_mul(slots)?)?;
        (tokens >= LEAST_CONTEXT).then_some(tokens)
    }
}

impl fmt::Display for TooBig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fit { weights, context, slots, .. } = self.asked;
        write!(f, "it needs {} ({} of weights", size(self.asked.needed()), size(weights))?;
        write!(f, ", {} of keys and values for {context} tokens", size(self.asked.kv()))?;
        if slots > 1 {
            write!(f, " in each of {slots} slots")?;
        }
        write!(f, "), and {} are free; ", size(self.free))?;
        let one = (slots > 1).then(|| self.context_that_fits(1)).flatten();
        match (self.context_that_fits(slots as u64), one) {
            (Some(tokens), _) => write!(f, "a context of {tokens} tokens would fit"),
            (None, Some(tokens)) => {
                write!(f, "one slot with a context of {tokens} tokens would fit")
            }
            (None, None) => f.write_str("no context would fit: take fewer bits per weight"),
        }
    }
}

/// In the unit that people read.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Fit = Fit {
        weights: 4_000_000_000,
        kv_per_token: 131_072,
        context: 32_768,
        slots: 1,
        free: Some(6_000_000_000),
    };

    #[test]
    fn what_fits_is_let_through() {
        assert_eq!(Fit { free: Some(8_294_967_296), ..ASKED }.check(), Ok(()));
        assert!(Fit { free: Some(8_294_967_295), ..ASKED }.check().is_err());
        assert_eq!(Fit { free: None, ..ASKED }.check(), Ok(()), "nobody knows");
    }

    #[test]
    fn what_would_fit_is_said() {
        let said = |fit: Fit| fit.check().unwrap_err().to_string();
        assert_eq!(
            said(ASKED),
            "it needs 8.3 GB (4.0 GB of weights, 4.3 GB of keys and values for 32768 tokens), and \
             6.0 GB are free; a context of 15258 tokens would fit"
        );
        let slots = said(Fit { slots: 100, ..ASKED });
        assert!(slots.ends_with("one slot with a context of 15258 tokens would fit"), "{slots}");
        assert!(slots.contains("for 32768 tokens in each of 100 slots"), "{slots}");
        let weights = said(Fit { free: Some(1_000_000), ..ASKED });
        let end = "1.0 MB are free; no context would fit: take fewer bits per weight";
        assert!(weights.ends_with(end), "{weights}");
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        let fit = Fit {
            weights: u64::MAX,
            kv_per_token: u64::MAX,
            context: usize::MAX,
            slots: usize::MAX,
            free: Some(1),
        };
        assert!(fit.check().unwrap_err().to_string().contains("no context would fit"));
    }
}
