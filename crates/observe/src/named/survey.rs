//! Looks around on one host: which products run there, what starts them, where they listen, and whether sudo is needed for it.

use crate::{process::find::Found, sight};
use jiff::SignedDuration;
use quorate_model::{Host, SshHost, fleet::UNIT_GRACE_DEFAULT};
use quorate_transport::{Answer, Command, Transport};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// Ten seconds: the scripts read some files of the kernel. A host that needs longer is not one to adopt now.
const LIMIT: Duration = Duration::from_secs(10);

/// A process, and what is to be known for its restart.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) found: Found,
    pub(super) unit: Option<Unit>,
    /// Addresses that it listens on.
    pub(super) listens: Vec<SocketAddr>,
}

/// The unit of systemd that started a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: String,
    /// The process that systemd takes for the unit's own.
    pub(super) main_pid: u32,
    /// The longest that a stop takes.
    pub(super) stop: Duration,
}

/// A host that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Surveyed {
    pub(super) host: SshHost,
    pub(super) running: Vec<Running>,
    /// What a person should know.
    pub(super) note: Option<String>,
}

/// Logs in and looks. The error is a sentence.
pub(super) async fn survey(
    transports: &crate::Transports,
    name: &str,
    names: &[String],
) -> Result<Surveyed, String> {
    let way = |sudo| SshHost { sudo, ..SshHost::new(name) };
    let to = |sudo| transports(&Host::Ssh(way(sudo)));
    let own = to(false).run(&Command::new(["id", "-u"]), LIMIT).await.into_result()?;
    let is_root = own.text().trim() == "0";
    let (sudo, note) = match is_root {
        true => (false, None),
        false => match to(true).run(&Command::new(["id", "-u"]), LIMIT).await {
            Answer::Done(said) if said.text().trim() == "0" => (true, None),
            Answer::Done(said) => (false, Some(said.complaint())),
            Answer::Failed(because) | Answer::Unknown(because) => (false, Some(because)),
        },
    };
    let note = note.map(|because| {
        format!("{name}: without sudo, processes of others show neither settings nor addresses: {because}")
    });
    let transport = to(sudo);
    let processes = sight::processes(transport.as_ref(), names).await?;
    let running = told(transport.as_ref(), processes).await?;
    Ok(Surveyed { host: way(sudo), running, note })
}

async fn told(transport: &dyn Transport, processes: Vec<Found>) -> Result<Vec<Running>, String> {
    if processes.is_empty() {
        return Ok(Vec::new());
    }
    let fixed = ["sh", "-c", include_str!("survey.sh"), "quorate"].map(str::to_owned);
    let pids = processes.iter().map(|found| found.pid.to_string());
    let mut command = Command::new(fixed.into_iter().chain(pids));
    command.clean_env = true;
    let said = transport.run(&command, LIMIT).await.into_result()?;
    if !said.ok() {
        return Err(said.complaint());
    }
    Ok(read(&said.text(), processes))
}

fn read(text: &str, processes: Vec<Found>) -> Vec<Running> {
    let running = |found: Found| Running { found, unit: None, listens: Vec::new() };
    let mut all: Vec<Running> = processes.into_iter().map(running).collect();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(what), Some(pid), Some(rest)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let own = all.iter_mut().find(|one| one.found.pid.to_string() == pid);
        let Some(own) = own else { continue };
        match what {
            "unit" => own.unit = unit(rest),
            "listens" => own.listens.extend(address(rest)),
            _ => {}
        }
    }
    all
}

/// `etcd.service 137 1min 30s`.
fn unit(text: &str) -> Option<Unit> {
    let mut words = text.splitn(3, ' ');
    let name = words.next()?.to_owned();
    let main_pid = words.next()?.parse().ok()?;
    // `infinity` is no time; what systemd does when a unit says nothing is the better guess.
    let stop = words.next().and_then(|stop| stop.trim().parse::<SignedDuration>().ok());
    let stop = stop.and_then(|stop| Duration::try_from(stop).ok()).unwrap_or(UNIT_GRACE_DEFAULT);
    Some(Unit { name, main_pid, stop })
}

/// An address as the kernel writes it, `0100007F:094B`: each four bytes in the order of the machine, which is little-endian on
/// all that products run on.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.trim().split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let bytes = hex::decode(address).ok()?;
    let turned: Vec<u8> = bytes.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
    let ip = match <[u8; 4]>::try_from(turned.as_slice()) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => {
            let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(turned.as_slice()).ok()?);
            v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
        }
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_script_tells() {
        let found = |pid| Found { pid, ..Found::read(std::process::id()).unwrap() };
        let text = "unit 7 etcd.service 7 1min 30s\nlistens 7 0100007F:094B\nlistens 7 00000000000000000000000000000000:094C\nlistens 9 0100007F:0001\nunit 8 x.service 0 infinity\nnoise\n";
        let all = read(text, vec![found(7), found(8)]);
        let unit = all[0].unit.clone().unwrap();
        assert_eq!(
            (unit.name.as_str(), unit.main_pid, unit.stop.as_secs()),
            ("etcd.service", 7, 90)
        );
        let shown: Vec<String> = all[0].listens.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:2379", "[::]:2380"]);
        assert_eq!(all[1].unit.as_ref().unwrap().stop, UNIT_GRACE_DEFAULT);
        assert!(all[1].listens.is_empty());
    }

    #[test]
    fn addresses_of_the_kernel_are_read() {
        let shown = |text| address(text).map(|one| one.to_string());
        assert_eq!(shown("0B68F60A:094B").as_deref(), Some("10.246.104.11:2379"));
        assert_eq!(
            shown("0000000000000000FFFF00000100007F:1F90").as_deref(),
            Some("127.0.0.1:8080")
        );
        assert_eq!(shown("xyz"), None);
        assert_eq!(shown("0100:1"), None);
    }

    #[tokio::test]
    async fn a_process_of_this_machine_is_seen_with_its_sockets() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = Found::read(std::process::id()).unwrap();
        let seen = told(&quorate_transport::LocalTransport, vec![own]).await.unwrap();
        assert!(seen[0].listens.contains(&socket.local_addr().unwrap()), "{:?}", seen[0].listens);
    }
}
