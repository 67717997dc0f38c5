//! One exchange: a request goes out, an answer comes back or does not. Decides what a lost exchange means.
//!
//! Invariant: an exchange counts as never sent only when the connection failed, or when the body was never asked for.

use super::{
    Body, HttpRequest, HttpResponse, RESPONSE_BYTES_MAX, TlsError,
    failure::{self, Fault},
    tls::{OwnCert, TlsClient},
};
use crate::{redact, secret::SecretText};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use http_body::{Frame, SizeHint};
use reqwest::{
    Client, ClientBuilder, Method, Response,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    redirect,
};
use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// Five seconds: a lost connection attempt is repeated by the system after one and after three, a third loss is no accident.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Eight: more requests at once to one member than any probe makes.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// A tenth of a second: longer than between two looks while a member moves, and than between two requests of a client.
/// Connections that were opened in advance and never used keep some servers from ending politely (etcd 3.3 with a newer gRPC
/// waits for their first byte for ever): they must not outlive a member's stop for long.
const IDLE_LIMIT: Duration = Duration::from_millis(100);
/// Ten: what browsers follow; download sites use two or three.
const REDIRECTS_MAX: usize = 10;

/// An exchange without an answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The server cannot have seen the request.
    NeverSent(String),
    /// It may have.
    Unclear(String),
}

impl Lost {
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::NeverSent(text) | Self::Unclear(text) => text,
        }
    }
}

/// What is added to a request to prove who asks.
pub(crate) enum Auth {
    None,
    Basic { user: String, password: SecretText },
    Header { name: String, value: SecretText },
}

/// The HTTP library, set up.
pub(crate) struct Exchange {
    http: Client,
    /// Makes another client like it: one for each tunnel, since a client has one way to the network.
    make: Box<dyn Fn() -> ClientBuilder + Send + Sync>,
    tunnelled: Mutex<HashMap<PathBuf, Client>>,
    own: Option<OwnCert>,
    /// Servers that have answered over plain HTTP, so that a hint at TLS would mislead.
    plain: Mutex<HashSet<String>>,
}

impl Exchange {
    /// Straight to the server, no redirections: a member that sends us elsewhere is not the one we asked.
    pub(crate) fn direct(tls: TlsClient) -> Result<Self, TlsError> {
        Self::build(tls, |builder| builder.no_proxy().redirect(redirect::Policy::none()))
    }

    /// Straight to the server, over HTTP/2 without asking first: gRPC servers speak nothing else.
    pub(crate) fn http2(tls: TlsClient) -> Result<Self, TlsError> {
        let shape = |builder: ClientBuilder| builder.no_proxy().redirect(redirect::Policy::none());
        Self::build(tls, move |builder| shape(builder).http2_prior_knowledge())
    }

    /// Through the machine's proxies, redirections followed.
    pub(crate) fn outward(tls: TlsClient) -> Result<Self, TlsError> {
        Self::build(tls, |builder| builder.redirect(redirect::Policy::limited(REDIRECTS_MAX)))
    }

