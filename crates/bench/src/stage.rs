//! `stage_100`: forty megabytes to each of a hundred hosts over SSH, copied as staging copies them, beside `clush --copy`.
//!
//! The hosts are one machine, and what arrives is kept in its memory: no disk is measured. Of staging it is the copy alone; the
//! digests that staging reads on every host would be a hundred times this machine's own work.

use crate::{
    Measured,
    fanout::{
        bed::{Bed, pause, run},
        peers::Peers,
    },
    figure::{Figure, median, round},
    machine::{load, memory_peak_mb},
};
use futures::{StreamExt, stream};
use quorate_model::{SshHost, SshSpec};
use quorate_runner::ops::run::STAGES_AT_ONCE;
use quorate_transport::{Answer, SshHosts, Transport};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

/// The word by which this program copies instead of measuring: its memory is then that of the copies alone.
pub(crate) const CHILD: &str = "stage-child";
const HOSTS: usize = 100;
const FILE_BYTES: usize = 40_000_000;
const RUNS: usize = 3;
const RATIO_BAR: f64 = 1.0;
/// A fifth of what is on its way at once, were each file read whole: whoever holds whole files in memory is told by it.
const MEMORY_BAR_MB: f64 = 256.0;

pub(crate) fn measure() -> Measured {
    let bed = Bed::start()?;
    let peers = Peers::fetch(bed.folder())?;
    let (hosts, _) = bed.hosts(HOSTS)?;
    let file = bed.at("forty");
    // No two blocks are alike: nothing on the way can make them smaller.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let block = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()
    });
    let bytes: Vec<u8> = block.flatten().take(FILE_BYTES).collect();
    fs::write(&file, bytes).map_err(|error| error.to_string())?;
    let (mut own, mut clush, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that a busy minute of the machine meets both.
    for _ in 0..RUNS {
        bed.quiet()?;
        let (secs, peak) = ours(&bed, &hosts, &file)?;
        own.push(secs);
        memory.push(peak);
        bed.quiet()?;
        let there = tempfile::tempdir_in("/dev/shm").map_err(|error| error.to_string())?;
        let target = there.path().join("forty");
        let began = Instant::now();
        run(&mut peers.copy(&bed, &hosts, &file, &target))?;
        clush.push(began.elapsed().as_secs_f64());
        whole(&target)?;
    }
    let ratio = median(&own) / median(&clush);
    Ok(vec![
        Figure::at_most("stage_100", ratio, "of clush --copy", RATIO_BAR)
            .with("secs", round(median(&own)))
            .with("clush_secs", round(median(&clush)))
            .with("load", load()),
        Figure::at_most("stage_100_memory", median(&memory), "MB", MEMORY_BAR_MB).over(&memory),
    ])
}

/// Seconds, and the most memory in MB.
fn ours(bed: &Bed, hosts: &Path, file: &Path) -> Result<(f64, f64), String> {
    let there = tempfile::tempdir_in("/dev/shm").map_err(|error| error.to_string())?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.arg(CHILD).arg(bed.at("ssh_config")).arg(hosts).arg(file).arg(there.path());
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(memory_peak_mb(child.id()).unwrap_or(0.0));
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None => pause(),
        }
    };
    let secs = began.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("the copies ended with {status}"));
    }
    let copies = fs::read_dir(there.path()).map_err(|error| error.to_string())?;
    let copies: Vec<PathBuf> = copies.filter_map(|copy| Some(copy.ok()?.path())).collect();
    if copies.len() != HOSTS {
        return Err(format!("{} of {HOSTS} hosts have the file", copies.len()));
    }
    copies.iter().try_for_each(|copy| whole(copy))?;
    Ok((secs, peak))
}

fn whole(copy: &Path) -> Result<(), String> {
    let size = fs::metadata(copy).map_err(|error| format!("{}: {error}", copy.display()))?.len();
    let wanted = u64::try_from(FILE_BYTES).unwrap_or(u64::MAX);
    (size == wanted).then_some(()).ok_or_else(|| format!("{} has {size} bytes", copy.display()))
}

/// Copies, and says what it did.
pub(crate) fn child() -> ExitCode {
    match copied(std::env::args().skip(2).map(PathBuf::from).collect()) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(because) => {
            eprintln!("error: {because}");
            ExitCode::FAILURE
        }
    }
}

fn copied(words: Vec<PathBuf>) -> Result<Value, String> {
    let [config, hosts, file, there] = words.as_slice() else {
        return Err("a configuration, a list of hosts, a file and a folder are needed".to_owned());
    };
    let spec = SshSpec { config: Some(config.clone()), ..SshSpec::default() };
    let ssh = SshHosts::new(&spec).map_err(|error| error.to_string())?;
    let names = fs::read_to_string(hosts).map_err(|error| error.to_string())?;
    let copy = |(at, name): (usize, &str)| {
        let host = ssh.host(&SshHost { name: name.to_owned(), sudo: false, tunnel: false });
        let target = there.join(format!("host-{at}"));
        async move { host.put(file, &target, 0o755).await }
    };
    let copies: Vec<_> = names.lines().enumerate().map(copy).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let answers: Vec<Answer<()>> =
        runtime.block_on(stream::iter(copies).buffered(STAGES_AT_ONCE).collect());
    let count = answers.len();
    let failed = answers.into_iter().find_map(|answer| match answer {
        Answer::Done(()) => None,
        Answer::Failed(because) | Answer::Unknown(because) => Some(because),
    });
    failed.map_or_else(|| Ok(json!({ "hosts": count })), Err)
}
