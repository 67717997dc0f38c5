//! What is asked over HTTP and what comes back.

use crate::redact;
use std::{fmt, path::PathBuf};

/// A request.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, `PUT`.
    pub method: String,
    /// Whole address.
    pub url: String,
    /// What is sent.
    pub body: Option<Body>,
    /// Added to what the client sends by itself.
    pub headers: Vec<(String, String)>,
    /// True when asking changes nothing, whatever the method: a lost answer is then Failed, not Unknown.
    pub read_only: bool,
    /// The socket of a tunnel that leads to the address; none when this machine reaches it by itself.
    pub via: Option<PathBuf>,
    /// A header of the answer that is wanted, in lower case. No other one is kept: they may hold secrets.
    pub wants: Option<&'static str>,
}

/// What is sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// A JSON document.
    Json(String),
    /// A form, already encoded.
    Form(String),
    /// A gRPC message behind its prefix.
    Grpc(Vec<u8>),
}

impl HttpRequest {
    /// A request without a body. `GET`, `HEAD` and `OPTIONS` change nothing.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let method = method.into().to_ascii_uppercase();
        let read_only = matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS");
        let (url, headers) = (url.into(), Vec::new());
        Self { method, url, body: None, headers, read_only, via: None, wants: None }
    }
    /// Asks for a document.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }
    /// Sends JSON with `POST`.
    pub fn post_json(url: impl Into<String>, json: impl Into<String>) -> Self {
        Self::new("POST", url).json(json)
    }
    /// Sends this JSON text.
    #[must_use]
    pub fn json(mut self, text: impl Into<String>) -> Self {
        self.body = Some(Body::Json(text.into()));
        self
    }
    /// Sends this form, `key=value&key=value`, already encoded.
    #[must_use]
    pub fn form(mut self, encoded: impl Into<String>) -> Self {
        self.body = Some(Body::Form(encoded.into()));
        self
    }
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
    /// Goes through a tunnel.
    #[must_use]
    pub fn via(mut self, socket: Option<PathBuf>) -> Self {
        self.via = socket;
        self
    }
    /// Asks for a header of the answer, by its name in lower case.
    #[must_use]
    pub fn wants(mut self, header: &'static str) -> Self {
        self.wants = Some(header);
        self
    }
    /// Says that asking changes nothing although the method could: products read with `POST`, too.
    #[must_use]
    pub fn reads_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

/// Values of headers and the body may hold secrets, so they are never shown.
impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, body, headers, read_only, via, wants } = self;
        f.debug_struct("HttpRequest")
            .field("method", method)
            .field("url", &redact::url(url))
            .field("body", body)
            .field("headers", &headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("read_only", read_only)
            .field("via", via)
            .field("wants", wants)
            .finish()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(text) => write!(f, "json of {} bytes", text.len()),
            Self::Form(text) => write!(f, "form of {} bytes", text.len()),
            Self::Grpc(message) => write!(f, "message of {} bytes", message.len()),
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpResponse {
    /// Its status.
    pub status: u16,
    /// Its body, at most [`RESPONSE_BYTES_MAX`].
    pub body: Vec<u8>,
    /// The header that the request wants, where the answer has it.
    pub header: Option<String>,
}

/// A longer answer is refused: metrics of a large member take a few megabytes, and larger things are streamed.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;

impl HttpResponse {
    /// Whether the status is 2xx.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// The body as JSON, when it is.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_header_values_nor_body() {
        let request = HttpRequest::post_json("http://u:hunter2@a/x", r#"{"password":"hunter2"}"#)
            .header("Authorization", "hunter2");
        let shown = format!("{request:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("Authorization"), "{shown}");
    }

    #[test]
    fn only_reading_methods_read_only() {
        assert!(HttpRequest::get("http://a").read_only);
        assert!(!HttpRequest::new("post", "http://a").read_only);
        assert!(!HttpRequest::new("PUT", "http://a").read_only);
        assert!(HttpRequest::new("POST", "http://a").reads_only().read_only);
    }
}
