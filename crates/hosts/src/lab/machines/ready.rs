//! Waits until a machine lets its user in: sshd's greeting, then a login with the lab's key and strict checking.

use super::{
    LabError, Machine,
    boot::group,
    place::{self, State},
    run,
    seed::FIRST_BOOT_SAID,
};
use quorate_model::NodeName;
use quorate_transport::Command;
use std::{fs, net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// One machine boots within two seconds; twenty at once on two processors, with work of their first boot, get a minute
/// and a half.
const BOOT_LIMIT: Duration = Duration::from_secs(90);
/// sshd greets at once, or it is not up.
const GREETING_LIMIT: Duration = Duration::from_secs(1);
/// A login takes some tenths of a second; a loaded machine gets a hundred times that.
const LOGIN_LIMIT: Duration = Duration::from_secs(20);
/// Often enough that a person sees no wait, seldom enough to leave the processors to those that boot.
const POLL: Duration = Duration::from_millis(100);
/// Lines of a machine's console that a message may carry.
const CONSOLE_LINES: usize = 5;

/// Waits until a login works; ends early when the machine dies.
pub(super) async fn wait(dir: &Path, state: &State, machine: &Machine) -> Result<(), LabError> {
    let group = group(state, &machine.name)?;
    let began = Instant::now();
    let fell_short = |because: String| LabError::NotServing {
        node: NodeName::new(&*machine.name),
        waited: began.elapsed(),
        because: format!("{because}; last lines of its console: {}", console(dir, &machine.name)),
    };
    let mut because = "it does not greet on port 22".to_owned();
    loop {
        if greets(SocketAddr::from((machine.address, 22))).await {
            match login(dir, machine).await {
                Ok(()) => return first_boot(dir, machine),
                Err(error) => because = error.to_string(),
            }
        }
        if !group.lives() {
            return Err(fell_short("it has ended".to_owned()));
        }
        if began.elapsed() >= BOOT_LIMIT {
            return Err(fell_short(because));
        }
        sleep(POLL).await;
    }
}

async fn greets(address: SocketAddr) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let mut start = [0; 4];
        stream.read_exact(&mut start).await.ok()?;
        Some(start == *b"SSH-")
    };
    timeout(GREETING_LIMIT, greeting).await.ok().flatten().unwrap_or_default()
}

async fn login(dir: &Path, machine: &Machine) -> Result<(), LabError> {
    let config = dir.join("ssh_config");
    let words =
        ["ssh", "-F", &*config.to_string_lossy(), "-o", "BatchMode=yes", &machine.name, "true"];
    run("logging in", Command::new(words), LOGIN_LIMIT).await.map(drop)
}

/// What the commands of the first boot came to.
fn first_boot(dir: &Path, machine: &Machine) -> Result<(), LabError> {
    let said = place::home(dir, &machine.name).join("root").join(FIRST_BOOT_SAID);
    match fs::read_to_string(said).as_deref().map(str::trim) {
        Ok("success") | Err(_) => Ok(()),
        Ok(other) => Err(LabError::Member {
            node: NodeName::new(&*machine.name),
            because: format!(
                "the commands of its first boot failed ({other}); last lines of its console: {}",
                console(dir, &machine.name)
            ),
        }),
    }
}

fn console(dir: &Path, machine: &str) -> String {
    let text = fs::read(place::home(dir, machine).join("console.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    super::super::up::tail(&text, CONSOLE_LINES)
}
