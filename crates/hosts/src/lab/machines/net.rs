//! The network of a lab: a bridge with a subnet of its own, a link to each machine, and the faults of it.
//!
//! Faults are rules in a table of the lab's own, written anew as a whole whenever one changes. They look at links and
//! not at addresses, so that a cut takes everything, also what asks for addresses.

use super::{LOCAL_LIMIT, LabError, place::State, run, script};
use quorate_transport::Command;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt::Write as _, net::Ipv4Addr};

/// What this machine is called in a set of hosts.
pub(super) const CONTROLLER: &str = "controller";
/// All packets.
pub(super) const ALL: u32 = 1000;

/// Packets between two sets of hosts that do not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rule {
    /// One side: machines, or `controller`.
    pub(super) one: BTreeSet<String>,
    /// The other.
    pub(super) other: BTreeSet<String>,
    /// How many of a thousand.
    pub(super) permille: u32,
}

/// The first part of the subnets; 10.0.0.0/8 is free for private use, and few begin their networks this high.
const SUBNETS: [u8; 2] = [200, 255];

/// Chooses a subnet that no address and no route of this machine touches.
pub(super) async fn choose(id: &str) -> Result<Ipv4Addr, LabError> {
    let words = ["ip", "-4", "-j", "route", "show", "table", "all"];
    let text = run("asking for the routes", Command::new(words), LOCAL_LIMIT).await?;
    let routes: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|error| LabError::Setup {
            what: "read the routes of this machine".to_owned(),
            because: error.to_string(),
        })?;
    let taken: Vec<(u32, u32)> =
        routes.iter().filter_map(|route| range(route["dst"].as_str()?)).collect();
    let start = u32::from_str_radix(id, 16).unwrap_or_default();
    free(start, &taken).ok_or_else(|| LabError::Setup {
        what: "find a free subnet".to_owned(),
        because: "every one that labs use has a route on this machine".to_owned(),
    })
}

/// First and last address of `10.0.0.0/8` or `10.0.0.1`; none for `default`, which covers everything and hinders nothing.
fn range(text: &str) -> Option<(u32, u32)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let first = u32::from(address.parse::<Ipv4Addr>().ok()?);
    let bits: u32 = bits.parse().ok().filter(|bits| (1..=32).contains(bits))?;
    let hosts = u32::MAX.checked_shr(bits).unwrap_or_default();
    Some((first & !hosts, first | hosts))
}

/// This machine's address in a subnet of 256 that overlaps with none of these; the search begins at a lab's own number.
fn free(start: u32, taken: &[(u32, u32)]) -> Option<Ipv4Addr> {
    let [low, high] = SUBNETS.map(u32::from);
    let count = (high - low) * 256;
    (0..count).map(|step| (start % count + step) % count).find_map(|number| {
        let first = (10 << 24) | ((low + number / 256) << 16) | ((number % 256) << 8);
        let clear = taken.iter().all(|(from, to)| first + 255 < *from || *to < first);
        clear.then(|| Ipv4Addr::from(first + 1))
    })
}

/// Makes the bridge, or sees that it is there.
pub(super) async fn bridge(state: &State) -> Result<(), LabError> {
    let Some(gateway) = state.gateway else { return Ok(()) };
    let [a, b, c] = [0, 2, 4].map(|at| state.id.get(at..at + 2).unwrap_or("00"));
    // A fixed address: the bridge would take that of its lowest link, and change it whenever one comes.
    let hardware = format!("02:71:{a}:{b}:{c}:01");
    let words = ["bridge", &*state.bridge(), &format!("{gateway}/24"), &hardware];
    script("making the bridge", include_str!("net.sh"), &words).await.map(drop)
}

/// Makes a machine's namespace and link, or sees that they are there.
pub(super) async fn join(state: &State, machine: &str, address: Ipv4Addr) -> Result<(), LabError> {
    let words = [
        "machine",
        &*state.space(machine),
        &*state.link(machine),
        &*state.bridge(),
        &format!("{address}/24"),
    ];
    script("linking a machine", include_str!("net.sh"), &words).await.map(drop)
}

/// Pulls a machine's plug out of the bridge: what it still has to say is heard by nobody, as when power is lost.
pub(super) async fn unplug(state: &State, machine: &str) -> Result<(), LabError> {
    let words = ["unplug", &*state.link(machine)];
    script("unplugging a machine", include_str!("net.sh"), &words).await.map(drop)
}

