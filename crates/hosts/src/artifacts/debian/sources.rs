//! Reads apt's lists of package sources, both formats, and derives from them a source for another suite. Pure.
//!
//! Why: the machine already knows which mirror to ask and which keys to trust; nothing of that is known here.

use std::fmt::Write as _;

/// One entry of apt's source lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSource {
    /// Addresses of the archive.
    pub uris: Vec<String>,
    /// Suites: `bookworm`, `bookworm-updates`.
    pub suites: Vec<String>,
    /// `main`, `contrib`.
    pub components: Vec<String>,
    /// Options that say whom to trust, with their deb822 names; a value may hold several lines.
    pub options: Vec<(String, String)>,
}

/// Options that are taken over: without them apt would trust other keys, or none, for the same archive.
const OPTIONS: [&str; 4] = ["Signed-By", "Trusted", "Check-Valid-Until", "Check-Date"];

/// Reads a file of stanzas (`.sources`, deb822). What apt would ignore is left out.
pub fn read_deb822(text: &str) -> Vec<AptSource> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            // A continued value keeps its line structure: an embedded key depends on it.
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: &[(String, String)]) -> Option<AptSource> {
    let value = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let words = |name: &str| -> Vec<String> {
        value(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let off = matches!(value("Enabled"), Some("no" | "false" | "0"));
    let binaries = words("Types").iter().any(|kind| kind == "deb");
    let options = OPTIONS
        .iter()
        .filter_map(|name| value(name).map(|value| ((*name).to_owned(), value.to_owned())))
        .collect();
    (!off && binaries).then(|| AptSource {
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        options,
    })
}

/// Reads a file of lines (`sources.list`, `.list`). What apt would ignore is left out.
pub fn read_one_line(text: &str) -> Vec<AptSource> {
    text.lines().filter_map(one_line).collect()
}

fn one_line(line: &str) -> Option<AptSource> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t', '[']) {
        return None;
    }
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let options = options
        .split_whitespace()
        .filter_map(|option| option.split_once('='))
        .filter_map(|(key, value)| {
            let name = OPTIONS.iter().find(|name| name.eq_ignore_ascii_case(key))?;
            Some(((*name).to_owned(), value.replace(',', " ")))
        })
        .collect();
    Some(AptSource { uris: vec![uri], suites: vec![suite], components: words.collect(), options })
}

/// Words that name the distribution's own archive whatever its code name is.
const MOVING_SUITES: [&str; 5] = ["stable", "oldstable", "testing", "unstable", "sid"];

/// Picks the entries that stand for the distribution's own archive: those that serve `main` of the machine's own
/// suite or of the wanted one. An archive of somebody else may match, too; it then has no such suite and says so.
pub fn archives<'a>(
    sources: &'a [AptSource],
    own_suite: Option<&str>,
    wanted: &str,
) -> Vec<&'a AptSource> {
    let fits = |suite: &String| {
        Some(suite.as_str()) == own_suite
            || suite == wanted
            || MOVING_SUITES.contains(&suite.as_str())
    };
    let mut picked: Vec<&AptSource> = Vec::new();
    for source in sources {
        let main = source.components.iter().any(|component| component == "main");
        let seen =
            picked.iter().any(|other| other.uris == source.uris && other.options == source.options);
        if main && source.suites.iter().any(fits) && !seen {
            picked.push(source);
        }
    }
    picked
}

/// Writes the stanza that asks one archive for another suite, trusting exactly what the machine trusts for it.
pub fn stanza_for(source: &AptSource, suite: &str) -> String {
    let mut text =
        format!("Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n", source.uris.join(" "));
    for (name, value) in &source.options {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name}: {}", value.replace('\n', "\n "));
    }
    text
}

