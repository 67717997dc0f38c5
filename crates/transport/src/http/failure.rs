//! Puts what went wrong with an exchange into one sentence, and tells whether the server can have acted on it.

use super::tls::{CertFault, OwnCert};
use crate::redact;
use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError};
use std::{error::Error, io};

/// An exchange that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Who, what, why.
    pub(crate) text: String,
    /// True when the server cannot have seen the request.
    pub(crate) before_sending: bool,
    /// True when the server ended the connection without a word: what a TLS server does to plain HTTP.
    pub(crate) hung_up: bool,
}

impl Fault {
    pub(crate) fn before_sending(text: String) -> Self {
        Self { text, before_sending: true, hung_up: false }
    }
    pub(crate) fn after_sending(text: String) -> Self {
        Self { text, before_sending: false, hung_up: false }
    }
}

/// Nobody home, or somebody who takes connections and does nothing with them.
const NO_CONNECTION: &str = "it did not answer the connection attempt in time";

/// The server's address without path, user and query: `http://10.0.0.1:2379`.
pub(crate) fn origin(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(parsed) => parsed.origin().ascii_serialization(),
        Err(_) => redact::url(url),
    }
}

/// Reads the cause out of an error of the HTTP library.
pub(crate) fn fault(error: &reqwest::Error, url: &str, own: Option<&OwnCert>) -> Fault {
    let origin = origin(url);
    let before = Fault::before_sending;
    if error.is_builder() {
        return before(format!("`{}` cannot be asked: {}", redact::url(url), root(error)));
    }
    if let Some(fault) = find::<CertFault>(error) {
        return before(fault.sentence(&origin));
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return tls_fault(tls, &origin, own, error.is_connect());
    }
    if let Some(io) = find::<io::Error>(error)
        && error.is_connect()
    {
        return before(connect_sentence(io, &origin, error));
    }
    if error.is_connect() {
        let why = if error.is_timeout() { NO_CONNECTION.to_owned() } else { root(error) };
        return before(format!("cannot connect to {origin}: {why}"));
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof,
        ) => Fault::after_sending(format!(
            "{origin} cut the connection in the middle of the exchange"
        )),
        // The library's own error for it cannot be told apart by a type.
        Some(_) | None if any_text(error, "connection closed before message completed") => Fault {
            hung_up: true,
            ..Fault::after_sending(format!("{origin} closed the connection before it answered"))
        },
        Some(_) | None => {
            Fault::after_sending(format!("the connection to {origin} was lost: {}", root(error)))
        }
    }
}

fn connect_sentence(io: &io::Error, origin: &str, error: &reqwest::Error) -> String {
    let why = match io.kind() {
        io::ErrorKind::ConnectionRefused => {
            return format!("{origin} refused the connection: nothing listens there");
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
            if origin.starts_with("https:") =>
        {
            "it hung up during the TLS handshake".to_owned()
        }
        io::ErrorKind::TimedOut => NO_CONNECTION.to_owned(),
        _ if any_text(error, "dns error") => {
            return format!("the host of {origin} is unknown: {}", root(error));
        }
        _ => crate::local::because(io),
    };
    format!("cannot connect to {origin}: {why}")
}

fn tls_fault(tls: &rustls::Error, origin: &str, own: Option<&OwnCert>, connecting: bool) -> Fault {
    use rustls::Error as Tls;
    let staged = if connecting { Fault::before_sending } else { Fault::after_sending };
    match tls {
        Tls::InvalidCertificate(CertificateError::Other(other)) => {
            let text = match other.0.downcast_ref::<CertFault>() {
                Some(fault) => fault.sentence(origin),
                None => format!("the certificate of {origin} is refused: {}", other.0),
            };
            Fault::before_sending(text)
        }
        Tls::InvalidMessage(_) if connecting => Fault::before_sending(format!(
            "{origin} does not speak TLS: its address probably begins with http://"
        )),
        Tls::AlertReceived(alert) if is_about_client_cert(*alert) => {
            // A server judges the client's certificate before it reads any request.
            Fault::before_sending(client_cert_sentence(*alert, origin, own))
        }
        Tls::AlertReceived(alert) => {
            staged(format!("{origin} ended the TLS connection: {alert:?}"))
        }
        other => staged(format!("cannot speak TLS with {origin}: {other}")),
    }
}

fn is_about_client_cert(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::NoCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

fn client_cert_sentence(alert: AlertDescription, origin: &str, own: Option<&OwnCert>) -> String {
    let Some(own) = own else {
        return format!(
            "{origin} asks for a client certificate, and none is given: name `cert` and `key` under `tls`"
        );
    };
    let path = own.path.display();
    match own.not_after {
        Some(end) if end < Timestamp::now() => {
            format!("{origin} did not accept the client certificate {path}: it expired on {end}")
        }
        Some(_) | None => {
            format!("{origin} did not accept the client certificate {path} ({alert:?})")
        }
    }
}

/// The next deeper cause. An `io::Error` hides the error it wraps, so that one is taken by hand.
fn deeper<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(inner);
    }
    if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) =
        error.downcast_ref()
    {
        return Some(other.0.as_ref());
    }
    error.source()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| deeper(*error))
}

/// The deepest cause of a type: an outer `io::Error` often only wraps the one that tells.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).filter_map(|cause| cause.downcast_ref::<T>()).last()
}

fn any_text(error: &(dyn Error + 'static), part: &str) -> bool {
    chain(error).any(|cause| cause.to_string().contains(part))
}

/// The deepest cause in its own words; those never hold addresses, which only the outermost error prints.
fn root(error: &reqwest::Error) -> String {
    let mut causes = chain(error).skip(1);
    let first = causes.next();
    match causes.last().or(first) {
        Some(cause) => redact::text(&cause.to_string(), &[]),
        None => "the HTTP library gave no cause".to_owned(),
    }
}
