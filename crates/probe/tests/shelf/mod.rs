//! A made-up product, "shelf": keys and values behind several endpoints, with faults to order.

use quorate_model::{Cluster, Host, Node, Policy};
use quorate_packs::{Pack, Packs};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

pub(crate) const PACK: &str = r#"
schema: 1
pack: shelf
title: Shelf
about: A made-up product that keeps keys and values.
scheme: { line_parts: 2, version_args: [--version], binaries: [shelf] }
lines: [{ line: "1.0" }, { line: "2.0" }]
vars:
  path: [{ releases: "1.0.x", value: one }, { releases: "2.0.x", value: two }]
client:
  endpoint: client
  key_prefix: /probe/
  ways:
    - releases: ">=1.0 <3.0"
      write: { http: { method: PUT, url: "{{ endpoint }}/{{ vars.path }}{{ key }}", body: "{{ value }}" } }
      write_ok: status == 200 && body.ok
      read: { http: { method: GET, url: "{{ endpoint }}/{{ vars.path }}{{ key }}" } }
      read_value: "has(body.value) ? body.value : null"
      list: { http: { method: GET, url: "{{ endpoint }}/list{{ prefix }}" } }
      list_pairs: body.pairs
      watch: { http: { method: GET, url: "{{ endpoint }}/watch/{{ revision }}" } }
      watch_events: body.events
      clean: { http: { method: DELETE, url: "{{ endpoint }}/list{{ prefix }}" } }
    - releases: 4.0.x
      write: { command: { argv: [shelf, put] } }
      write_ok: "true"
      read: { command: { argv: [shelf, get] } }
      read_value: "null"
      list: { command: { argv: [shelf, list] } }
      list_pairs: "[]"
      clean: { command: { argv: [shelf, clean] } }
"#;

/// How clients of the product lock: for the first of its ways.
pub(crate) const LOCK: &str = r#"
      lock:
        open: { http: { method: PUT, url: "{{ endpoint }}/session/open" } }
        session: body.id
        ttl_secs: 10
        renew: { http: { method: PUT, url: "{{ endpoint }}/session/renew/{{ session }}" } }
        take: { http: { method: PUT, url: "{{ endpoint }}/lock/take/{{ session }}" } }
        taken: body.taken == true
        look: { http: { method: GET, url: "{{ endpoint }}/lock/look" } }
        holder: "[body.holder, int(body.number)]"
        give_back: { http: { method: PUT, url: "{{ endpoint }}/lock/give/{{ session }}" } }
        close: { http: { method: PUT, url: "{{ endpoint }}/session/close/{{ session }}" } }
"#;

/// How an endpoint behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Serve,
    /// Takes requests and never answers.
    Silent,
    /// Answers that it cannot.
    Broken,
    /// Carries writes out and hangs up before it says so.
    HangUp,
}

#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) values: BTreeMap<String, String>,
    log: Vec<(String, String)>,
    /// Acknowledges writes and forgets them.
    pub(crate) forgets: bool,
    /// Counts watches, to hang up on them.
    pub(crate) epoch: u64,
    pub(crate) asked: Vec<String>,
    /// Sessions that are open, the one that has the lock, and the number of its holders so far.
    sessions: BTreeMap<u64, ()>,
    holder: Option<u64>,
    holders: u64,
    opened: u64,
    /// How many of the next requests to give the lock back are carried out late.
    pub(crate) late: u64,
    modes: Vec<Mode>,
}

/// The product, with one port for each endpoint.
#[derive(Clone)]
pub(crate) struct Shelf {
    content: Arc<(Mutex<Content>, Condvar)>,
    pub(crate) urls: Vec<String>,
}

