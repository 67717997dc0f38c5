//! Says what a client says, in the words of the pack, and understands the answer.

use crate::options::Tunnels;
use quorate_model::{Cluster, NodeName, Release};
use quorate_packs::{
    CallTemplate, ClientView, ClientWay, LockWay, Login, LookupWay, Pack, TemplateValue,
    eval::Scope, template_value,
};
use quorate_transport::{
    Answer,
    http::{Credentials, HttpClient, HttpRequest, HttpResponse, LoginRequest, TlsError},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Statuses that say that the server looked at a request and did not carry it out. Others leave that open.
const REFUSING: &[u16] = &[400, 401, 403, 404, 405, 501];

/// How one try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried<T> {
    /// It was carried out.
    Done(T),
    /// It was certainly not carried out.
    Not(String),
    /// Nobody knows.
    Unclear(String),
}

/// How to speak to the members of one release.
pub(crate) struct Way {
    pack: Arc<Pack>,
    way: ClientWay,
    login: Option<Login>,
    vars: BTreeMap<String, String>,
    http: HttpClient,
    tunnels: Tunnels,
}

/// What stands before the name of a node in an address that leads through its tunnel: the loopback addresses of many hosts
/// are one text otherwise.
const THROUGH: &str = "quorate-tunnel-";

/// An address that leads through a node's tunnel.
pub(crate) fn through(node: &NodeName, url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{THROUGH}{node}@{rest}"),
        None => url.to_owned(),
    }
}

/// An address without the tunnel that it leads through, and that tunnel's node.
fn parted(url: String) -> (String, Option<NodeName>) {
    let parts = url.split_once(&format!("://{THROUGH}")).and_then(|(scheme, rest)| {
        let (node, rest) = rest.split_once('@')?;
        Some((format!("{scheme}://{rest}"), NodeName::new(node)))
    });
    match parts {
        Some((url, node)) => (url, Some(node)),
        None => (url, None),
    }
}

/// What the templates of one request know.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Words<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) revision: u64,
    pub(crate) session: &'a str,
}

/// An event of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) revision: u64,
}

impl Way {
    /// The way for a release. `None` when the pack knows none.
    pub(crate) fn new(
        pack: &Arc<Pack>,
        view: &ClientView,
        cluster: &Cluster,
        release: &Release,
        tunnels: &Tunnels,
    ) -> Option<Result<Self, TlsError>> {
        let way = view.ways.iter().find(|way| way.releases.contains(release))?.clone();
        let logins = pack.detect.as_ref().map(|detect| detect.auth.as_slice()).unwrap_or_default();
        let login = logins.iter().find(|login| login.releases.contains(release)).cloned();
        let login = login.filter(|_| cluster.auth.is_some());
        let credentials =
            login.as_ref().zip(cluster.auth.as_ref()).map(|(login, auth)| Credentials {
                user: auth.user.clone(),
                password: auth.password.clone(),
                login: login_request(pack, login),
                token_header: login.ask.is_none().then(|| login.header.clone()),
                basic_for: login.basic_for.clone(),
            });
        let vars = pack.vars_for(release);
        let http = HttpClient::new(cluster.tls.as_ref(), credentials);
        let tunnels = tunnels.clone();
        Some(http.map(|http| Self { pack: pack.clone(), way, login, vars, http, tunnels }))
    }

