//! The digests by which the hub names file contents.

use std::fmt;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What a file's content must hash to. The hexadecimal form is also the name of its blob in the
/// cache, as in Hugging Face's own tools.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Digest {
    /// A file in large-file storage: sha256 of the content.
    Sha256(String),
    /// A file in the git repository itself: git's object id, sha1 of a header and the content.
    GitSha1(String),
}

impl Digest {
    /// From 64 or 40 lower-case hexadecimal digits, with the quotes of an `ETag` or without.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        match hex.len() {
            64 if is_hex(hex) => Some(Self::Sha256(hex.to_owned())),
            40 if is_hex(hex) => Some(Self::GitSha1(hex.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitSha1(hex) => hex,
        }
    }

    /// A hasher for a content of `bytes` bytes (git hashes the length first).
    pub(crate) fn hasher(&self, bytes: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::GitSha1(_) => {
                let mut sha1 = Sha1::new();
                sha1.update(format!("blob {bytes}\0"));
                Hasher::GitSha1(sha1)
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "sha256 {hex}"),
            Self::GitSha1(hex) => write!(f, "git blob {hex}"),
        }
    }
}

/// Digits 0-9 and a-f only.
pub(crate) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Hashes a content piece by piece.
pub(crate) enum Hasher {
    Sha256(Sha256),
    GitSha1(Sha1),
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(sha256) => sha256.update(bytes),
            Self::GitSha1(sha1) => sha1.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(sha256) => Digest::Sha256(to_hex(&sha256.finalize())),
            Self::GitSha1(sha1) => Digest::GitSha1(to_hex(&sha1.finalize())),
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::Digest;

    fn hash(like: &str, content: &[u8]) -> String {
        let mut hasher = Digest::parse(like).unwrap().hasher(content.len() as u64);
        content.chunks(2).for_each(|chunk| hasher.update(chunk));
        hasher.finish().hex().to_owned()
    }

    #[test]
    fn known_values() {
        // FIPS 180-2's test vector, and the object id that `git hash-object` gives.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash(&"0".repeat(64), b"abc"), abc);
        let hello = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(hash(&"0".repeat(40), b"hello\n"), hello);
    }

    #[test]
    fn parses_etags_only() {
        let hex = "a".repeat(64);
        assert_eq!(Digest::parse(&format!("\"{hex}\"")), Some(Digest::Sha256(hex.clone())));
        assert!(Digest::parse(&hex[..40]).is_some());
        for bad in ["", "\"\"", "abc", &"A".repeat(64), &"g".repeat(40), &format!("../{hex}")] {
            assert_eq!(Digest::parse(bad), None);
        }
    }
}
