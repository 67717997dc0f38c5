//! One question over DNS, to one server, over UDP.

use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE, rdata::RData,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// What an answer over UDP can hold.
const ANSWER_BYTES: usize = 65_535;

/// Questions of this process, so that a late answer to an earlier one is known as such.
static QUESTIONS: AtomicU16 = AtomicU16::new(1);

/// Asks for the IPv4 addresses of a name. A name that is not known is an answer without addresses.
pub(crate) async fn addresses(
    server: SocketAddr,
    name: &str,
    limit: Duration,
) -> Result<Vec<String>, String> {
    let id = QUESTIONS.fetch_add(1, Ordering::Relaxed);
    let question = question(id, name)?;
    let answer = async {
        let any: SocketAddr =
            if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
        let socket = UdpSocket::bind(any).await?;
        // Connected, so that only this server's answers come, and a closed port is told at once.
        socket.connect(server).await?;
        socket.send(&question).await?;
        let mut bytes = vec![0; ANSWER_BYTES];
        loop {
            let length = socket.recv(&mut bytes).await?;
            let own = bytes.get(..length).unwrap_or_default();
            if own.get(..2) == Some(&id.to_be_bytes()) {
                return Ok::<_, std::io::Error>(own.to_vec());
            }
        }
    };
    match timeout(limit, answer).await {
        Ok(Ok(answer)) => read(&answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

fn question(id: u16, name: &str) -> Result<Vec<u8>, String> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|error| format!("`{name}` is no name: {error}"))?;
    let (kind, class) = (QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN));
    packet.questions.push(Question::new(name, kind, class, false));
    packet.build_bytes_vec().map_err(|error| error.to_string())
}

fn read(answer: &[u8]) -> Result<Vec<String>, String> {
    let packet = Packet::parse(answer).map_err(|error| format!("no answer of DNS: {error}"))?;
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        other => return Err(format!("the server answers {other:?}")),
    }
    let addresses = packet.answers.iter().filter_map(|record| match &record.rdata {
        RData::A(a) => Some(Ipv4Addr::from(a.address).to_string()),
        _ => None,
    });
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::{ResourceRecord, rdata::A};

    /// Answers the first question with these addresses, after a late answer to another one.
    async fn server(code: RCODE, addresses: &'static [[u8; 4]]) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let own = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut bytes = [0; 512];
            let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
            let asked = Packet::parse(&bytes[..length]).unwrap();
            let mut answer = Packet::new_reply(asked.id());
            *answer.rcode_mut() = code;
            for address in addresses {
                let rdata = RData::A(A { address: u32::from_be_bytes(*address) });
                let name = asked.questions[0].qname.clone();
                answer.answers.push(ResourceRecord::new(name, CLASS::IN, 0, rdata));
            }
            let late = Packet::new_reply(asked.id().wrapping_sub(1));
            socket.send_to(&late.build_bytes_vec().unwrap(), from).await.unwrap();
            socket.send_to(&answer.build_bytes_vec().unwrap(), from).await.unwrap();
        });
        own
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn an_answer_gives_its_addresses_and_none_when_the_name_is_not_known() {
        let at = server(RCODE::NoError, &[[10, 0, 0, 1], [10, 0, 0, 2]]).await;
        let found = addresses(at, "consul.service.consul", LIMIT).await;
        assert_eq!(found, Ok(vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()]));
        let at = server(RCODE::NameError, &[]).await;
        assert_eq!(addresses(at, "consul.service.consul", LIMIT).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn who_cannot_answer_is_told_from_who_knows_nobody() {
        let at = server(RCODE::ServerFailure, &[]).await;
        assert!(addresses(at, "a.b", LIMIT).await.unwrap_err().contains("ServerFailure"));
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = silent.local_addr().unwrap();
        let said = addresses(at, "a.b", Duration::from_millis(20)).await.unwrap_err();
        assert!(said.contains("within 20 ms"), "{said}");
        drop(silent);
        assert!(addresses(at, "a.b", LIMIT).await.is_err(), "a closed port");
    }
}
