//! An application that lives by a cluster of etcd: it writes one numbered key after the other until it is told to end, and keeps
//! a list of those that the cluster has acknowledged.
//!
//! `writer FOLDER`. Keys are `/NAME/NUMBER`, with the name of the folder, which holds `mode` (`v2` or `v3`, read at the start), `members` (a client address a line), and gets
//! `acked` (`MODE NUMBER` a line) and `pid`.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

/// One write: a member that has not answered by then is left for the next one.
const ANSWER: Duration = Duration::from_secs(2);
/// A test ends within that, whatever becomes of it.
const LIFE: Duration = Duration::from_secs(600);
/// Fifty keys a second are enough to see a gap, and leave the machine to the others.
const PACE: Duration = Duration::from_millis(20);
/// The paths of the JSON gateway from 3.3 on.
const GATEWAYS: [&str; 2] = ["v3beta", "v3"];

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else { return ExitCode::FAILURE };
    match write_on(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write_on(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("load");
    let mode = fs::read_to_string(folder.join("mode"))?.trim().to_owned();
    let members = fs::read_to_string(folder.join("members"))?;
    let members: Vec<&str> = members.lines().collect();
    let mut acked = fs::File::options().create(true).append(true).open(folder.join("acked"))?;
    let known = fs::read_to_string(folder.join("acked"))?;
    let mut number = known.lines().count();
    let began = Instant::now();
    fs::write(folder.join("pid"), std::process::id().to_string())?;
    let mut turn = 0;
    while began.elapsed() < LIFE {
        let member = members[turn % members.len()];
        let written = match mode.as_str() {
            "v2" => ask(
                member,
                "PUT",
                &format!("/v2/keys/{name}/{number}"),
                FORM,
                &format!("value={number}"),
            ),
            _ => GATEWAYS.iter().find_map(|gateway| {
                let body = format!(
                    r#"{{"key":"{}","value":"{}"}}"#,
                    base64(&format!("/{name}/{number}")),
                    base64(&number.to_string())
                );
                ask(member, "POST", &format!("/{gateway}/kv/put"), JSON, &body)
            }),
        };
        // The same key again through the next member: nobody knows what became of it.
        match written {
            Some(()) => {
                writeln!(acked, "{mode} {number}")?;
                number += 1;
            }
            None => turn += 1,
        }
        std::thread::park_timeout(PACE);
    }
    Ok(())
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Says one thing to a member; nothing unless it took it.
fn ask(member: &str, method: &str, path: &str, kind: &str, body: &str) -> Option<()> {
    let said = || -> io::Result<String> {
        let address: SocketAddr = member.parse().map_err(io::Error::other)?;
        let mut socket = TcpStream::connect_timeout(&address, ANSWER)?;
        socket.set_read_timeout(Some(ANSWER))?;
        let length = body.len();
        write!(
            socket,
            "{method} {path} HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut said = String::new();
        socket.read_to_string(&mut said)?;
        Ok(said)
    };
    let said = said().ok()?;
    let status = said.split_whitespace().nth(1)?;
    matches!(status, "200" | "201").then_some(())
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for place in 0..4 {
            let six = usize::try_from(word >> (18 - 6 * place) & 63).unwrap_or_default();
            out.push(if place > three.len() { '=' } else { char::from(LETTERS[six]) });
        }
    }
    out
}
