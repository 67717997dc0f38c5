//! Sets machines up and waits until each lets its user in.

use super::{
    DATA, LabError, Machine, Machines, MachinesSpec, base, boot, disk, down, keys, needs, net,
    place::{self, ID_LETTERS, SCHEMA, State},
    ready, seed,
};
use crate::{
    artifacts::{OnProgress, Progress},
    lab::{
        Registry,
        up::{claim, plainly_named, secret},
    },
};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use std::{net::Ipv4Addr, path::Path};

/// The addresses of one subnet, less those that are set aside.
const COUNT_MAX: u32 = 200;
/// The first machine's last number; those below are for what stands before the machines, a balancer or a name server.
const FIRST_NUMBER: u32 = 11;
/// ext4 with a journal does not fit into less.
const DATA_MB_MIN: u32 = 16;
/// A file that grows as it is written to; more is a mistake.
const DATA_MB_MAX: u32 = 65_536;
/// Machines that boot at once: enough to keep a few processors busy, few enough that each comes up without pause.
const AT_ONCE: usize = 6;

/// Sets up machines, gives their addresses and the files to reach them with. `bases` is where base trees are kept.
pub async fn up(
    bases: &Path,
    registry: &Registry,
    spec: &MachinesSpec,
    progress: OnProgress<'_>,
) -> Result<Machines, LabError> {
    sound(spec)?;
    needs::check(spec.count)?;
    let dir = std::path::absolute(&spec.dir).map_err(LabError::disk("find", &spec.dir))?;
    for path in [&dir, bases] {
        if path.to_string_lossy().contains([':', ',', '\\', '"', '\n']) {
            return Err(LabError::Input(format!(
                "machines cannot be mounted below {}: its name holds one of : , \\ \"",
                path.display()
            )));
        }
    }
    let mut state = begin(spec)?;
    state.made_folder = claim(&dir)?;
    match set_up(bases, registry, spec, &dir, &mut state, progress).await {
        Ok(()) => Ok(state.given(&dir)),
        Err(error) => {
            // The first error is the one to tell; what cannot be taken away stays visible in the folder.
            let _ = down::sweep(registry, &dir, &state).await;
            Err(error)
        }
    }
}

async fn set_up(
    bases: &Path,
    registry: &Registry,
    spec: &MachinesSpec,
    dir: &Path,
    state: &mut State,
    progress: OnProgress<'_>,
) -> Result<(), LabError> {
    // Before anything is made: whoever finds the folder knows what to look for.
    state.save(dir)?;
    registry.reserve(dir, 0)?;
    let base = base::tree(bases, spec.release, &spec.packages, progress).await?;
    state.base = Some(base.clone());
    {
        // Held until the bridge has its address: from then on everybody sees that the subnet is taken.
        let _lock = registry.lock()?;
        let gateway = net::choose(&state.id).await?;
        state.gateway = Some(gateway);
        state.machines = (0..spec.count).map(|number| machine(spec, gateway, number)).collect();
        state.save(dir)?;
        net::bridge(state).await?;
    }
    keys::make(dir, &state.machines).await?;
    keys::write_config(dir, &state.machines)?;
    seed::passwords(dir, &spec.seed)?;
    state.publish(dir)?;
    progress(Progress::step(format!("booting {} machines", spec.count)));
    let state: &State = state;
    let mut each = Vec::new();
    for machine in &state.machines {
        each.push(first_time(dir, &base, spec, state, machine).boxed());
    }
    stream::iter(each).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(drop)
}

/// Makes one machine and brings it up.
async fn first_time(
    dir: &Path,
    base: &Path,
    spec: &MachinesSpec,
    state: &State,
    machine: &Machine,
) -> Result<(), LabError> {
    disk::mount(dir, base, &machine.name, spec.data_mb).await?;
    let root = place::home(dir, &machine.name).join("root");
    seed::plant(dir, &root, machine, &state.machines, &spec.seed).await?;
    net::join(state, &machine.name, machine.address).await?;
    boot::start(dir, state, &machine.name).await?;
    ready::wait(dir, state, machine).await
}

