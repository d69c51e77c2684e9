//! What the hub says about a repository (<https://huggingface.co/docs/hub/api>).

use serde::Deserialize;
use ureq::http::Method;

use crate::digest::{Digest, is_hex};
use crate::error::Error;
use crate::http::{Ask, Http, Redirects, encode_segment, shown};
use crate::repo_id::RepoId;

/// A listing of tens of thousands of files stays well below this.
const MAX_LISTING_BYTES: u64 = 64 << 20;

/// A repository at one commit.
pub(crate) struct RepoInfo {
    /// 40 hexadecimal digits.
    pub(crate) commit: String,
    pub(crate) files: Vec<RemoteFile>,
}

/// A file of a repository. Its name is as the hub gave it, not yet checked.
#[derive(Debug, Clone)]
pub(crate) struct RemoteFile {
    pub(crate) name: String,
    /// Absent when the hub's listing lacks it, as with some mirrors.
    pub(crate) content: Option<Content>,
}

#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
}

/// Asks for the files of `repo` at `revision`, which may be a branch, a tag or a commit.
pub(crate) fn repo_info(http: &Http, repo: &RepoId, revision: &str) -> Result<RepoInfo, Error> {
    let revision = encode_segment(revision);
    let endpoint = http.endpoint();
    let url = format!("{endpoint}/api/models/{repo}/revision/{revision}?blobs=true");
    let text = http.text(&url, MAX_LISTING_BYTES)?;
    let bad = |problem| Error::BadAnswer { url: shown(&url), problem };
    let listing: Listing =
        serde_json::from_str(&text).map_err(|_| bad("expected JSON with `sha` and `siblings`"))?;
    // The commit becomes a folder name.
    if listing.sha.len() != 40 || !is_hex(&listing.sha) {
        return Err(bad("`sha` is not a commit of 40 hexadecimal digits"));
    }
    let files = listing.siblings.into_iter().map(Sibling::into_file).collect();
    Ok(RepoInfo { commit: listing.sha, files })
}

/// The address of one file at one commit.
pub(crate) fn file_url(http: &Http, repo: &RepoId, commit: &str, name: &str) -> String {
    let path: Vec<_> = name.split('/').map(encode_segment).collect();
    format!("{}/{repo}/resolve/{commit}/{}", http.endpoint(), path.join("/"))
}

/// Length and digest of the file at `url`, from the headers of its address. For a file in large
/// storage these are on the redirect to the file server, so that redirect is not followed.
pub(crate) fn file_content(http: &Http, url: &str, commit: &str) -> Result<Content, Error> {
    let redirects = Redirects::WithinHost;
    let ask = Ask { method: Method::HEAD, url, from_byte: 0, redirects };
    let reply = http.with_retries(|| http.send(&ask))?;
    let bad = |problem| Error::BadAnswer { url: shown(url), problem };
    if reply.header("x-repo-commit").is_some_and(|found| found != commit) {
        return Err(bad("`X-Repo-Commit` is another commit than the one asked for"));
    }
    let header = |linked, plain| reply.header(linked).or_else(|| reply.header(plain));
    let bytes = header("x-linked-size", "content-length").and_then(|v| v.parse().ok());
    let digest = header("x-linked-etag", "etag").and_then(Digest::parse);
    Ok(Content {
        bytes: bytes.ok_or_else(|| bad("its length is not given"))?,
        digest: digest.ok_or_else(|| bad("its ETag is neither a sha256 nor a git blob id"))?,
    })
}

#[derive(Deserialize)]
struct Listing {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: u64,
}

impl Sibling {
    fn into_file(self) -> RemoteFile {
        let (bytes, digest) = match &self.lfs {
            Some(lfs) => (Some(lfs.size), Digest::parse(&lfs.sha256)),
            None => (self.size, self.blob_id.as_deref().and_then(Digest::parse)),
        };
        let content = bytes.zip(digest).map(|(bytes, digest)| Content { bytes, digest });
        RemoteFile { name: self.rfilename, content }
    }
}
