//! Speaks HTTP to members: one client a cluster, with its TLS files, its user, and connections that are used again.
//!
//! Invariant: Failed means that the server cannot have acted on the request. Anything else without an answer is Unknown,
//! unless the request only reads. Read next: `exchange.rs`, which decides that.

mod documents;
mod exchange;
mod failure;
mod grpc;
mod login;
mod request;
mod tls;

pub use documents::documents;
pub use grpc::{GrpcCall, GrpcStream};
pub use login::{Credentials, LoginRequest};
pub use request::{Body, HttpRequest, HttpResponse, RESPONSE_BYTES_MAX};
pub use tls::TlsError;

use crate::{Answer, redact, secret::SecretText};
use bytes::Bytes;
use exchange::{Exchange, Lost};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use login::{Address, Token, Tokens};
use quorate_model::TlsSpec;
use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

/// A client for the members of one cluster. Clones share connections and tokens.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

struct Inner {
    exchange: Exchange,
    credentials: Option<Credentials>,
    tokens: Tokens,
    /// The files that prove the client to members and members to the client, for connections made later.
    tls: Option<TlsSpec>,
    /// Made at the first question over gRPC.
    grpc: OnceLock<Result<Exchange, String>>,
}

/// What proves who asks.
enum Proof {
    Nobody,
    Basic { password: SecretText },
    Token { address: Address, token: Token },
}

/// What an answer means for the exchange.
enum Verdict {
    Answered,
    Again,
    Refused(String),
}

