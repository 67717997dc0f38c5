//! Reads the files from which systemd starts a member, and where they say what a plan may have to change.
//!
//! Invariant: the text leaves this file only as the words and lines of settings that the pack speaks of, never a secret.
//! A place is given only when it is the only one that says the setting and says what the process really runs with, where
//! there is one.

use crate::{
    config_file::spoken_of,
    packaged::{self, DPKG_FOLDER},
    process::{find::Found, settings},
};
use quorate_model::{ConfigFileSeen, FileForm, SettingSource};
use quorate_packs::{
    Pack, ProcessForm, config_text,
    unit_text::{self, Said},
};
use quorate_transport::{Answer, Command, Transport};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// A few questions to systemd and a few small files; a host that needs longer is not well enough to act on.
const LOOK_LIMIT: Duration = Duration::from_secs(15);
/// Units and environment files have a few kilobytes; a longer one is cut here and then not edited.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// A file of a unit as it was read.
struct Held {
    form: FileForm,
    path: String,
    content: Result<Vec<u8>, String>,
}

impl Held {
    fn text(&self) -> Result<&str, String> {
        let content = self.content.as_deref().map_err(Clone::clone)?;
        std::str::from_utf8(content).map_err(|_| "it is not a text in UTF-8".to_owned())
    }

    /// Why its text is not Quorate's to change.
    fn by_hand(&self, unit: &str) -> Option<String> {
        let from_package = ["/usr/lib/", "/lib/", "/run/"];
        let is_own = !from_package.iter().any(|folder| self.path.starts_with(folder));
        (!is_own && self.form == FileForm::Unit).then(|| {
            format!("it came with a package or was generated, and the next one replaces it: `systemctl edit --full {unit}` makes a copy of your own")
        })
    }
}

/// What was read of a unit.
pub(crate) struct UnitSeen {
    /// Its files.
    pub(crate) files: Vec<ConfigFileSeen>,
    /// What a member that is down would be started with, as far as its files say it plainly. It may hold secrets.
    pub(crate) would_start: Option<WouldStart>,
    /// Why it is not the unit that runs the member: a sentence, and what next.
    pub(crate) wrong: Option<(String, String)>,
    /// Debian packages that its binary and the product's other programs came with, where that was asked.
    pub(crate) packages: Vec<String>,
}

/// Words and variables of a start to come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WouldStart {
    /// A name in the program's place, then the flags.
    pub(crate) argv: Vec<String>,
    /// The variables.
    pub(crate) env: BTreeMap<String, String>,
}

/// Reads a unit and its files, and which packages have the binary when one is given. The error is a sentence.
pub(crate) async fn read(
    transport: &dyn Transport,
    unit: &str,
    found: Option<&Found>,
    pack: &Pack,
    form: &ProcessForm,
    binary: Option<&Path>,
) -> Result<UnitSeen, String> {
    let most = FILE_BYTES_MAX.to_string();
    let live = binary.map(|path| path.display().to_string()).unwrap_or_default();
    let fixed = ["sh", "-c", include_str!("unit_files.sh"), "quorate", unit];
    let fixed = fixed.into_iter().chain([most.as_str(), DPKG_FOLDER, live.as_str()]);
    let words = fixed.chain(pack.scheme.binaries.iter().map(String::as_str));
    let command = Command { clean_env: true, ..Command::new(words) };
    let output = match transport.run(&command, LOOK_LIMIT).await {
        Answer::Done(output) if output.ok() => output,
        Answer::Done(output) => return Err(output.complaint()),
        Answer::Failed(because) | Answer::Unknown(because) => return Err(because),
    };
    let text = output.text();
    let held: Vec<Held> = text.lines().filter_map(told).collect();
    let state = text.lines().find_map(|line| line.strip_prefix("state ")).unwrap_or_default();
    Ok(UnitSeen {
        files: seen(&held, unit, found, pack, form),
        would_start: found.is_none().then(|| would_start(&held)).flatten(),
        wrong: wrong(state, unit, found),
        packages: binary
            .map(|binary| packaged::owners(&text, binary, &pack.scheme.binaries))
            .unwrap_or_default(),
    })
}