/// Takes bridge, links, namespaces and rules away.
pub(super) async fn remove(state: &State) -> Result<(), LabError> {
    let words = ["remove", &*state.id, &*state.table()];
    script("taking the network away", include_str!("net.sh"), &words).await.map(drop)
}

/// Puts the rules in force.
pub(super) async fn enforce(state: &State) -> Result<(), LabError> {
    let command = Command::new(["nft", "-f", "-"]).stdin(table(state));
    run("changing the packet rules", command, LOCAL_LIMIT).await.map(drop)
}

/// The table as a whole; naming it before deleting it makes that work also the first time.
fn table(state: &State) -> String {
    let name = state.table();
    let mut text = format!("table bridge {name}\ndelete table bridge {name}\n");
    if state.rules.is_empty() {
        return text;
    }
    let links = |hosts: &BTreeSet<String>| {
        let machines = hosts.iter().filter(|host| *host != CONTROLLER);
        let quoted: Vec<String> =
            machines.map(|machine| format!("\"{}\"", state.link(machine))).collect();
        if quoted.is_empty() { None } else { Some(format!("{{ {} }}", quoted.join(", "))) }
    };
    let (mut forward, mut input, mut output) = (String::new(), String::new(), String::new());
    for Rule { one, other, permille } in &state.rules {
        let verdict = match *permille {
            ALL => "drop".to_owned(),
            part => format!("numgen random mod {ALL} < {part} drop"),
        };
        for (from, to) in [(one, other), (other, one)] {
            // Writing to a text cannot fail.
            if let (Some(from), Some(to)) = (links(from), links(to)) {
                let _ = writeln!(forward, "    iifname {from} oifname {to} {verdict}");
            }
            if let Some(links) = links(from).filter(|_| to.contains(CONTROLLER)) {
                let _ = writeln!(input, "    iifname {links} {verdict}");
                let _ = writeln!(output, "    oifname {links} {verdict}");
            }
        }
    }
    let _ = writeln!(text, "table bridge {name} {{");
    for (hook, rules) in [("forward", forward), ("input", input), ("output", output)] {
        let _ = writeln!(
            text,
            "  chain {hook} {{\n    type filter hook {hook} priority 0; policy accept;\n{rules}  }}"
        );
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Debian, place::SCHEMA},
        *,
    };

    #[test]
    fn a_subnet_overlaps_with_nothing() {
        let taken = |texts: &[&str]| -> Vec<(u32, u32)> {
            texts.iter().filter_map(|text| range(text)).collect()
        };
        assert_eq!(range("10.0.0.0/8"), Some((10 << 24, (11 << 24) - 1)));
        assert_eq!(range("default"), None);
        assert_eq!(range("0.0.0.0/0"), None);
        assert_eq!(free(0, &[]), Some(Ipv4Addr::new(10, 200, 0, 1)));
        assert_eq!(free(0, &taken(&["10.200.0.7"])), Some(Ipv4Addr::new(10, 200, 1, 1)));
        assert_eq!(free(0, &taken(&["10.200.0.0/15"])), Some(Ipv4Addr::new(10, 202, 0, 1)));
        assert_eq!(free(0, &taken(&["10.0.0.0/8"])), None);
        assert_eq!(free(55 * 256 + 1, &[]), Some(Ipv4Addr::new(10, 200, 1, 1)), "it goes around");
    }

    #[test]
    fn a_table_names_links_and_nothing_else() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut state = State {
            schema: SCHEMA,
            id: "abc123".to_owned(),
            name: "x".to_owned(),
            release: Debian::Bookworm,
            made_folder: true,
            data_mb: 64,
            base: None,
            gateway: None,
            machines: Vec::new(),
            rules: Vec::new(),
        };
        assert_eq!(
            table(&state),
            "table bridge quorate_abc123\ndelete table bridge quorate_abc123\n"
        );
        state.rules = vec![
            Rule { one: set(&["m1"]), other: set(&["m2", "m3"]), permille: ALL },
            Rule { one: set(&["m2"]), other: set(&["controller"]), permille: 250 },
        ];
        let wanted = r#"table bridge quorate_abc123
delete table bridge quorate_abc123
table bridge quorate_abc123 {
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname { "qabc123m1" } oifname { "qabc123m2", "qabc123m3" } drop
    iifname { "qabc123m2", "qabc123m3" } oifname { "qabc123m1" } drop
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname { "qabc123m2" } numgen random mod 1000 < 250 drop
  }
  chain output {
    type filter hook output priority 0; policy accept;
    oifname { "qabc123m2" } numgen random mod 1000 < 250 drop
  }
}
"#;
        assert_eq!(table(&state), wanted);
    }
}
