//! A server that is not ours and speaks OpenAI's API: a program on this machine, or a URL.
//!
//! [`Upstream::ask`] sends a request there. Nothing of the client's request gets there but its
//! body, and nothing comes back to it but status, body and a few headers ([`Reply`]), so headers
//! that concern one connection, keys and names of this machine stay where they belong.

mod events;
mod http;
mod rename;
mod reply;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Url};

use self::http::{client, is_unsent};
use crate::Backend;
#[cfg(unix)]
use crate::process::{Process, State};

pub use self::events::{Events, TooLong};
pub use self::http::RemoteError;
pub use self::rename::{RequestError, answer_with_model};
pub use self::reply::Reply;

/// How long a program's end may take to be known after a connection to it broke.
#[cfg(unix)]
const END_IS_KNOWN: Duration = Duration::from_millis(500);
/// Pauses before a request that cannot have had an effect is sent again.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// A server that is not ours and speaks OpenAI's API.
#[derive(Debug)]
pub struct Upstream {
    http: reqwest::Client,
    limits: Limits,
    place: Place,
    /// A path that errors must not show, and what stands for it.
    secret: Option<(String, String)>,
    /// Members that requests must not have.
    refused: &'static [&'static str],
}

#[derive(Debug)]
enum Place {
    /// A program that is kept running.
    #[cfg(unix)]
    Program(Process),
    /// What paths are added to.
    Url(Url),
}

/// A server that is found by its URL.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The address up to and with `/v1`.
    pub base_url: String,
    /// Sent as a bearer token.
    pub key: Option<Key>,
    /// Certificates in PEM that are trusted besides the usual roots.
    pub certificates: Option<Vec<u8>>,
    /// Where connections to other machines go first, and the hosts that are exempt.
    pub proxy: Option<(String, String)>,
    /// How long it may take.
    pub limits: Limits,
}

/// How long a server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until the answer begins, and from each piece of it to the next.
    pub silence: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), silence: Some(Duration::from_secs(600)) }
    }
}

/// A secret. It is printed nowhere.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    /// Without the white space around it, as files end in a line feed.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why there is no answer, or not all of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// A program that may be there soon.
    #[error("the backend {why}; try again")]
    NotReady {
        /// What it does instead.
        why: String,
    },
    /// A program that will not be there again.
    #[error("the backend {why}")]
    Gone {
        /// What happened to it.
        why: String,
    },
    /// There is no connection.
    #[error("the backend cannot be reached: {why}")]
    Unreachable {
        /// What the system or the server said.
        why: String,
    },
    /// It says nothing.
    #[error("the backend was silent for {limit_s} s, which is the limit")]
    Silent {
        /// The limit in seconds.
        limit_s: f32,
    },
    /// The answer breaks off.
    #[error("the answer of the backend broke off: {why}")]
    Broken {
        /// What is known.
        why: String,
    },
    /// The answer is not one of this API.
    #[error("the backend answered with what is no answer: {why}")]
    Malformed {
        /// What is wrong with it.
        why: String,
    },
}

impl Upstream {
    /// The program of `backend` that `process` keeps running. Where it names `path` in an error,
    /// clients read `alias`.
    ///
    /// # Errors
    /// The system gives no client.
    #[cfg(unix)]
    pub fn program(
        backend: Backend,
        process: Process,
        path: &Path,
        alias: &str,
    ) -> Result<Self, RemoteError> {
        // A whole answer takes as long as it takes; clients have limits of their own.
        let limits = Limits { connect: Duration::from_secs(2), silence: None };
        let secret = Some((path.display().to_string(), alias.to_owned()));
        let (place, refused) = (Place::Program(process), backend.refused_members());
        Ok(Self { http: client(limits, None)?, limits, place, secret, refused })
    }

    /// A server somewhere else. Connects to nothing yet.
    ///
    /// # Errors
    /// A URL, key, proxy or certificate that cannot be used.
    pub fn remote(remote: &Remote) -> Result<Self, RemoteError> {
        let url = http::base_url(&remote.base_url)?;
        let (limits, place) = (remote.limits, Place::Url(url));
        Ok(Self { http: client(limits, Some(remote))?, limits, place, secret: None, refused: &[] })
    }

    /// Whether a request now would reach a server, as far as that is known.
    ///
    /// # Errors
    /// The program is not there.
    pub fn check_ready(&self) -> Result<(), Fault> {
        self.base().map(|_| ())
    }

