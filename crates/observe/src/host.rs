//! What can be learnt of a host itself.

use quorate_transport::Transport;
use std::path::Path;

/// The operating system with its version, `debian 12`.
pub(crate) async fn operating_system(transport: &dyn Transport) -> Option<String> {
    let content = transport.read(Path::new("/etc/os-release")).await.done()?;
    named(&String::from_utf8_lossy(&content))
}

pub(crate) fn named(text: &str) -> Option<String> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let value = line.strip_prefix(key)?.strip_prefix('=')?.trim();
            Some(value.trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
        })
    };
    let id = value("ID")?;
    // Unstable suites have no number, only a name.
    match value("VERSION_ID").or_else(|| value("VERSION_CODENAME")) {
        Some(version) => Some(format!("{id} {version}")),
        None => Some(id),
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn reads_name_and_version() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(named(debian).as_deref(), Some("debian 12"));
        assert_eq!(named("ID=debian\nVERSION_CODENAME=sid\n").as_deref(), Some("debian sid"));
        assert_eq!(named("ID=\"alpine\"\n").as_deref(), Some("alpine"));
        assert_eq!(named("NAME=x\n"), None);
        assert_eq!(named(""), None);
    }
}