    /// Whether two ways say the same, so that connections and tokens may stay.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.way == other.way && self.login == other.login && self.vars == other.vars
    }

    /// Whether there is a watch.
    pub(crate) fn can_watch(&self) -> bool {
        self.way.watch.is_some() && self.way.watch_events.is_some()
    }

    /// Whether a watch is one question after another instead of a stream.
    pub(crate) fn polls(&self) -> bool {
        self.way.watch_polls
    }

    /// How clients lock; none where the pack does not say.
    pub(crate) fn lock(&self) -> Option<&LockWay> {
        self.way.lock.as_ref()
    }

    /// What can be looked up.
    pub(crate) fn lookups(&self) -> &[LookupWay] {
        &self.way.lookups
    }

    /// Writes a value.
    pub(crate) async fn write(&self, words: Words<'_>, limit: Duration) -> Tried<()> {
        match self.ask(&self.way.write, words, limit, false).await {
            Tried::Done(answer) => match self.evaluate(&self.way.write_ok, &answer) {
                Ok(Value::Bool(true)) => Tried::Done(()),
                Ok(_) => Tried::Unclear(said(&answer)),
                Err(because) => Tried::Unclear(because),
            },
            Tried::Not(because) => Tried::Not(because),
            Tried::Unclear(because) => Tried::Unclear(because),
        }
    }

    /// Reads a key.
    pub(crate) async fn read(
        &self,
        words: Words<'_>,
        limit: Duration,
    ) -> Result<Option<String>, String> {
        let answer = self.asked(&self.way.read, words, limit).await?;
        match self.evaluate(&self.way.read_value, &answer)? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Ok(Some(other.to_string())),
        }
    }

    /// Reads every key under the prefix.
    pub(crate) async fn list(
        &self,
        words: Words<'_>,
        limit: Duration,
    ) -> Result<BTreeMap<String, String>, String> {
        let answer = self.asked(&self.way.list, words, limit).await?;
        let pairs = self.evaluate(&self.way.list_pairs, &answer)?;
        let Value::Array(pairs) = pairs else {
            return Err("the pack's `list_pairs` gives no list".into());
        };
        let pair = |pair: &Value| Some((text(pair.get(0)?)?, text(pair.get(1)?)?));
        let wrong =
            || "the pack's `list_pairs` gives something that is no pair of texts".to_owned();
        pairs.iter().map(|one| pair(one).ok_or_else(wrong)).collect()
    }

    /// Removes every key under the prefix.
    pub(crate) async fn clean(&self, words: Words<'_>, limit: Duration) -> Result<(), String> {
        self.asked(&self.way.clean, words, limit).await.map(drop)
    }

    /// The request that watches the prefix, and the client to send it with.
    pub(crate) fn watch(&self, words: Words<'_>) -> Result<(HttpRequest, &HttpClient), String> {
        let call = self.way.watch.as_ref().ok_or("the pack has no watch")?;
        Ok((self.request(call, words)?.0.reads_only(), &self.http))
    }

    /// Asks one question of a watch that polls, and gives its events.
    pub(crate) async fn poll(
        &self,
        words: Words<'_>,
        limit: Duration,
    ) -> Result<Vec<Event>, String> {
        let call = self.way.watch.as_ref().ok_or("the pack has no watch")?;
        let answer = self.asked(call, words, limit).await?;
        let scope = answer_scope(&answer).with("revision", &json!(words.revision));
        self.events_in(&scope)
    }

    /// The events in one document of a watch.
    pub(crate) fn events(&self, document: &Value) -> Result<Vec<Event>, String> {
        self.events_in(&Scope::default().with("body", document))
    }

    fn events_in(&self, scope: &Scope) -> Result<Vec<Event>, String> {
        let cel = self.way.watch_events.as_deref().ok_or("the pack has no `watch_events`")?;
        let Value::Array(events) = self.pack.value_in(cel, scope)? else {
            return Err("the pack's `watch_events` gives no list".into());
        };
        let event = |one: &Value| {
            let revision = text(one.get(2)?)?.parse().ok()?;
            Some(Event { key: text(one.get(0)?)?, value: text(one.get(1)?)?, revision })
        };
        let wrong = || "the pack's `watch_events` gives something that is no event".to_owned();
        events.iter().map(|one| event(one).ok_or_else(wrong)).collect()
    }

    /// Asks and expects an answer that the pack calls fine.
    pub(crate) async fn asked(
        &self,
        call: &CallTemplate,
        words: Words<'_>,
        limit: Duration,
    ) -> Result<HttpResponse, String> {
        match self.ask(call, words, limit, true).await {
            Tried::Done(answer) => Ok(answer),
            Tried::Not(because) | Tried::Unclear(because) => Err(because),
        }
    }

    /// Asks once. What only reads may be sent again when its connection breaks.
    pub(crate) async fn ask(
        &self,
        call: &CallTemplate,
        words: Words<'_>,
        limit: Duration,
        reads: bool,
    ) -> Tried<HttpResponse> {
        let (request, expect) = match self.request(call, words) {
            Ok(request) => request,
            Err(because) => return Tried::Not(because),
        };
        let request = if reads { request.reads_only() } else { request };
        match self.http.send(&request, limit).await {
            Answer::Done(answer) => {
                let fine = if expect.is_empty() {
                    answer.status == 200
                } else {
                    expect.contains(&answer.status)
                };
                match (fine, REFUSING.contains(&answer.status)) {
                    (true, _) => Tried::Done(answer),
                    (false, true) => Tried::Not(said(&answer)),
                    (false, false) => Tried::Unclear(said(&answer)),
                }
            }
            Answer::Failed(because) => Tried::Not(because),
            Answer::Unknown(because) => Tried::Unclear(because),
        }
    }

    fn request<'c>(
        &self,
        call: &'c CallTemplate,
        words: Words<'_>,
    ) -> Result<(HttpRequest, &'c [u16]), String> {
        let CallTemplate::Http { method, url, body, form, expect_status } = call else {
            return Err("a client speaks HTTP only".into());
        };
        let context = self.context(words);
        let (url, node) = parted(self.pack.render(url, &context)?);
        let tunnel = node.and_then(|node| self.tunnels.get(&node)).cloned();
        let mut request = HttpRequest::new(method.as_str(), url).via(tunnel);
        if let Some(body) = body {
            let body = self.pack.render(body, &context)?;
            request = if *form { request.form(body) } else { request.json(body) };
        }
        Ok((request, expect_status))
    }

    fn context(&self, words: Words<'_>) -> TemplateValue {
        let Words { endpoint, key, value, prefix, revision, session } = words;
        template_value(&json!({
            "endpoint": endpoint, "key": key, "value": value, "revision": revision,
            "session": session, "prefix": prefix, "prefix_end": end_of(prefix), "vars": self.vars,
        }))
    }

    /// The addresses that an answer to a lookup names.
    pub(crate) fn addresses(
        &self,
        lookup: &LookupWay,
        answer: &HttpResponse,
    ) -> Result<Vec<String>, String> {
        let cel = lookup.addresses.as_deref().ok_or("the pack has no `addresses`")?;
        let Value::Array(all) = self.evaluate(cel, answer)? else {
            return Err("the pack's `addresses` gives no list".into());
        };
        Ok(all.iter().filter_map(text).collect())
    }

    /// What an expression makes of an answer.
    pub(crate) fn evaluate(&self, cel: &str, answer: &HttpResponse) -> Result<Value, String> {
        self.pack.value_in(cel, &answer_scope(answer))
    }
}

