//! Members whose binary dpkg has, while the fleet file says nothing of packages: an exchange of the bare file goes past dpkg.
//!
//! Read next: `unit_files.sh`, which looks into dpkg's lists in the one command that reads a unit in a full look; no gate does.

use crate::finding;
use quorate_model::{Finding, NodeName, Severity};
use std::{collections::BTreeMap, path::Path};

/// Where dpkg keeps which package has which file.
pub(crate) const DPKG_FOLDER: &str = "/var/lib/dpkg";
/// Code of the finding.
pub(crate) const UNDECLARED: &str = "packages-undeclared";

/// The packages of a binary, then those of the programs of these names beside it; none when no package has the binary.
pub(crate) fn owners(told: &str, binary: &Path, programs: &[String]) -> Vec<String> {
    let server = file_name(binary);
    let (mut owned, mut diverted) = (BTreeMap::<&str, Vec<&str>>::new(), BTreeMap::new());
    for line in told.lines() {
        if let Some((list, file)) =
            line.strip_prefix("owned ").and_then(|it| it.split_once(".list:"))
        {
            // Of a package that several architectures may have at once: `libc6:amd64`.
            let package = list.split(':').next().unwrap_or(list);
            owned.entry(file_name(Path::new(file))).or_default().push(package);
        } else if let Some((whom, file)) =
            line.strip_prefix("diverted ").and_then(|it| it.split_once(' '))
        {
            diverted.insert(file_name(Path::new(file)), whom);
        }
    }
    let of = |name: &str| -> Vec<&str> {
        match diverted.get(name) {
            // `dpkg-divert` by a person: every package's own file lands elsewhere, this one is theirs.
            Some(&":") => Vec::new(),
            Some(whom) => owned.contains_key(name).then_some(*whom).into_iter().collect(),
            None => owned.get(name).cloned().unwrap_or_default(),
        }
    };
    let mut packages: Vec<String> = Vec::new();
    for name in std::iter::once(server).chain(programs.iter().map(String::as_str)) {
        for package in of(name) {
            if packages.iter().all(|known| known != package) {
                packages.push(package.to_owned());
            }
        }
        if packages.is_empty() {
            break;
        }
    }
    packages
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// That a member is started from a file of packages that the fleet file does not name.
pub(crate) fn undeclared(node: &NodeName, binary: &Path, packages: &[String]) -> Option<Finding> {
    (!packages.is_empty()).then(|| {
        let named = packages.join(", ");
        finding(
            Severity::Warning,
            UNDECLARED,
            format!(
                "{node} is started from {}, which came with Debian packages ({named}), and the fleet file names none: an upgrade would exchange the bare file, dpkg would go on to name the old release, and the next upgrade of the package would put its own file back",
                binary.display()
            ),
            Some(format!("write `packages: [{named}]` beside `unit` in the fleet file")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn programs() -> Vec<String> {
        ["etcd", "etcdctl", "etcdutl"].map(str::to_owned).into()
    }

    fn of(told: &str) -> Vec<String> {
        owners(told, Path::new("/usr/bin/etcd"), &programs())
    }

    #[test]
    fn the_binarys_package_comes_first_and_each_once() {
        let told = "state loaded 7\nowned etcd-client.list:/usr/bin/etcdctl\nowned etcd-server:amd64.list:/bin/etcd\nowned etcd-client.list:/usr/bin/etcdutl\n";
        assert_eq!(of(told), ["etcd-server", "etcd-client"]);
        assert_eq!(of("owned etcd-server.list:/usr/bin/etcd\n"), ["etcd-server"]);
    }

    #[test]
    fn a_binary_of_nobody_has_no_packages_whoever_has_the_tools() {
        assert_eq!(of("owned etcd-client.list:/usr/bin/etcdctl\n"), [""; 0]);
        assert_eq!(of("state loaded 7\n"), [""; 0]);
    }

    #[test]
    fn a_diverted_file_is_whose_it_was_diverted_for() {
        let owned = "owned etcd-server.list:/usr/bin/etcd\n";
        assert_eq!(of(&format!("{owned}diverted : /usr/bin/etcd\n")), [""; 0]);
        let other = format!(
            "{owned}owned etcd-wrapper.list:/usr/bin/etcd\ndiverted etcd-wrapper /usr/bin/etcd\n"
        );
        assert_eq!(of(&other), ["etcd-wrapper"]);
    }

    #[test]
    fn the_finding_names_the_line_to_write() {
        let packages = ["etcd-server", "etcd-client"].map(str::to_owned);
        let told = undeclared(&"m1".into(), Path::new("/usr/bin/etcd"), &packages).unwrap();
        assert!(told.text.starts_with("m1 is started from /usr/bin/etcd, which"), "{}", told.text);
        let hint = told.hint.unwrap();
        assert!(hint.contains("`packages: [etcd-server, etcd-client]`"), "{hint}");
        assert_eq!(undeclared(&"m1".into(), Path::new("/usr/bin/etcd"), &[]), None);
    }

    /// What the script tells of a binary, with these lists of dpkg in place of the machine's.
    fn told(dpkg: &Path, binary: &Path) -> String {
        let output = std::process::Command::new("sh")
            .args(["-c", include_str!("unit_files.sh"), "quorate", "no-such-unit.service", "1024"])
            .arg(dpkg)
            .arg(binary)
            .args(programs())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_script_finds_a_file_by_either_name_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (dpkg, real) = (root.join("dpkg"), root.join("usr/bin"));
        fs::create_dir_all(dpkg.join("info")).unwrap();
        fs::create_dir_all(&real).unwrap();
        symlink(&real, root.join("bin")).unwrap();
        for name in ["etcd", "etcdctl"] {
            fs::write(real.join(name), "").unwrap();
        }
        let list = |package: &str, file: &Path| {
            let text = format!("/.\n{}\n{}.d\n", file.display(), file.display());
            fs::write(dpkg.join("info").join(format!("{package}.list")), text).unwrap();
        };
        list("etcd-server", &real.join("etcd"));
        list("etcd-client", &root.join("bin/etcdctl"));
        list("other", Path::new("/usr/bin/other"));
        let asked = |binary: &Path| owners(&told(&dpkg, binary), binary, &programs());
        // Declared by the link, and one of the lists has the link, too.
        assert_eq!(asked(&root.join("bin/etcd")), ["etcd-server", "etcd-client"]);
        assert_eq!(asked(&real.join("etcd")), ["etcd-server"]);
        fs::write(
            dpkg.join("diversions"),
            format!("{0}\n{0}.distrib\n:\n", real.join("etcd").display()),
        )
        .unwrap();
        assert_eq!(asked(&real.join("etcd")), [""; 0]);
        fs::remove_dir_all(&dpkg).unwrap();
        assert_eq!(asked(&real.join("etcd")), [""; 0], "a host without dpkg");
        assert_eq!(asked(&root.join("gone/etcd")), [""; 0]);
    }
}
