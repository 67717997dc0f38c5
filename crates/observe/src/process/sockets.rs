//! Which process of this machine listens on a port: the kernel's socket table gives an inode, a process's files give it back.

use super::find::Found;
use procfs::{
    net::TcpState,
    process::{FDTarget, Process},
};
use std::collections::{BTreeMap, BTreeSet};

/// Inodes of listening TCP sockets, by port.
fn listening() -> BTreeMap<u16, BTreeSet<u64>> {
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    let mut ports: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for entry in tables.into_iter().filter_map(Result::ok).flatten() {
        if entry.state == TcpState::Listen {
            ports.entry(entry.local_address.port()).or_default().insert(entry.inode);
        }
    }
    ports
}

fn sockets_of(pid: u32) -> BTreeSet<u64> {
    let Ok(pid) = i32::try_from(pid) else { return BTreeSet::new() };
    let Ok(files) = Process::new(pid).and_then(|process| process.fd()) else {
        return BTreeSet::new();
    };
    files
        .filter_map(Result::ok)
        .filter_map(|file| match file.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect()
}

/// Of these processes, the one that listens on each port.
pub fn listeners(processes: &[Found]) -> BTreeMap<u16, u32> {
    let listening = listening();
    let mut by_port = BTreeMap::new();
    for process in processes {
        let own = sockets_of(process.pid);
        for (port, inodes) in &listening {
            if !own.is_disjoint(inodes) {
                by_port.entry(*port).or_insert(process.pid);
            }
        }
    }
    by_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_who_listens() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let own = Found::read(std::process::id()).unwrap();
        assert_eq!(listeners(std::slice::from_ref(&own)).get(&port), Some(&own.pid));
        drop(socket);
        assert_eq!(listeners(&[own]).get(&port), None);
    }
}