/// Brings one machine up again, on the same disks. Also after this machine was restarted, which ends all but the disks.
pub(super) async fn again(dir: &Path, state: &State, machine: &Machine) -> Result<(), LabError> {
    let Some(base) = &state.base else { return Err(LabError::NoLab(dir.to_owned())) };
    disk::mount(dir, base, &machine.name, state.data_mb).await?;
    net::bridge(state).await?;
    net::join(state, &machine.name, machine.address).await?;
    net::enforce(state).await?;
    boot::start(dir, state, &machine.name).await?;
    ready::wait(dir, state, machine).await
}

fn begin(spec: &MachinesSpec) -> Result<State, LabError> {
    Ok(State {
        schema: SCHEMA,
        id: secret()?.get(..ID_LETTERS).unwrap_or_default().to_owned(),
        name: spec.name.clone(),
        release: spec.release,
        made_folder: false,
        data_mb: spec.data_mb,
        base: None,
        gateway: None,
        machines: Vec::new(),
        rules: Vec::new(),
    })
}

fn machine(spec: &MachinesSpec, gateway: Ipv4Addr, number: u32) -> Machine {
    let network = u32::from(gateway) & !0xff;
    let user = spec.seed.users.first().map_or("root", |user| user.name.as_str());
    Machine {
        name: format!("m{}", number + 1),
        address: Ipv4Addr::from(network + FIRST_NUMBER + number),
        release: spec.release,
        user: user.to_owned(),
        data: DATA.into(),
    }
}

fn sound(spec: &MachinesSpec) -> Result<(), LabError> {
    plainly_named(&spec.name)?;
    if spec.count == 0 || spec.count > COUNT_MAX {
        return Err(LabError::Input(format!(
            "a lab has 1 to {COUNT_MAX} machines, not {}",
            spec.count
        )));
    }
    if !(DATA_MB_MIN..=DATA_MB_MAX).contains(&spec.data_mb) {
        return Err(LabError::Input(format!(
            "a data volume has {DATA_MB_MIN} to {DATA_MB_MAX} MB, not {}",
            spec.data_mb
        )));
    }
    if spec.seed.users.is_empty() {
        return Err(LabError::Input("a machine without a user cannot be reached".to_owned()));
    }
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
    for package in &spec.packages {
        if !package.bytes().all(plain) || !package.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return Err(LabError::Input(format!(
                "`{package}` cannot be the name of a Debian package"
            )));
        }
    }
    spec.seed.sound()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{DATA_MB_DEFAULT, Debian, Seed},
        *,
    };

    /// Spoils a request that is sound.
    type Change = fn(&mut MachinesSpec);

    #[test]
    fn refuses_what_makes_no_sense() {
        let spec = |change: Change| {
            let mut spec = MachinesSpec {
                name: "x".to_owned(),
                dir: "/nowhere".into(),
                release: Debian::Bookworm,
                count: 3,
                data_mb: DATA_MB_DEFAULT,
                packages: vec!["python3".to_owned(), "libstdc++6".to_owned()],
                seed: Seed::default(),
            };
            change(&mut spec);
            sound(&spec).map_err(|error| error.to_string())
        };
        assert_eq!(spec(|_| ()), Ok(()));
        let cases: [(Change, &str); 7] = [
            (|s| s.name = "../x".to_owned(), "cannot be a lab's name"),
            (|s| s.count = 0, "1 to 200 machines"),
            (|s| s.count = 201, "1 to 200 machines"),
            (|s| s.data_mb = 1, "16 to 65536 MB"),
            (|s| s.packages.push("-x".to_owned()), "name of a Debian package"),
            (|s| s.packages.push("a b".to_owned()), "name of a Debian package"),
            (|s| s.seed.users.clear(), "cannot be reached"),
        ];
        for (change, reason) in cases {
            let said = spec(change).unwrap_err();
            assert!(said.contains(reason), "{reason}: {said}");
        }
    }
}
