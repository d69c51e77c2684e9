//! The crate against a hub in this process, over loopback, that can be told to misbehave.

#[cfg(test)]
mod cache;
#[cfg(test)]
mod fake_hub;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod names;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod refs;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod starter;