/// Why a unit in this state is not the one that runs the member.
fn wrong(state: &str, unit: &str, found: Option<&Found>) -> Option<(String, String)> {
    let (load, pid) = state.split_once(' ')?;
    let there = "name the unit that runs it in the fleet file: `systemctl list-units --all` there names those that are";
    match (load, found) {
        ("loaded", Some(found)) if pid != found.pid.to_string() => Some((
            format!(
                "its unit {unit} does not run it: process {} was started by something else",
                found.pid
            ),
            format!("stop that process and start the unit, or {there}"),
        )),
        ("loaded" | "", _) => None,
        ("not-found", _) => {
            Some((format!("there is no unit {unit} on its host"), there.to_owned()))
        }
        (load, _) => Some((
            format!("systemd cannot start its unit {unit}: it is `{load}`"),
            format!("`systemctl status {unit}` there says why"),
        )),
    }
}

fn told(line: &str) -> Option<Held> {
    let mut words = line.split(' ');
    let form = match words.next()? {
        "unit" => FileForm::Unit,
        "environment" => FileForm::Environment,
        _ => return None,
    };
    let path = String::from_utf8(hex::decode(words.next()?).ok()?).ok()?;
    let content = match words.next()? {
        "-" => Err("it cannot be read".to_owned()),
        "." => Ok(Vec::new()),
        hexadecimal => hex::decode(hexadecimal).map_err(|error| error.to_string()),
    };
    let content = content.and_then(|content| match content.len() < FILE_BYTES_MAX {
        true => Ok(content),
        false => Err(format!("it is longer than {FILE_BYTES_MAX} bytes")),
    });
    Some(Held { form, path, content })
}

fn seen(
    held: &[Held],
    unit: &str,
    found: Option<&Found>,
    pack: &Pack,
    form: &ProcessForm,
) -> Vec<ConfigFileSeen> {
    let said = said(held);
    let running = found.map(|found| {
        let mut running = settings::from_argv(&found.argv);
        running.extend(settings::from_env(&found.env, form));
        running
    });
    // Of a member that is down only files that all can be read say what there is.
    let all_read = held.iter().all(|file| file.text().is_ok());
    let keys = spoken_of(pack, form);
    let plain = |said: &Said| settings::plain(said.span.source, &said.span.key, form);
    let mut times: BTreeMap<(SettingSource, String), usize> = BTreeMap::new();
    for (_, said) in &said {
        *times.entry((said.span.source, plain(said))).or_default() += 1;
    }
    let sound = |said: &Said| {
        let name = plain(said);
        let source = said.span.source;
        let runs_with = |setting: &quorate_model::Setting| {
            setting.source == source
                && settings::plain_name(setting, form) == name
                && setting.value == said.value
        };
        name.is_empty()
            || (keys.contains(name.as_str())
                && times.get(&(source, name.clone())) == Some(&1)
                && running.as_ref().map_or(all_read, |all| all.iter().any(runs_with)))
    };
    let one = |(at, held): (usize, &Held)| {
        let content = held.content.as_deref().ok();
        let own = said.iter().filter(|(file, said)| *file == at && sound(said));
        let named = |said: &Said| {
            let mut span = said.span.clone();
            span.key = plain(said);
            span
        };
        let size = content.map_or(0, <[u8]>::len);
        let mut spans: Vec<_> = own.map(|(_, said)| named(said)).collect();
        spans.sort_by_key(|span| span.at);
        ConfigFileSeen {
            path: held.path.clone(),
            form: held.form,
            sha256: content.map(config_text::sha256),
            size_bytes: u64::try_from(size).unwrap_or_default(),
            open_end: content.is_some_and(|text| !text.is_empty() && !text.ends_with(b"\n")),
            spans,
            unread: held.text().err(),
            by_hand: held.by_hand(unit),
        }
    };
    held.iter().enumerate().map(one).collect()
}

