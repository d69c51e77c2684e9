//! Lines for people and pipes. Unlike `println!`, a reader that left is an error, not a panic.

use std::fmt::Arguments;
use std::io::{Result, Write};

/// A line of what the command is for, on standard output.
pub(crate) fn line(text: Arguments<'_>) -> Result<()> {
    writeln!(std::io::stdout(), "{text}")
}

/// A remark on standard error. Nobody need be there to read it.
pub(crate) fn note(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