    /// Stops the program, if it is one, and waits until it is gone.
    pub async fn stop(&self) {
        #[cfg(unix)]
        if let Place::Program(process) = &self.place {
            process.request_stop();
            let mut state = process.watch();
            let is_gone = |state: &State| matches!(state, State::Stopped | State::Failed(_));
            // Without a supervisor there is no program either.
            let _ = state.wait_for(is_gone).await;
        }
    }

    /// The request `json` as one for the model that this server knows as `name`.
    ///
    /// # Errors
    /// What may not be passed on.
    pub fn request(&self, json: &str, name: &str) -> Result<String, RequestError> {
        rename::request_with_model(json, name, self.refused)
    }

    /// Sends a JSON body to `path`, such as `chat/completions`. It is sent once, or again where it
    /// cannot have been received. Dropping the future, or the reply, breaks the connection, which
    /// is how servers learn that nobody waits any more.
    ///
    /// # Errors
    /// Why there is no answer. An answer with an error in it is a [`Reply`].
    pub async fn ask(&self, path: &str, body: Bytes) -> Result<Reply, Fault> {
        let request = |url: Url| {
            let request = self.http.request(Method::POST, url);
            request.header(CONTENT_TYPE, "application/json").body(body.clone())
        };
        self.send(path, request, |_| false).await
    }

    /// Asks for the list of models; again where the server, or what stands before it, seems to be
    /// starting.
    ///
    /// # Errors
    /// As [`Upstream::ask`].
    pub async fn models(&self) -> Result<Reply, Fault> {
        let request = |url: Url| self.http.request(Method::GET, url);
        self.send("models", request, |reply| matches!(reply.status(), 502..=504)).await
    }

    /// Sends what `request` makes of the address, again where that can do no harm.
    async fn send(
        &self,
        path: &str,
        request: impl Fn(Url) -> RequestBuilder,
        is_worth_another: impl Fn(&Reply) -> bool,
    ) -> Result<Reply, Fault> {
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            let url = http::joined(&self.base()?, path);
            let sent = request(url).send().await;
            let pause = pauses.next();
            match sent {
                Ok(response) => {
                    let reply = Reply::new(response, self.limits, self.secret.clone());
                    match pause.filter(|_| is_worth_another(&reply)) {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return Ok(reply),
                    }
                }
                Err(error) => match pause.filter(|_| is_unsent(&error) && self.is_remote()) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(self.explained(http::fault(error, self.limits)).await),
                },
            }
        }
    }

    /// A program that cannot be reached has ended, and its supervisor will say how.
    fn is_remote(&self) -> bool {
        matches!(self.place, Place::Url(_))
    }

    fn base(&self) -> Result<Url, Fault> {
        match &self.place {
            Place::Url(url) => Ok(url.clone()),
            #[cfg(unix)]
            Place::Program(process) => program_url(&process.state()),
        }
    }

    /// The fault, with what became of the program if that is why.
    pub async fn explained(&self, fault: Fault) -> Fault {
        #[cfg(unix)]
        if let (Place::Program(process), Fault::Broken { .. } | Fault::Unreachable { .. }) =
            (&self.place, &fault)
        {
            let mut state = process.watch();
            let changed = state.wait_for(|state| !matches!(state, State::Ready(_)));
            let state = match tokio::time::timeout(END_IS_KNOWN, changed).await {
                Ok(Ok(state)) => state.clone(),
                _ => return fault,
            };
            let Some(why) = end_of(&state) else { return fault };
            return match fault {
                Fault::Broken { .. } => Fault::Broken { why },
                _ => Fault::NotReady { why },
            };
        }
        fault
    }
}

#[cfg(unix)]
fn program_url(state: &State) -> Result<Url, Fault> {
    let url = |address: &SocketAddr| {
        let text = format!("http://{address}/v1");
        Url::parse(&text).expect("an address and a path make a URL")
    };
    match state {
        State::Ready(address) => Ok(url(address)),
        State::Starting => Err(Fault::NotReady { why: "is starting".to_owned() }),
        State::Restarting { .. } => {
            Err(Fault::NotReady { why: end_of(state).unwrap_or_default() + " and starts again" })
        }
        State::Failed(_) => Err(Fault::Gone { why: end_of(state).unwrap_or_default() }),
        State::Stopped => Err(Fault::Gone { why: "was stopped".to_owned() }),
    }
}

/// How the program ended. Its log, which names files of this machine, is for the operator.
#[cfg(unix)]
fn end_of(state: &State) -> Option<String> {
    match state {
        State::Restarting { why, .. } => Some(why.to_string()),
        State::Failed(failure) => Some(failure.problem.to_string()),
        State::Starting | State::Ready(_) | State::Stopped => None,
    }
}