/// What the files of a unit start its member with; nothing when one of them cannot be read.
fn would_start(held: &[Held]) -> Option<WouldStart> {
    if !held.iter().all(|file| file.text().is_ok()) {
        return None;
    }
    // The program itself is no setting.
    let mut start = WouldStart { argv: vec![String::new()], env: BTreeMap::new() };
    for (_, Said { span, value }) in said(held) {
        match span.source {
            _ if span.key.is_empty() => {}
            SettingSource::Flag if value.is_empty() => start.argv.push(span.key),
            SettingSource::Flag => start.argv.push(format!("{}={value}", span.key)),
            // Of two that say a variable the later one counts, and files are read in systemd's order.
            SettingSource::Env => drop(start.env.insert(span.key, value)),
            SettingSource::File => {}
        }
    }
    Some(start)
}

/// What all files say, each with the place of its file.
fn said(held: &[Held]) -> Vec<(usize, Said)> {
    let of = |form: FileForm| held.iter().enumerate().filter(move |(_, held)| held.form == form);
    let (places, texts): (Vec<usize>, Vec<&str>) =
        of(FileForm::Unit).filter_map(|(at, held)| Some((at, held.text().ok()?))).unzip();
    let unit = unit_text::unit(&texts);
    let mut said: Vec<(usize, Said)> =
        unit.said.into_iter().filter_map(|(at, said)| Some((*places.get(at)?, said))).collect();
    for (at, held) in of(FileForm::Environment) {
        let Ok(text) = held.text() else { continue };
        said.extend(
            unit_text::environment(text, &unit.expanded).into_iter().map(|said| (at, said)),
        );
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_packs::Packs;
    use std::path::PathBuf;

    fn held(files: &[(&str, &str)]) -> Vec<Held> {
        let told_of = |(path, text): &(&str, &str)| {
            let kind = if path.contains("default") { "environment" } else { "unit" };
            told(&format!("{kind} {} {}", hex::encode(path), hex::encode(text))).unwrap()
        };
        files.iter().map(told_of).collect()
    }

    fn look_at(files: &[Held], found: Option<&Found>) -> Vec<ConfigFileSeen> {
        let packs = Packs::builtin();
        let pack = packs.get(&"etcd".into()).unwrap();
        let form = &pack.detect.as_ref().unwrap().process;
        seen(files, "etcd.service", found, pack, form)
    }

    fn look(files: &[(&str, &str)], argv: &str, env: &[(&str, &str)]) -> Vec<ConfigFileSeen> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let found = Found {
            pid: 1,
            start_ticks: 1,
            started_at: None,
            argv: argv.split(' ').map(str::to_owned).collect(),
            env: env.iter().map(own).collect(),
            work_dir: None,
            exe: PathBuf::from("/usr/bin/etcd"),
            exe_gone: false,
        };
        look_at(&held(files), Some(&found))
    }

    fn keys(seen: &ConfigFileSeen) -> Vec<&str> {
        seen.spans.iter().map(|span| span.key.as_str()).collect()
    }

    const UNIT: &str = "[Service]\nEnvironmentFile=-/etc/default/etcd\nExecStart=/usr/bin/etcd --debug $DAEMON_ARGS\n";

    #[test]
    fn places_are_those_of_settings_that_the_pack_speaks_of_and_never_a_secret() {
        let files = [
            ("/etc/systemd/system/etcd.service", UNIT),
            (
                "/etc/default/etcd",
                "ETCD_AUTH_TOKEN=jwt,t0ken\nETCD_LOG_OUTPUT=stdout\nETCD_NAME=a\nDAEMON_ARGS=\"--logger=capnslog\"\n",
            ),
        ];
        let env = [("ETCD_LOG_OUTPUT", "stdout"), ("ETCD_NAME", "a")];
        let seen = look(&files, "/usr/bin/etcd --debug --logger=capnslog", &env);
        assert_eq!(keys(&seen[0]), ["debug", ""]);
        assert_eq!(keys(&seen[1]), ["log-output", "logger", ""]);
        assert_eq!(seen[1].form, FileForm::Environment);
        assert!(!serde_json::to_string(&seen).unwrap().contains("t0ken"), "{seen:?}");
        assert!(seen.iter().all(|file| file.by_hand.is_none() && file.sha256.is_some()));
    }

    #[test]
    fn a_unit_that_does_not_run_the_member_is_told() {
        let found = Found {
            pid: 47,
            start_ticks: 1,
            started_at: None,
            argv: Vec::new(),
            env: BTreeMap::new(),
            work_dir: None,
            exe: PathBuf::from("/usr/bin/etcd"),
            exe_gone: false,
        };
        let said = |state, found| wrong(state, "etcd.service", found).map(|(text, _)| text);
        assert_eq!(said("loaded 47", Some(&found)), None);
        assert_eq!(said("loaded 0", None), None);
        assert!(said("loaded 0", Some(&found)).unwrap().contains("process 47"));
        assert!(said("not-found 0", Some(&found)).unwrap().contains("no unit etcd.service"));
        assert!(said("masked 0", None).unwrap().contains("`masked`"));
    }

    #[test]
    fn what_the_process_does_not_run_with_has_no_place() {
        let files = [("/etc/systemd/system/etcd.service", UNIT)];
        assert_eq!(keys(&look(&files, "/usr/bin/etcd --name=a", &[])[0]), [""]);
        let twice = [
            ("/etc/default/one", "ETCD_LOG_OUTPUT=stdout\n"),
            ("/etc/default/two", "ETCD_LOG_OUTPUT=stdout\n"),
        ];
        let seen = look(&twice, "/usr/bin/etcd", &[("ETCD_LOG_OUTPUT", "stdout")]);
        assert!(seen.iter().all(|file| file.spans.is_empty()), "{seen:?}");
    }

    #[test]
    fn a_unit_that_is_down_says_what_it_would_start_and_where() {
        let files = [
            (
                "/etc/systemd/system/etcd.service",
                "[Service]\nEnvironment=ETCD_NAME=old\nEnvironmentFile=-/etc/default/etcd\nExecStart=/usr/bin/etcd --debug $DAEMON_ARGS\n",
            ),
            (
                "/etc/default/etcd",
                "ETCD_NAME=a\nETCD_LOG_OUTPUT=stdout\nDAEMON_ARGS=\"--logger=capnslog\"\n",
            ),
        ];
        let mut files = held(&files);
        let start = would_start(&files).unwrap();
        assert_eq!(start.argv, ["", "--debug", "--logger=capnslog"]);
        assert_eq!(start.env["ETCD_NAME"], "a", "an environment file counts more than the unit");
        let seen = look_at(&files, None);
        assert_eq!(keys(&seen[0]), ["debug", ""]);
        assert_eq!(keys(&seen[1]), ["log-output", "logger", ""]);
        files[0].content = Err("it cannot be read".to_owned());
        assert_eq!(would_start(&files), None);
        let seen = look_at(&files, None);
        assert!(seen.iter().all(|file| keys(file).iter().all(|key| key.is_empty())), "{seen:?}");
    }

    #[test]
    fn a_unit_of_a_package_is_left_to_a_person() {
        let seen = look(&[("/usr/lib/systemd/system/etcd.service", UNIT)], "/usr/bin/etcd", &[]);
        let because = seen[0].by_hand.as_deref().unwrap();
        assert!(because.contains("systemctl edit --full etcd.service"), "{because}");
        let seen = look(&[("/etc/default/etcd", "A=\u{e9}\n")], "/usr/bin/etcd", &[]);
        assert_eq!((seen[0].unread.clone(), seen[0].by_hand.clone()), (None, None));
    }
}
