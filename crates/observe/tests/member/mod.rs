//! A member that answers over HTTP from a table, for looks at it.
#![allow(dead_code, reason = "not every test asks a member everything")]

use quorate_model::Host;
use quorate_observe::Transports;
use quorate_transport::{LocalTransport, Transport};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

type Answers = Arc<Mutex<BTreeMap<String, String>>>;

/// A member that answers from a table and remembers what it was asked.
pub(crate) struct Member {
    pub(crate) url: String,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Member {
    pub(crate) fn start(answers: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let owned = answers.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let (answers, asked) =
            (Arc::new(Mutex::new(owned.collect())), Arc::new(Mutex::new(Vec::new())));
        let member = Self { url, answers: Arc::clone(&answers), asked: Arc::clone(&asked) };
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut lines =
                    BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let answer: Option<String> = answers.lock().unwrap().get(&path).cloned();
                asked.lock().unwrap().push(path);
                let (status, text) = answer.map_or((404, "{}".into()), |text| (200, text));
                let head = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    text.len()
                );
                let _ = stream.write_all(format!("{head}{text}").as_bytes());
            }
        });
        member
    }

    pub(crate) fn set(&self, path: &str, text: &str) {
        self.answers.lock().unwrap().insert(path.into(), text.into());
    }

    pub(crate) fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

pub(crate) fn transports() -> Transports {
    Arc::new(|_: &Host| Arc::new(LocalTransport::new()) as Arc<dyn Transport>)
}