    fn build(
        tls: TlsClient,
        shape: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let TlsClient { config, own } = tls;
        let make = move || {
            let builder = Client::builder()
                .tls_backend_preconfigured(config.clone())
                .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_LIMIT)
                .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
                .pool_idle_timeout(IDLE_LIMIT);
            shape(builder)
        };
        let http =
            make().build().map_err(|cause| TlsError::Setup { because: cause.to_string() })?;
        let (make, tunnelled) = (Box::new(make), Mutex::default());
        Ok(Self { http, make, tunnelled, own, plain: Mutex::default() })
    }

    /// The client for a request: its tunnel's, or the one that goes straight.
    fn client(&self, request: &HttpRequest) -> Result<Client, String> {
        let Some(socket) = &request.via else { return Ok(self.http.clone()) };
        let mut tunnelled = self.tunnelled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = tunnelled.get(socket) {
            return Ok(client.clone());
        }
        let made = (self.make)().unix_socket(socket.as_path()).build();
        let client = made.map_err(|cause| format!("cannot set up the tunnel: {cause}"))?;
        tunnelled.insert(socket.clone(), client.clone());
        Ok(client)
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn whole(
        &self,
        request: &HttpRequest,
        auth: &Auth,
        deadline: Instant,
        limit: Duration,
    ) -> Result<HttpResponse, Lost> {
        let head = self.head(request, auth, deadline, limit).await?;
        self.rest(head, request, deadline, limit).await
    }

    /// Asks and waits for the head of the answer.
    pub(crate) async fn head(
        &self,
        request: &HttpRequest,
        auth: &Auth,
        deadline: Instant,
        limit: Duration,
    ) -> Result<Response, Lost> {
        let sent = Arc::new(AtomicBool::new(request.body.is_none()));
        let http = self.client(request).map_err(Lost::NeverSent)?;
        let built = self.built(&http, request, auth, &sent).map_err(Lost::NeverSent)?;
        let lost = |fault: Fault| {
            let never = fault.before_sending || !sent.load(Ordering::SeqCst);
            if never { Lost::NeverSent(fault.text) } else { Lost::Unclear(fault.text) }
        };
        match timeout_at(deadline, http.execute(built)).await {
            Ok(Ok(head)) => {
                self.note_plain(&request.url);
                Ok(head)
            }
            Ok(Err(error)) => {
                let mut fault = failure::fault(&error, &request.url, self.own.as_ref());
                if fault.hung_up && !self.is_known_plain(&request.url) {
                    fault
                        .text
                        .push_str("; when it speaks TLS, its address must begin with https://");
                }
                Err(lost(fault))
            }
            Err(_) => Err(lost(Fault::after_sending(no_answer(request, limit)))),
        }
    }

    fn note_plain(&self, url: &str) {
        if url.starts_with("http:") {
            let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
            plain.insert(failure::origin(url));
        }
    }

    fn is_known_plain(&self, url: &str) -> bool {
        let plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        !url.starts_with("http:") || plain.contains(&failure::origin(url))
    }

    /// Reads the rest of an answer. The server has acted by then, so a loss is never "not sent".
    pub(crate) async fn rest(
        &self,
        mut head: Response,
        request: &HttpRequest,
        deadline: Instant,
        limit: Duration,
    ) -> Result<HttpResponse, Lost> {
        let status = head.status().as_u16();
        let header = request.wants.and_then(|name| head.headers().get(name)?.to_str().ok());
        let header = header.map(str::to_owned);
        let mut body = Vec::new();
        loop {
            match timeout_at(deadline, head.chunk()).await {
                Err(_) => return Err(Lost::Unclear(no_answer(request, limit))),
                Ok(Err(error)) => {
                    let fault = failure::fault(&error, &request.url, self.own.as_ref());
                    return Err(Lost::Unclear(fault.text));
                }
                Ok(Ok(None)) => return Ok(HttpResponse { status, body, header }),
                Ok(Ok(Some(piece))) if body.len() + piece.len() > RESPONSE_BYTES_MAX => {
                    return Err(Lost::Unclear(format!(
                        "the answer of {} is longer than {RESPONSE_BYTES_MAX} bytes",
                        redact::url(&request.url)
                    )));
                }
                Ok(Ok(Some(piece))) => body.extend_from_slice(&piece),
            }
        }
    }

    /// The body piece by piece; the first fault is the last item.
    pub(crate) fn pieces(
        &self,
        head: Response,
        request: &HttpRequest,
        idle: Duration,
    ) -> BoxStream<'static, Result<Bytes, String>> {
        let (url, own) = (request.url.clone(), self.own.clone());
        stream::unfold(Some(head), move |state| {
            let (url, own) = (url.clone(), own.clone());
            async move {
                let mut head = state?;
                match timeout(idle, head.chunk()).await {
                    Ok(Ok(None)) => None,
                    Ok(Ok(Some(piece))) => Some((Ok(piece), Some(head))),
                    Ok(Err(error)) => {
                        Some((Err(failure::fault(&error, &url, own.as_ref()).text), None))
                    }
                    Err(_) => {
                        let text = format!("{} sent nothing for {idle:?}", redact::url(&url));
                        Some((Err(text), None))
                    }
                }
            }
        })
        .fuse()
        .boxed()
    }

    fn built(
        &self,
        http: &Client,
        request: &HttpRequest,
        auth: &Auth,
        sent: &Arc<AtomicBool>,
    ) -> Result<reqwest::Request, String> {
        let shown = redact::url(&request.url);
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| format!("`{}` is no HTTP method", request.method))?;
        let mut builder = http.request(method, &request.url);
        if let Some(body) = &request.body {
            let (kind, bytes) = match body {
                Body::Json(text) => ("application/json", text.clone().into_bytes()),
                Body::Form(text) => {
                    ("application/x-www-form-urlencoded", text.clone().into_bytes())
                }
                Body::Grpc(message) => ("application/grpc", message.clone()),
            };
            let watched = WatchedBody { left: Some(Bytes::from(bytes)), sent: sent.clone() };
            builder = builder.header(CONTENT_TYPE, kind).body(reqwest::Body::wrap(watched));
        }
        for (name, value) in &request.headers {
            builder = with_header(builder, name, value)?;
        }
        builder = match auth {
            Auth::None => builder,
            Auth::Basic { user, password } => builder.basic_auth(user, Some(password.expose())),
            Auth::Header { name, value } => with_header(builder, name, value.expose())?,
        };
        builder.build().map_err(|error| {
            let fault = failure::fault(&error, &request.url, None);
            format!("{} {shown}: {}", request.method, fault.text)
        })
    }
}

fn with_header(
    builder: reqwest::RequestBuilder,
    name: &str,
    value: &str,
) -> Result<reqwest::RequestBuilder, String> {
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is no name of a header"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        format!("the value of header {name} has characters that a header cannot carry")
    })?;
    value.set_sensitive(redact::is_secret_name(name));
    Ok(builder.header(key, value))
}

fn no_answer(request: &HttpRequest, limit: Duration) -> String {
    format!(
        "{} {} gave no whole answer within {limit:?}",
        request.method,
        redact::url(&request.url)
    )
}

/// A body that notes when the library first asks for it: that is after the connection stands and the head is on its way.
struct WatchedBody {
    left: Option<Bytes>,
    sent: Arc<AtomicBool>,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.sent.store(true, Ordering::SeqCst);
        Poll::Ready(self.left.take().map(|piece| Ok(Frame::data(piece))))
    }
    fn is_end_stream(&self) -> bool {
        self.left.is_none()
    }
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.as_ref().map_or(0, |left| left.len() as u64))
    }
}
