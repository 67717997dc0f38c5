//! Which hosts a command means: `environment=prod,role=consul,sub_role=server`, `network=10.0.0.0/8`, `web-*`.
//!
//! A comma is *and*, several selectors are *or*. `-` is any value, also none. Hosts that do not run are left out unless a selector
//! speaks of the state. Absent on purpose: order. The hosts come back as they were listed.

use super::ListedHost;
use ipnet::IpNet;
use quorate_syntax::nearest;
use std::{collections::BTreeSet, net::IpAddr};
use wildmatch::WildMatch;

/// A selector that cannot be read, or selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostSelectError {
    /// It cannot be read.
    #[error("`{selector}` selects no hosts: {because}")]
    Unreadable { selector: String, because: String, hint: String },
    /// It can be read, and no host is meant.
    #[error("no host fits `{selector}`: {because}")]
    Nothing { selector: String, because: String, hint: String },
}

impl HostSelectError {
    /// What next.
    pub fn hint(&self) -> &str {
        match self {
            Self::Unreadable { hint, .. } | Self::Nothing { hint, .. } => hint,
        }
    }
}

/// Finds the hosts that any of the selectors means, in the order of the list; all that may run without a selector.
pub fn select_hosts<'h, S: AsRef<str>>(
    hosts: &'h [ListedHost],
    selectors: &[S],
) -> Result<Vec<&'h ListedHost>, HostSelectError> {
    pick(hosts, selectors, false)
}

/// The same, with those that do not run, unless a selector speaks of the state.
pub(crate) fn select_any<'h, S: AsRef<str>>(
    hosts: &'h [ListedHost],
    selectors: &[S],
) -> Result<Vec<&'h ListedHost>, HostSelectError> {
    pick(hosts, selectors, true)
}

fn pick<'h, S: AsRef<str>>(
    hosts: &'h [ListedHost],
    selectors: &[S],
    stopped_too: bool,
) -> Result<Vec<&'h ListedHost>, HostSelectError> {
    let any = [ANY];
    let texts: Vec<&str> = selectors.iter().map(AsRef::as_ref).collect();
    let texts = if texts.is_empty() { &any[..] } else { &texts[..] };
    let parsed = texts.iter().map(|text| Selector::parse(text, stopped_too));
    let selectors = parsed.collect::<Result<Vec<_>, _>>()?;
    for selector in &selectors {
        if !hosts.iter().any(|host| selector.fits(host)) {
            return Err(selector.nothing(hosts));
        }
    }
    Ok(hosts.iter().filter(|host| selectors.iter().any(|one| one.fits(host))).collect())
}

/// Any value, also none.
const ANY: &str = "-";
/// Values that a hint lists.
const LISTED_MAX: usize = 10;

/// What a term asks of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// The name of the host, of a node or of a cluster on it.
    Anything,
    Name,
    Environment,
    Role,
    SubRole,
    State,
    Datacenter,
    Network,
    Address,
    Group,
    Source,
    Cluster,
    Node,
    Label(String),
}

/// Words for keys; the first of those with one meaning is the usual one.
const KEYS: [(&str, Key); 17] = [
    ("name", Key::Name),
    ("environment", Key::Environment),
    ("env", Key::Environment),
    ("role", Key::Role),
    ("sub_role", Key::SubRole),
    ("sub-role", Key::SubRole),
    ("state", Key::State),
    ("datacenter", Key::Datacenter),
    ("dc", Key::Datacenter),
    ("network", Key::Network),
    ("net", Key::Network),
    ("address", Key::Address),
    ("group", Key::Group),
    ("source", Key::Source),
    ("cluster", Key::Cluster),
    ("node", Key::Node),
    ("host", Key::Name),
];

/// One term: `role=consul`, `role!=consul`.
#[derive(Debug, Clone)]
struct Term {
    text: String,
    key: Key,
    not: bool,
    wanted: Wanted,
}

/// The value of a term.
#[derive(Debug, Clone)]
enum Wanted {
    Any,
    Fits(WildMatch),
    Within(IpNet),
}

/// Terms that a host must all fit.
#[derive(Debug, Clone)]
struct Selector {
    text: String,
    terms: Vec<Term>,
    /// Hosts that do not run are meant, too.
    stopped_too: bool,
}

impl Selector {
    fn parse(text: &str, stopped_too: bool) -> Result<Self, HostSelectError> {
        let wrong = |(because, hint): (String, String)| HostSelectError::Unreadable {
            selector: text.to_owned(),
            because,
            hint,
        };
        let terms = text.split(',').map(|term| Term::parse(term.trim()).map_err(wrong));
        let terms: Vec<Term> = terms.collect::<Result<_, _>>()?;
        let says_state = terms.iter().any(|term| term.key == Key::State);
        Ok(Self { text: text.to_owned(), terms, stopped_too: stopped_too || says_state })
    }

