//! A small HTTP server that can be silent, cut its answers, count connections, and speak TLS.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// Far shorter than any test framework's patience, far longer than a loop-back exchange.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// For answers that never come.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What the server does about it.
pub(crate) enum Reply {
    /// A whole answer.
    Answer(u16, String),
    /// A redirection.
    MovedTo(&'static str),
    /// Nothing, with the connection held open.
    Silence,
    /// The connection ends before any answer.
    Cut,
    /// The head, some of the body, and the end of the connection.
    CutInBody,
    /// Chunks, and then the proper end, a cut, or silence.
    Chunks(Vec<&'static str>, End),
}

pub(crate) enum End {
    Proper,
    Cut,
    Silence,
}

pub(crate) fn ok(body: &str) -> Reply {
    Reply::Answer(200, body.to_owned())
}

/// Ends with the test.
pub(crate) struct Server {
    /// `http://127.0.0.1:40123`.
    pub(crate) origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn plain(handle: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start("http", None, handle).await
    }
    pub(crate) async fn tls(
        config: ServerConfig,
        handle: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start("https", Some(TlsAcceptor::from(Arc::new(config))), handle).await
    }
    async fn start(
        scheme: &str,
        tls: Option<TlsAcceptor>,
        handle: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("{scheme}://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, handle) = (seen.clone(), Arc::new(handle));
        let task = tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                connection += 1;
                let (log, handle, tls) = (log.clone(), handle.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, connection, &log, &*handle).await,
                        Some(tls) => {
                            // A client that refuses the certificate ends the handshake; that is its right.
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, connection, &log, &*handle).await;
                            }
                        }
                    }
                });
            }
        });
        Self { origin, seen, task }
    }
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
    pub(crate) fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address on which nothing listens.
pub(crate) async fn nobody(scheme: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("{scheme}://{}", listener.local_addr().unwrap())
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    connection: usize,
    log: &Mutex<Vec<Seen>>,
    handle: &(dyn Fn(&Seen) -> Reply + Send + Sync),
) {
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut stream, &mut buffer, connection).await {
        let reply = handle(&seen);
        log.lock().unwrap().push(seen);
        let text = match reply {
            Reply::Answer(status, body) => {
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            Reply::MovedTo(path) => {
                format!("HTTP/1.1 302 X\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n")
            }
            Reply::Silence => return std::future::pending().await,
            Reply::Cut => return,
            Reply::CutInBody => {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Chunks(chunks, end) => {
                let mut text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
                for chunk in chunks {
                    text.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
                }
                match end {
                    End::Proper => text + "0\r\n\r\n",
                    End::Cut | End::Silence => {
                        let _ = stream.write_all(text.as_bytes()).await;
                        let _ = stream.flush().await;
                        if matches!(end, End::Silence) {
                            std::future::pending::<()>().await;
                        }
                        return;
                    }
                }
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> Option<Seen> {
    let head_end = loop {
        if let Some(place) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break place + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let len = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    while buffer.len() < head_end + len {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer[head_end..head_end + len]).into_owned();
    buffer.drain(..head_end + len);
    Some(Seen { connection, method, path, headers, body })
}
