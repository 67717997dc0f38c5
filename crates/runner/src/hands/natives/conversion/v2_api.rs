//! The keys of an etcd v2 store, over its own API.

use super::{super::side::Side, listed::shown};
use crate::hands::call::first_line;
use quorate_transport::http::HttpRequest;
use serde_json::Value;
use std::{fmt::Write, ops::RangeInclusive, time::Duration};

/// One entry of the log, on a busy disk, or after an election.
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// An election takes about a second, and a member that others wait for comes back within one or two.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// Complaints of the v2 API, by their numbers.
pub(super) const NOT_FOUND: u64 = 100;
pub(super) const NOT_A_FILE: u64 = 102;
pub(super) const NOT_A_DIRECTORY: u64 = 104;
/// The cluster has no leader, or lost it. These say nothing of the key.
const NO_LEADER: RangeInclusive<u64> = 300..=399;

/// The v2 store of a cluster, through one of its members.
pub(super) struct Store<'a> {
    pub(super) side: &'a Side<'a>,
}

/// What the v2 API said.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// The key, or the directory, that it found or wrote.
    Node(Value),
    /// The number of its complaint, and that in words.
    Refused(u64, String),
}

impl Store<'_> {
    /// Asks again what got no answer, or was told that there is no leader: said twice, each of these requests does the same.
    pub(super) async fn ask(
        &self,
        method: &str,
        key: &str,
        query: &str,
        form: Option<String>,
    ) -> Result<Said, String> {
        let url = format!("{}/v2/keys{}{query}", self.side.url, path(key));
        let mut request = HttpRequest::new(method, url);
        if let Some(form) = form {
            request = request.form(form);
        }
        let mut tries = 1;
        loop {
            match self.ask_once(request.clone()).await {
                Err(_) if tries < TRIES => tries += 1,
                said => return said.map_err(|because| fault(key, &because)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask_once(&self, request: HttpRequest) -> Result<Said, String> {
        let answer = self.side.sent(request, ASK_LIMIT).await?;
        let said = answer.json().and_then(|said| of(said, answer.ok()));
        let line = || first_line(&answer.text());
        said.ok_or_else(|| format!("{} answered {}: {}", self.side.url, answer.status, line()))
    }
}

fn of(said: Value, ok: bool) -> Option<Said> {
    if let Some(number) = said.get("errorCode").and_then(Value::as_u64) {
        if NO_LEADER.contains(&number) {
            return None;
        }
        let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
        return Some(Said::Refused(number, format!("{} ({})", text("message"), text("cause"))));
    }
    Some(Said::Node(said.get("node").filter(|_| ok)?.clone()))
}

pub(super) fn fault(key: &str, because: &str) -> String {
    format!("{}: {because}", shown(key.as_bytes()))
}

/// The path of a key in an address, part by part.
fn path(key: &str) -> String {
    key.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// As a part of an address or of a form: everything but what has no meaning in either.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            // Writing to a text does not fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_a_key_is_called_its_parts_stay_parts() {
        assert_eq!(path("/a/b-c_d.e~f"), "/a/b-c_d.e~f");
        assert_eq!(path("/ü/a b+c?d=e#f%2F"), "/%C3%BC/a%20b%2Bc%3Fd%3De%23f%252F");
        assert_eq!(path("/\\/\"\n"), "/%5C/%22%0A");
    }

    #[test]
    fn answers_are_told_apart() {
        let not_found = json!({"errorCode": 100, "message": "Key not found", "cause": "/a"});
        assert_eq!(
            of(not_found, false),
            Some(Said::Refused(NOT_FOUND, "Key not found (/a)".to_owned()))
        );
        let node = json!({"key": "/a", "value": "1"});
        let answer = json!({"action": "set", "node": node});
        assert_eq!(of(answer.clone(), true), Some(Said::Node(node)));
        assert_eq!(of(answer, false), None);
        assert_eq!(of(json!({"errorCode": 301, "message": "During Leader Election"}), false), None);
        assert_eq!(of(json!({"message": "Insufficient credentials"}), false), None);
    }
}
