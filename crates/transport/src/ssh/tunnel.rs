//! Addresses as a host sees them, at sockets on this machine: what listens on a host's loopback is reached through the
//! connection, and no tool is needed over there.
//!
//! Invariant: a socket lies in a folder that only this user may enter, so nobody else can use the tunnel.

use super::{SshTransport, connect::sentence, sockets::Folder};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Weak},
};
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    sync::Mutex,
    task::JoinHandle,
};

/// The tunnels of this program.
#[derive(Default)]
pub(super) struct Tunnels {
    open: Mutex<Option<Open>>,
}

struct Open {
    folder: Folder,
    sockets: HashMap<String, (PathBuf, JoinHandle<()>)>,
}

impl Drop for Open {
    fn drop(&mut self) {
        for (_, task) in self.sockets.values() {
            task.abort();
        }
    }
}

impl Tunnels {
    /// The socket that leads to this address on this host.
    pub(super) async fn socket(
        &self,
        to: &Arc<SshTransport>,
        address: &str,
    ) -> Result<PathBuf, String> {
        let failed = |what: &str, cause: &std::io::Error| {
            format!("cannot {what} for the tunnel to {}: {}", to.name, crate::local::because(cause))
        };
        let (host, port) = split(address).ok_or_else(|| {
            format!("`{address}` is no address with a port, so no tunnel can lead there")
        })?;
        let key = format!("{}|{address}", to.name);
        let mut open = self.open.lock().await;
        if let Some((path, _)) = open.as_ref().and_then(|open| open.sockets.get(&key)) {
            return Ok(path.clone());
        }
        let open = match open.as_mut() {
            Some(open) => open,
            None => {
                let folder = Folder::make().map_err(|cause| failed("make a folder", &cause))?;
                open.insert(Open { folder, sockets: HashMap::new() })
            }
        };
        let path = open.folder.path().join(open.sockets.len().to_string());
        let listener =
            UnixListener::bind(&path).map_err(|cause| failed("open a socket", &cause))?;
        let task = tokio::spawn(serve(listener, Arc::downgrade(to), host, port));
        open.sockets.insert(key, (path.clone(), task));
        Ok(path)
    }
}

/// Takes connections until the transport is gone.
async fn serve(listener: UnixListener, to: Weak<SshTransport>, host: String, port: u16) {
    while let Ok((near, _)) = listener.accept().await {
        let Some(to) = to.upgrade() else { return };
        let host = host.clone();
        tokio::spawn(async move {
            // Who asked sees a closed connection, which is what it would see without the tunnel.
            if let Err(because) = carry(near, &to, &host, port).await {
                tracing::debug!(host = %to.name, to = %format!("{host}:{port}"), because, "tunnel");
            }
        });
    }
}

async fn carry(
    mut near: UnixStream,
    to: &SshTransport,
    host: &str,
    port: u16,
) -> Result<(), String> {
    let session = to.connections().session(&to.host.name).await?;
    let channel = session
        .handle
        .channel_open_direct_tcpip(host.to_owned(), u32::from(port), "127.0.0.1", 0)
        .await
        .map_err(|error| sentence(&error))?;
    let mut far = channel.into_stream();
    copy_bidirectional(&mut near, &mut far).await.map(|_| ()).map_err(|cause| cause.to_string())
}

/// Host and port of `127.0.0.1:2379`, `[::1]:2379`.
fn split(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

/// Whether an address means the host that says it.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = split(address).map(|(host, _)| host).unwrap_or_default();
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(split("127.0.0.1:2379"), Some(("127.0.0.1".into(), 2379)));
        assert_eq!(split("[::1]:2379"), Some(("::1".into(), 2379)));
        assert!(split("127.0.0.1").is_none() && split(":80").is_none() && split("a:b").is_none());
        for own in ["127.0.0.1:1", "127.1.2.3:1", "localhost:1", "[::1]:1"] {
            assert!(is_loopback(own), "{own}");
        }
        assert!(!is_loopback("10.0.0.1:1") && !is_loopback("db-1:1"));
    }
}