fn answer_scope(answer: &HttpResponse) -> Scope {
    Scope::default()
        .with("status", &json!(answer.status))
        .with("body", &answer.json().unwrap_or(Value::Null))
}

/// The pack's login for the client of this room: who and where is filled in at the moment of use.
fn login_request(pack: &Pack, login: &Login) -> Option<LoginRequest> {
    let later = json!({
        "user": "{{ user }}", "password": "{{ password }}",
        "origin": "{{ origin }}", "endpoint": "{{ origin }}",
    });
    let context = template_value(&later);
    let fill = |text: &str| pack.render(text, &context).unwrap_or_else(|_| text.to_owned());
    let Some(CallTemplate::Http { method, url, body, form, expect_status: _ }) = &login.ask else {
        return None;
    };
    Some(LoginRequest {
        method: method.clone(),
        url: fill(url),
        body: body.as_deref().map(fill),
        form: *form,
        token_pointer: login.token.clone(),
        header: login.header.clone(),
    })
}

/// Whether every call of a way is one that a client can make.
pub(crate) fn speaks_http(way: &ClientWay) -> bool {
    let ClientWay { write, read, list, watch, clean, lock, lookups, .. } = way;
    let locks = lock.iter().flat_map(|lock| {
        let LockWay { open, renew, take, look, give_back, close, .. } = lock;
        [open, renew, take, look, give_back, close]
    });
    let asks = lookups.iter().filter_map(|lookup| lookup.ask.as_ref());
    let calls = [write, read, list, clean].into_iter().chain(watch).chain(locks).chain(asks);
    calls.into_iter().all(|call| matches!(call, CallTemplate::Http { .. }))
}

/// The first text after all that begin with `prefix`: its last byte, one higher. Prefixes of the probe are ASCII.
fn end_of(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    match end.pop().and_then(|last| char::from_u32(u32::from(last) + 1)) {
        Some(next) => end.push(next),
        None => end.push('\u{7f}'),
    }
    end
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a server said that was no success, in a sentence's length.
fn said(answer: &HttpResponse) -> String {
    let text: String = answer.text().chars().take(120).collect();
    format!("status {}: {}", answer.status, text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_carries_its_tunnel_and_gives_it_back() {
        let url = through(&"m1".into(), "http://127.0.0.1:2379");
        assert_eq!(url, "http://quorate-tunnel-m1@127.0.0.1:2379");
        let (plain, node) = parted(format!("{url}/v3/kv/put"));
        assert_eq!((plain.as_str(), node), ("http://127.0.0.1:2379/v3/kv/put", Some("m1".into())));
        assert_eq!(parted("http://a:1/x@y".into()), ("http://a:1/x@y".into(), None));
    }

    #[test]
    fn the_end_of_a_prefix_is_after_all_its_keys() {
        assert_eq!(end_of("/q/a/"), "/q/a0");
        assert!("/q/a/zzz" < end_of("/q/a/").as_str() && end_of("/q/a/").as_str() < "/q/b");
    }
}