    fn fits(&self, host: &ListedHost) -> bool {
        (self.stopped_too || host.may_run()) && self.terms.iter().all(|term| term.fits(host))
    }

    /// Says why nothing fits, with what was there.
    fn nothing(&self, hosts: &[ListedHost]) -> HostSelectError {
        let error = |because: String, hint: String| HostSelectError::Nothing {
            selector: self.text.clone(),
            because,
            hint,
        };
        if hosts.is_empty() {
            let hint =
                "declare nodes on hosts of SSH, or a source under `inventory`, in the fleet file";
            return error("no host is listed at all".into(), hint.into());
        }
        let alone = |term: &Term| hosts.iter().filter(|host| term.fits(host)).count();
        let counts: Vec<String> =
            self.terms.iter().map(|term| format!("{} fit `{}`", alone(term), term.text)).collect();
        let because = format!("of {} hosts {}", hosts.len(), counts.join(", "));
        if let Some(term) = self.terms.iter().find(|term| alone(term) == 0) {
            return error(because, term.what_is_there(hosts));
        }
        let stopped = hosts.iter().filter(|host| self.terms.iter().all(|term| term.fits(host)));
        match stopped.count() {
            0 => error(because, "each term fits some host, and no host fits all".into()),
            some => {
                let hint = format!("{some} would, and do not run: add `state=-` to mean them, too");
                error(because, hint)
            }
        }
    }
}

impl Term {
    /// Reads a term; the error is why not, and what next.
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let Some((key, value)) = text.split_once('=') else {
            if text.is_empty() {
                let hint = "write `role=consul`, `role=consul,state=running`, `web-*`, or `-` for any host";
                return Err(("a term is empty".into(), hint.into()));
            }
            return Ok(Self {
                text: text.to_owned(),
                key: Key::Anything,
                not: false,
                wanted: wanted(&Key::Anything, text)?,
            });
        };
        let (word, not) = match key.strip_suffix('!') {
            Some(word) => (word.trim(), true),
            None => (key.trim(), false),
        };
        let key = match word.strip_prefix("label.") {
            Some(label) => Key::Label(label.to_owned()),
            None => named(word)?,
        };
        let value = value.trim();
        if value.is_empty() {
            let hint = format!("write `{word}={ANY}` for any value, also none");
            return Err((format!("`{word}` has no value"), hint));
        }
        Ok(Self { text: text.to_owned(), wanted: wanted(&key, value)?, key, not })
    }

    fn fits(&self, host: &ListedHost) -> bool {
        let fits = match &self.wanted {
            // `-` is any value, so it leaves nobody out.
            Wanted::Any => return true,
            Wanted::Within(net) => is_within(host, net),
            Wanted::Fits(pattern) => values(&self.key, host).iter().any(|one| pattern.matches(one)),
        };
        fits != self.not
    }

    fn what_is_there(&self, hosts: &[ListedHost]) -> String {
        let there: BTreeSet<&str> = hosts.iter().flat_map(|host| values(&self.key, host)).collect();
        let meant = match &self.wanted {
            Wanted::Fits(_) => self.text.split_once('=').map_or(self.text.as_str(), |(_, v)| v),
            Wanted::Any | Wanted::Within(_) => "",
        };
        let what = self.text.split_once(['=', '!']).map_or("names", |(key, _)| key);
        if there.is_empty() {
            return format!("no host has a `{what}`: `quorate inventory` shows what sources say");
        }
        if let Some(near) = nearest(meant.trim(), there.iter().copied()) {
            return format!("did you mean `{near}`?");
        }
        let first: Vec<&str> = there.iter().copied().take(LISTED_MAX).collect();
        let more = if there.len() > LISTED_MAX { ", …" } else { "" };
        format!("{what}: {}{more}", first.join(", "))
    }
}

fn named(word: &str) -> Result<Key, (String, String)> {
    if let Some((_, key)) = KEYS.iter().find(|(name, _)| *name == word) {
        return Ok(key.clone());
    }
    let hint = match nearest(
        word,
        KEYS.iter().map(|(name, _)| *name).filter(|name| !name.contains('-')),
    ) {
        Some(near) => format!("did you mean `{near}`? A label is `label.{word}`"),
        None => format!(
            "a label is `label.{word}`; else there are name, environment, role, sub_role, state, datacenter, network, address, group, source, cluster, node"
        ),
    };
    Err((format!("`{word}` is nothing that hosts have"), hint))
}