impl Shelf {
    pub(crate) fn open(modes: &[Mode]) -> Self {
        let content = Content { modes: modes.to_vec(), ..Content::default() };
        let mut shelf =
            Self { content: Arc::new((Mutex::new(content), Condvar::new())), urls: Vec::new() };
        for index in 0..modes.len() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            shelf.urls.push(format!("http://{}", listener.local_addr().unwrap()));
            let own = shelf.clone();
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let own = own.clone();
                    thread::spawn(move || own.serve(index, stream));
                }
            });
        }
        shelf
    }

    pub(crate) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.0.lock().unwrap()
    }

    pub(crate) fn set(&self, index: usize, mode: Mode) {
        self.content().modes[index] = mode;
    }

    /// Hangs up on every watch.
    pub(crate) fn cut_watches(&self) {
        self.content().epoch += 1;
        self.content.1.notify_all();
    }

    fn serve(&self, index: usize, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let (method, path, body) = request(&mut reader)?;
            self.content().asked.push(format!("{method} {path}"));
            let mode = self.content().modes[index];
            if mode == Mode::Silent {
                thread::park();
                return None;
            }
            if let Some(from) = path.strip_prefix("/watch/") {
                return self.watch(&mut stream, from.parse().ok()?);
            }
            if path.starts_with("/lock/give/") && self.is_late() {
                // Longer than the client waits, and about when it has the lock again.
                thread::sleep(Duration::from_millis(125));
                self.locking(&path);
                return None;
            }
            let (status, answer) = match mode {
                Mode::Serve if path.starts_with("/lock") || path.starts_with("/session") => {
                    self.locking(&path)
                }
                Mode::Broken => (503, json!({"error": "no leader"})),
                _ => (200, self.answer(&method, &path, &body)),
            };
            if mode == Mode::HangUp && method == "PUT" {
                return None;
            }
            let text = answer.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", text.len());
            stream.write_all(format!("{head}{text}").as_bytes()).ok()?;
        }
    }

    fn is_late(&self) -> bool {
        let mut content = self.content();
        let late = content.late > 0;
        content.late = content.late.saturating_sub(1);
        late
    }

    /// Sessions, and one lock that has at most one of them.
    fn locking(&self, path: &str) -> (u16, serde_json::Value) {
        let mut content = self.content();
        let session = path.rsplit('/').next().and_then(|id| id.parse::<u64>().ok());
        let own = session.filter(|id| content.sessions.contains_key(id));
        match (path.split('/').nth(2), own) {
            (Some("open"), _) => {
                content.opened += 1;
                let id = content.opened;
                content.sessions.insert(id, ());
                return (200, json!({"id": id.to_string()}));
            }
            (Some("renew"), None) => return (404, json!({})),
            (Some("take"), Some(id)) if content.holder.is_none_or(|holder| holder == id) => {
                content.holders += u64::from(content.holder.is_none());
                content.holder = Some(id);
                return (200, json!({"taken": true}));
            }
            (Some("take"), _) => return (200, json!({"taken": false})),
            (Some("give" | "close"), Some(id)) => {
                content.holder = content.holder.filter(|holder| *holder != id);
                if path.contains("/close/") {
                    content.sessions.remove(&id);
                }
            }
            _ => {}
        }
        let holder = content.holder.map(|id| id.to_string()).unwrap_or_default();
        (200, json!({"holder": holder, "number": content.holders}))
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let mut content = self.content();
        if let Some(prefix) = path.strip_prefix("/list") {
            if method == "DELETE" {
                content.values.retain(|key, _| !key.starts_with(prefix));
                return json!({});
            }
            let own = content.values.iter().filter(|(key, _)| key.starts_with(prefix));
            return json!({"pairs": own.collect::<Vec<_>>()});
        }
        let key = path[1..].find('/').map(|at| path[at + 1..].to_owned()).unwrap_or_default();
        if method == "PUT" {
            if !content.forgets {
                content.values.insert(key.clone(), body.to_owned());
                content.log.push((key, body.to_owned()));
                self.content.1.notify_all();
            }
            return json!({"ok": true});
        }
        match content.values.get(&key) {
            Some(value) => json!({"value": value}),
            None => json!({}),
        }
    }

    /// Streams one document an event; revision 0 means from now on.
    fn watch(&self, stream: &mut TcpStream, from: usize) -> Option<()> {
        stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n{\"events\":[]}\n").ok()?;
        let mut content = self.content();
        let epoch = content.epoch;
        let mut next = if from == 0 { content.log.len() } else { from - 1 };
        while content.epoch == epoch {
            while let Some((key, value)) = content.log.get(next).cloned() {
                next += 1;
                let text = json!({"events": [[key, value, next]]}).to_string();
                drop(content);
                stream.write_all(text.as_bytes()).ok()?;
                content = self.content();
            }
            content = self.content.1.wait_timeout(content, Duration::from_secs(1)).unwrap().0;
        }
        None
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, String::from_utf8(body).ok()?))
}

pub(crate) fn pack(text: &str, name: &str) -> Arc<Pack> {
    let packs = Packs::load(&[("pack.yaml".to_owned(), text.to_owned())]).unwrap();
    packs.shared(&name.into()).unwrap()
}

pub(crate) fn cluster(urls: &[String]) -> Cluster {
    let node = |(index, url): (usize, &String)| Node {
        name: format!("s{index}").into(),
        group: "server".into(),
        host: Host::Local,
        endpoints: BTreeMap::from([("client".into(), url.clone())]),
        data_dir: None,
        service: None,
    };
    Cluster {
        name: "shelf".into(),
        pack: "shelf".into(),
        environment: None,
        nodes: urls.iter().enumerate().map(node).collect(),
        tls: None,
        auth: None,
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy::default(),
    }
}
