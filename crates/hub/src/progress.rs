//! How a download tells its caller where it is.

/// Receives the progress of a download, one file at a time.
///
/// `begin` may be called again for the same file, when a server cannot resume and the file starts
/// over. Nothing is called after an error.
pub trait Progress {
    /// Work on `what` (a file name or a short sentence) starts; `total_bytes` when it is known.
    fn begin(&mut self, what: &str, total_bytes: Option<u64>);
    /// `bytes` more are done. A resumed file reports at once what was already there.
    fn advance(&mut self, bytes: u64);
    /// The work begun last is complete.
    fn finish(&mut self);
}

/// Reports nothing.
impl Progress for () {
    fn begin(&mut self, _what: &str, _total_bytes: Option<u64>) {}
    fn advance(&mut self, _bytes: u64) {}
    fn finish(&mut self) {}
}