/// The same as lines of `sources.list`, one an address. An embedded key cannot be written that way: it is left to the
/// keys that apt trusts for everything.
pub fn lines_for(source: &AptSource, suite: &str) -> Vec<String> {
    let options: Vec<String> = source
        .options
        .iter()
        .filter(|(_, value)| !value.contains('\n'))
        .map(|(name, value)| format!("{}={}", name.to_ascii_lowercase(), value.replace(' ', ",")))
        .collect();
    let options =
        if options.is_empty() { String::new() } else { format!("[{}] ", options.join(" ")) };
    let line = |uri: &String| format!("deb {options}{uri} {suite} main");
    source.uris.iter().map(line).collect()
}

/// The machine's own suite, from the text of `os-release`.
pub fn own_suite(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned()).filter(|suite| !suite.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
# a comment
Types: deb deb-src
# http://old.mirror.test/debian
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://other.test/apt
Suites: nodistro
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJ
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://sources.test/debian
Suites: bookworm
Components: main
";

    const ONE_LINE: &str = "\
# deb http://off.test/debian bookworm main
deb-src http://sources.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg,/usr/share/keyrings/b.gpg] https://mirror.test/debian bookworm main non-free # ours
deb http://mirror.test/debian-security bookworm-security main
deb\thttp://plain.test/debian\tstable\tmain
deb [trusted=yes] file:/srv/archive ./
debian is not a type
deb [unclosed http://x.test y main
";

    #[test]
    fn reads_stanzas() {
        let sources = read_deb822(DEB822);
        assert_eq!(sources.len(), 2, "{sources:?}");
        assert_eq!(sources[0].uris, ["http://mirror.test/debian"]);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert!(sources[1].options[0].1.contains("\nmDMEYCQjIxYJ\n"));
    }

    #[test]
    fn reads_lines() {
        let sources = read_one_line(ONE_LINE);
        let uris: Vec<&str> = sources.iter().map(|s| s.uris[0].as_str()).collect();
        assert_eq!(
            uris,
            [
                "https://mirror.test/debian",
                "http://mirror.test/debian-security",
                "http://plain.test/debian",
                "file:/srv/archive"
            ]
        );
        let keys = "/usr/share/keyrings/a.gpg /usr/share/keyrings/b.gpg";
        assert_eq!(sources[0].options, [("Signed-By".to_owned(), keys.to_owned())]);
        assert_eq!(sources[0].components, ["main", "non-free"]);
    }

    #[test]
    fn picks_the_distribution_and_asks_it_for_another_suite() {
        let mut sources = read_deb822(DEB822);
        sources.extend(read_one_line(ONE_LINE));
        let picked = archives(&sources, Some("bookworm"), "bullseye");
        let uris: Vec<&str> = picked.iter().map(|s| s.uris[0].as_str()).collect();
        assert_eq!(
            uris,
            ["http://mirror.test/debian", "https://mirror.test/debian", "http://plain.test/debian"]
        );
        insta::assert_snapshot!(stanza_for(picked[0], "bullseye"), @r"
        Types: deb
        URIs: http://mirror.test/debian
        Suites: bullseye
        Components: main
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
        ");
    }

    #[test]
    fn an_embedded_key_survives_the_way_back() {
        let sources = read_deb822(DEB822);
        let again = read_deb822(&stanza_for(&sources[1], "trixie"));
        assert_eq!(again[0].options, sources[1].options);
        assert_eq!(again[0].suites, ["trixie"]);
    }

    #[test]
    fn finds_the_own_suite() {
        let text = "NAME=\"Debian\"\nVERSION_CODENAME=bookworm\n";
        assert_eq!(own_suite(text).as_deref(), Some("bookworm"));
        assert_eq!(own_suite("VERSION_CODENAME=\"jammy\"\n").as_deref(), Some("jammy"));
        assert_eq!(own_suite("NAME=x\nVERSION_CODENAME=\n"), None);
    }

    #[test]
    fn nothing_usable_gives_nothing() {
        assert!(
            archives(&read_deb822("URIs: http://x.test\n\n: :\n"), Some("bookworm"), "trixie")
                .is_empty()
        );
        assert!(
            archives(
                &read_one_line("deb http://x.test bookworm-pgdg main"),
                Some("bookworm"),
                "trixie"
            )
            .is_empty()
        );
    }
}