/// Host and port of an address, as a tunnel wants them: `127.0.0.1:2379`, `db-1:443`.
pub fn authority(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// A body piece by piece.
pub type Pieces = BoxStream<'static, Result<Bytes, String>>;

impl HttpClient {
    /// A client for a cluster's members. No proxy is used: members are reached directly or not at all.
    pub fn new(tls: Option<&TlsSpec>, credentials: Option<Credentials>) -> Result<Self, TlsError> {
        Ok(Self::over(Exchange::direct(tls::client(tls)?)?, tls, credentials))
    }

    fn over(exchange: Exchange, tls: Option<&TlsSpec>, credentials: Option<Credentials>) -> Self {
        let (tokens, tls, grpc) = (Tokens::default(), tls.cloned(), OnceLock::new());
        Self { inner: Arc::new(Inner { exchange, credentials, tokens, tls, grpc }) }
    }

    /// A client for downloads: the machine's proxy settings and trusted certificates, redirections followed.
    pub fn for_downloads() -> Result<Self, TlsError> {
        Ok(Self::over(Exchange::outward(tls::client(None)?)?, None, None))
    }

    /// Asks and waits for the whole answer. `Done` means that the server answered, whatever the status says.
    pub async fn send(&self, request: &HttpRequest, limit: Duration) -> Answer<HttpResponse> {
        let deadline = Instant::now() + limit;
        let mut retried = false;
        loop {
            let proof =
                match self.proof(&request.url, request.via.as_deref(), deadline, limit).await {
                    Ok(proof) => proof,
                    Err(because) => return Answer::Failed(because),
                };
            let auth = self.auth(&proof);
            let answer = match self.inner.exchange.whole(request, &auth, deadline, limit).await {
                Ok(answer) => answer,
                Err(Lost::NeverSent(because)) => return Answer::Failed(because),
                Err(Lost::Unclear(because)) if request.read_only => return Answer::Failed(because),
                Err(Lost::Unclear(because)) => return Answer::Unknown(because),
            };
            match self.judged(&request.url, &proof, &answer, &mut retried).await {
                Verdict::Answered => return Answer::Done(answer),
                Verdict::Again => {}
                Verdict::Refused(because) => return Answer::Failed(because),
            }
        }
    }

    /// Asks and gives the answer's body piece by piece. Every wait, for the answer and for each piece, ends after `idle`.
    /// A fault is the last item; a status other than 2xx is a fault. Dropping the stream ends the request.
    pub fn stream(&self, request: &HttpRequest, idle: Duration) -> Pieces {
        let (client, request) = (self.clone(), request.clone());
        stream::once(async move { client.open(&request, idle).await }).try_flatten().fuse().boxed()
    }

    async fn open(&self, request: &HttpRequest, idle: Duration) -> Result<Pieces, String> {
        let exchange = &self.inner.exchange;
        let mut retried = false;
        loop {
            let deadline = Instant::now() + idle;
            let proof = self.proof(&request.url, request.via.as_deref(), deadline, idle).await?;
            let opened = exchange.head(request, &self.auth(&proof), deadline, idle).await;
            let head = opened.map_err(Lost::into_text)?;
            if head.status().is_success() {
                return Ok(exchange.pieces(head, request, idle));
            }
            let rest = exchange.rest(head, request, deadline, idle).await;
            let answer = rest.map_err(Lost::into_text)?;
            match self.judged(&request.url, &proof, &answer, &mut retried).await {
                Verdict::Answered => {
                    let said = login::said(&answer, &[]);
                    return Err(format!("{} answered: {said}", redact::url(&request.url)));
                }
                Verdict::Again => {}
                Verdict::Refused(because) => return Err(because),
            }
        }
    }

    /// What an answer says of who asked. A forgotten token is fetched again once; a fresh one that is refused, too, is an answer.
    async fn judged(
        &self,
        url: &str,
        proof: &Proof,
        answer: &HttpResponse,
        retried: &mut bool,
    ) -> Verdict {
        match proof {
            Proof::Token { address, token } if !*retried && login::refuses_token(answer) => {
                *retried = true;
                self.inner.tokens.place(address).lock().await.forget(token);
                Verdict::Again
            }
            Proof::Basic { password } if answer.status == 401 => {
                Verdict::Refused(self.refused(url, answer, password))
            }
            Proof::Nobody | Proof::Basic { .. } | Proof::Token { .. } => Verdict::Answered,
        }
    }

    fn refused(&self, url: &str, answer: &HttpResponse, password: &SecretText) -> String {
        let origin = failure::origin(url);
        match &self.inner.credentials {
            Some(credentials) => credentials.refused(&origin, answer, password),
            None => format!("{origin} asks for a user, and none is given"),
        }
    }

    /// How the proof travels.
    fn auth(&self, proof: &Proof) -> exchange::Auth {
        match (proof, &self.inner.credentials) {
            (Proof::Basic { password }, Some(credentials)) => match &credentials.token_header {
                Some(name) => {
                    exchange::Auth::Header { name: name.clone(), value: password.clone() }
                }
                None => exchange::Auth::Basic {
                    user: credentials.user.clone(),
                    password: password.clone(),
                },
            },
            (Proof::Token { token, .. }, Some(Credentials { login: Some(login), .. })) => {
                exchange::Auth::Header { name: login.header.clone(), value: token.text.clone() }
            }
            (Proof::Nobody | Proof::Basic { .. } | Proof::Token { .. }, _) => exchange::Auth::None,
        }
    }

    async fn proof(
        &self,
        url: &str,
        via: Option<&Path>,
        deadline: Instant,
        limit: Duration,
    ) -> Result<Proof, String> {
        let Some(credentials) = &self.inner.credentials else { return Ok(Proof::Nobody) };
        if credentials.is_basic(url) {
            return Ok(Proof::Basic { password: credentials.read_password()? });
        }
        let Some(login) = &credentials.login else { return Ok(Proof::Nobody) };
        let origin = failure::origin(url);
        let address = login.address(&origin);
        // The loopback address of one host is not that of another.
        let address_by = Address { url: address.clone(), via: via.map(Path::to_owned) };
        let place = self.inner.tokens.place(&address_by);
        let Ok(mut held) = tokio::time::timeout_at(deadline, place.lock()).await else {
            return Err(format!(
                "the login at {} did not end within {limit:?}",
                redact::url(&address)
            ));
        };
        if let Some(token) = held.token() {
            return Ok(Proof::Token { address: address_by, token });
        }
        let password = credentials.read_password()?;
        let request = login.request(&address, &credentials.user, &password);
        let request = request.via(address_by.via.clone());
        let exchange = &self.inner.exchange;
        let asked = exchange.whole(&request, &exchange::Auth::None, deadline, limit).await;
        let answer = asked.map_err(|lost| {
            format!("cannot log in as `{}`: {}", credentials.user, lost.into_text())
        })?;
        if !answer.ok() {
            return Err(credentials.refused(&failure::origin(&address), &answer, &password));
        }
        let Some(text) = login.token(&answer) else {
            return Err(format!(
                "the login at {} gave no token at `{}`",
                redact::url(&address),
                login.token_pointer
            ));
        };
        let token = held.keep(text);
        Ok(Proof::Token { address: address_by, token })
    }
}
