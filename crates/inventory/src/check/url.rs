//! Addresses of members: http or https, a host, a port, nothing else.

/// Says what is wrong with an address, when something is.
pub(crate) fn wrong_with(url: &str) -> Option<&'static str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Some("it does not begin with http:// or https://");
    };
    if scheme != "http" && scheme != "https" {
        return Some("it does not begin with http:// or https://");
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Some("it has a path: the pack adds its own");
    }
    if rest.contains('@') {
        return Some("it has a user in it");
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(v6) => match v6.split_once("]:") {
            Some((host, port)) => (host, Some(port)),
            None => return Some("it has no port"),
        },
        None => match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let bracketed = rest.starts_with('[');
    let good = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || (bracketed && c == ':')
    };
    if host.is_empty()
        || !host.chars().all(good)
        || (bracketed && host.parse::<std::net::Ipv6Addr>().is_err())
    {
        return Some("its host is no host name and no address");
    }
    match port {
        None => Some("it has no port"),
        Some(port) if port.starts_with('+') || !port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Some("its port is no number from 1 to 65535")
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::wrong_with;

    #[test]
    fn addresses_have_a_scheme_a_host_and_a_port() {
        for url in [
            "http://127.0.0.1:2379",
            "https://db-1.example:2379/",
            "http://[::1]:2379",
            "http://a_b:1",
        ] {
            assert_eq!(wrong_with(url), None, "{url}");
        }
        for url in [
            "127.0.0.1:2379",
            "ftp://a:1",
            "http://a",
            "http://:1",
            "http://a:0",
            "http://a:70000",
            "http://a:+1",
            "http://a:1/v3",
            "http://u:p@a:1",
            "http://[::1]",
            "http://[zz]:1",
            "http://a b:1",
            "",
            "http://",
            "://",
        ] {
            assert!(wrong_with(url).is_some(), "{url}");
        }
    }
}