fn wanted(key: &Key, value: &str) -> Result<Wanted, (String, String)> {
    if value == ANY {
        return Ok(Wanted::Any);
    }
    if *key == Key::Network {
        if let Some(net) = network(value) {
            return Ok(Wanted::Within(net));
        }
        if value.contains('/') {
            let hint = "write it as `10.0.0.0/8` or `fd00::/8`".to_owned();
            return Err((format!("`{value}` is no network"), hint));
        }
    }
    Ok(Wanted::Fits(WildMatch::new(value)))
}

/// A network from `10.0.0.0/8`, or from one address.
fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn is_within(host: &ListedHost, net: &IpNet) -> bool {
    let address = |text: &String| text.parse::<IpAddr>().is_ok_and(|one| net.contains(&one));
    let part = |text: &String| text.parse::<IpNet>().is_ok_and(|one| net.contains(&one));
    host.addresses.iter().any(address) || host.networks.iter().any(part)
}

fn values<'h>(key: &Key, host: &'h ListedHost) -> Vec<&'h str> {
    let one = |fact: &'h Option<String>| fact.as_deref().into_iter().collect::<Vec<_>>();
    let all = |texts: &'h [String]| texts.iter().map(String::as_str).collect::<Vec<_>>();
    let clusters = host.nodes.iter().map(|carried| carried.cluster.as_str());
    let nodes = host.nodes.iter().map(|carried| carried.node.as_str());
    match key {
        Key::Anything => std::iter::once(host.name.as_str()).chain(nodes).chain(clusters).collect(),
        Key::Name => vec![&host.name],
        Key::Environment => one(&host.environment),
        Key::Role => one(&host.role),
        Key::SubRole => one(&host.sub_role),
        Key::State => one(&host.state),
        Key::Datacenter => one(&host.datacenter),
        // Addresses, too: that is what a network is compared with.
        Key::Network => host.networks.iter().chain(&host.addresses).map(String::as_str).collect(),
        Key::Address => all(&host.addresses),
        Key::Group => {
            let carried = host.nodes.iter().map(|carried| carried.group.as_str());
            host.groups.iter().map(String::as_str).chain(carried).collect()
        }
        Key::Source => vec![&host.source],
        Key::Cluster => clusters.collect(),
        Key::Node => nodes.collect(),
        Key::Label(label) => host.labels.get(label).map(String::as_str).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::Carried;

    /// `name environment role sub_role state address`, `.` for what is not known.
    fn host(text: &str) -> ListedHost {
        let words: Vec<&str> = text.split(' ').collect();
        let known = |i: usize| words.get(i).filter(|w| **w != ".").map(|w| (*w).to_owned());
        let mut host = ListedHost::new("list", words[0]);
        (host.environment, host.role, host.sub_role) = (known(1), known(2), known(3));
        host.state = known(4);
        host.addresses = known(5).into_iter().collect();
        host
    }

    fn hosts() -> Vec<ListedHost> {
        let mut hosts: Vec<ListedHost> = [
            "c-1 prod consul server running 10.1.0.1",
            "c-2 prod consul server stopped 10.1.0.2",
            "c-3 prod consul client running 10.2.0.3",
            "c-4 stage consul server running 192.168.0.4",
            "w-1 prod web . . fd00::1",
        ]
        .iter()
        .map(|text| host(text))
        .collect();
        hosts[0].labels.insert("rack".into(), "r1".into());
        hosts[0].nodes.push(Carried {
            cluster: "main".into(),
            group: "servers".into(),
            node: "consul-a".into(),
        });
        hosts[3].networks.push("vpc-7".into());
        hosts
    }

    fn check(selectors: &[&str], want: &str) {
        let hosts = hosts();
        let names: Vec<&str> = match select_hosts(&hosts, selectors) {
            Ok(hosts) => hosts.iter().map(|host| host.name.as_str()).collect(),
            Err(error) => panic!("{selectors:?}: {error}; {}", error.hint()),
        };
        assert_eq!(names.join(" "), want, "{selectors:?}");
    }

    fn refused(selector: &str) -> String {
        let error = select_hosts(&hosts(), &[selector]).unwrap_err();
        format!("{error}; hint: {}", error.hint())
    }

    #[test]
    fn selects_by_facts_with_and_and_or() {
        check(&[], "c-1 c-3 c-4 w-1");
        check(&["-"], "c-1 c-3 c-4 w-1");
        check(&["environment=prod,role=consul,sub_role=server"], "c-1");
        check(&["env=prod,role=-,sub-role=-"], "c-1 c-3 w-1");
        check(&["role=web", "sub_role=server,env=stage"], "c-4 w-1");
        check(&["role!=consul"], "w-1");
        check(&["sub_role!=server"], "c-3 w-1");
        check(&["label.rack=r?"], "c-1");
        check(&["source=list,name=w*"], "w-1");
    }

    #[test]
    fn hosts_that_do_not_run_must_be_meant() {
        check(&["name=c-?"], "c-1 c-3 c-4");
        check(&["name=c-?,state=-"], "c-1 c-2 c-3 c-4");
        check(&["state=stopped"], "c-2");
        // What is not known is not taken for stopped, and not for running either.
        check(&["state=running"], "c-1 c-3 c-4");
    }

    #[test]
    fn selects_by_network_and_address() {
        check(&["network=10.0.0.0/8"], "c-1 c-3");
        check(&["network=10.1.0.0/16,role=consul"], "c-1");
        check(&["network=fd00::/8"], "w-1");
        check(&["network=192.168.0.4"], "c-4");
        check(&["network=vpc-*"], "c-4");
        check(&["address=10.*"], "c-1 c-3");
        check(&["network!=10.0.0.0/8"], "c-4 w-1");
    }

    #[test]
    fn a_bare_word_is_a_host_a_node_or_a_cluster() {
        check(&["c-*"], "c-1 c-3 c-4");
        check(&["main"], "c-1");
        check(&["consul-a"], "c-1");
        check(&["cluster=main"], "c-1");
        check(&["group=servers"], "c-1");
    }

    #[test]
    fn an_empty_selection_says_what_was_there() {
        insta::assert_snapshot!(refused("environment=prd,role=consul"), @"no host fits `environment=prd,role=consul`: of 5 hosts 0 fit `environment=prd`, 4 fit `role=consul`; hint: did you mean `prod`?");
        insta::assert_snapshot!(refused("role=database"), @"no host fits `role=database`: of 5 hosts 0 fit `role=database`; hint: role: consul, web");
        insta::assert_snapshot!(refused("env=stage,role=web"), @"no host fits `env=stage,role=web`: of 5 hosts 1 fit `env=stage`, 1 fit `role=web`; hint: each term fits some host, and no host fits all");
        insta::assert_snapshot!(refused("name=c-2"), @"no host fits `name=c-2`: of 5 hosts 1 fit `name=c-2`; hint: 1 would, and do not run: add `state=-` to mean them, too");
        insta::assert_snapshot!(refused("network=172.16.0.0/12"), @"no host fits `network=172.16.0.0/12`: of 5 hosts 0 fit `network=172.16.0.0/12`; hint: network: 10.1.0.1, 10.1.0.2, 10.2.0.3, 192.168.0.4, fd00::1, vpc-7");
        insta::assert_snapshot!(refused("label.zone=a"), @"no host fits `label.zone=a`: of 5 hosts 0 fit `label.zone=a`; hint: no host has a `label.zone`: `quorate inventory` shows what sources say");
        let none = select_hosts(&[], &["-"]).unwrap_err();
        insta::assert_snapshot!(none, @"no host fits `-`: no host is listed at all");
    }

    #[test]
    fn one_selector_of_several_that_means_nobody_is_told() {
        let hosts = hosts();
        let error = select_hosts(&hosts, &["role=web", "role=wbe"]).unwrap_err();
        assert!(error.to_string().contains("`role=wbe`"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        insta::assert_snapshot!(refused("enviroment=prod"), @"`enviroment=prod` selects no hosts: `enviroment` is nothing that hosts have; hint: did you mean `environment`? A label is `label.enviroment`");
        insta::assert_snapshot!(refused("rack=r1"), @"`rack=r1` selects no hosts: `rack` is nothing that hosts have; hint: a label is `label.rack`; else there are name, environment, role, sub_role, state, datacenter, network, address, group, source, cluster, node");
        insta::assert_snapshot!(refused("role="), @"`role=` selects no hosts: `role` has no value; hint: write `role=-` for any value, also none");
        insta::assert_snapshot!(refused("role=web,,"), @"`role=web,,` selects no hosts: a term is empty; hint: write `role=consul`, `role=consul,state=running`, `web-*`, or `-` for any host");
        insta::assert_snapshot!(refused("network=10.0.0/8"), @"`network=10.0.0/8` selects no hosts: `10.0.0/8` is no network; hint: write it as `10.0.0.0/8` or `fd00::/8`");
    }
}
