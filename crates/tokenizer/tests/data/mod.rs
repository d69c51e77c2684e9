//! Where the test data is.

use std::path::PathBuf;

/// The folder of test data, or nothing (said aloud) where there is none.
pub(crate) fn dir() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let dir = std::env::var_os("RUSSET_TEST_DATA").map_or_else(|| default.into(), PathBuf::from);
    if !dir.is_dir() {
        println!("skipped: no test data at {}", dir.display());
        return None;
    }
    Some(dir)
}
