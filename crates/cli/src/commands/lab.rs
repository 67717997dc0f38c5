//! `quorate lab`: clusters and machines on this machine to try things on.

use crate::{
    args::{Fault as FaultWord, Global, LabCommand, LabFault, LabMachines, LabUp, Output},
    commands::apply::agreed_to,
    print,
};
use quorate_runner::{
    ops::{
        lab::{self, DATA_MB_DEFAULT, Damage, Fault, LabRequest, MachinesRequest},
        release::release,
    },
    problem::{LAB, Problem},
};
use serde_json::json;
use std::path::PathBuf;

pub(crate) async fn run(global: &Global, command: LabCommand) -> Result<u8, Problem> {
    match command {
        LabCommand::Up(args) => up(global, args).await,
        LabCommand::Down { name, yes } => {
            let dir = lab::dir_of(&name).await?;
            let what = format!(
                "stop the members of lab {name} and delete their data in {}",
                dir.display()
            );
            agreed_to(yes, &what)?;
            let down = lab::down(&name).await?;
            let folder = if down.folder_removed {
                "its folder is removed"
            } else {
                "its folder holds other things too and stays"
            };
            print::say(&format!(
                "lab {name} is down: {} members stopped, {folder}",
                down.members.len()
            ));
            Ok(0)
        }
        LabCommand::List => list(global).await,
        LabCommand::Fault(args) => fault(args).await,
    }
}

async fn up(global: &Global, args: LabUp) -> Result<u8, Problem> {
    if args.pack == "machines" {
        return up_machines(global, args).await;
    }
    let LabMachines { data_mb, asks, packages } = &args.machines;
    if data_mb.is_some() || *asks || !packages.is_empty() {
        return Err(Problem::new(
            LAB,
            format!("a lab of {} has plain processes, not machines of its own", args.pack),
        )
        .hint("`--data-mb`, `--asks` and `--with` are for `lab up machines`"));
    }
    let request = LabRequest {
        pack: args.pack.as_str().into(),
        release: release(&args.release)?,
        members: args.members,
        clients: args.clients,
        dir: args.dir.unwrap_or_else(|| PathBuf::from(format!("lab-{}", args.name))),
        name: args.name,
        tls: args.tls,
        auth: args.auth,
        v2_keys: args.v2_keys,
        extra_args: args.flag,
        artifacts: args.artifacts.artifacts,
        cache: None,
    };
    let (lab, file) = lab::up(&request, &print::progress).await?;
    if global.output == Output::Json {
        print::json(&json!({ "schema": 1, "lab": request.name, "dir": lab.dir, "fleet": file }));
    } else {
        print::data(&file.display().to_string());
        print::say(&format!("look at it with `quorate --fleet {} detect`", file.display()));
    }
    Ok(0)
}

async fn up_machines(global: &Global, args: LabUp) -> Result<u8, Problem> {
    if args.tls || args.auth || args.v2_keys > 0 || !args.flag.is_empty() {
        return Err(Problem::new(LAB, "machines have no product of their own yet")
            .hint("`--tls`, `--auth`, `--v2-keys` and `--flag` are for `lab up etcd`"));
    }
    let request = MachinesRequest {
        release: args.release,
        count: args.members,
        dir: args.dir.unwrap_or_else(|| PathBuf::from(format!("lab-{}", args.name))),
        name: args.name,
        data_mb: args.machines.data_mb.unwrap_or(DATA_MB_DEFAULT),
        asks: args.machines.asks,
        packages: args.machines.packages,
    };
    let lab = lab::up_machines(&request, &print::progress).await?;
    let list = lab.dir.join("machines.json");
    if global.output == Output::Json {
        print::json(&json!({
            "schema": 1, "lab": lab.name, "dir": lab.dir, "ssh_config": lab.ssh_config, "known_hosts": lab.known_hosts,
            "key": lab.key, "list": list, "machines": lab.machines,
        }));
        return Ok(0);
    }
    print::data(&lab.ssh_config.display().to_string());
    let rows: Vec<Vec<String>> = lab
        .machines
        .iter()
        .map(|machine| {
            let data = machine.data.display().to_string();
            vec![machine.name.clone(), machine.address.to_string(), machine.user.clone(), data]
        })
        .collect();
    print::say(print::table(&["MACHINE", "ADDRESS", "USER", "DATA"], &rows).trim_end());
    print::say(&format!("the same for programs: {}", list.display()));
    print::say(&format!("log in with `ssh -F {} m1`", lab.ssh_config.display()));
    Ok(0)
}

async fn list(global: &Global) -> Result<u8, Problem> {
    let (labs, problems) = lab::list().await;
    if global.output == Output::Json {
        let labs: Vec<_> = labs
            .iter()
            .map(|lab| json!({ "name": lab.name, "dir": lab.dir, "pack": lab.pack, "release": lab.release, "members": lab.members }))
            .collect();
        print::json(&json!({ "schema": 1, "labs": labs, "problems": problems }));
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = labs
        .iter()
        .map(|lab| {
            let running = lab.members.iter().filter(|(_, runs)| *runs == Some(true)).count();
            vec![
                lab.name.clone(),
                lab.pack.to_string(),
                lab.release.clone(),
                format!("{running}/{}", lab.members.len()),
                lab.dir.display().to_string(),
            ]
        })
        .collect();
    print::data(&print::table(&["LAB", "PACK", "RELEASE", "RUNNING", "FOLDER"], &rows));
    for problem in problems {
        print::say(&problem);
    }
    Ok(0)
}

async fn fault(args: LabFault) -> Result<u8, Problem> {
    let fault = match args.fault {
        FaultWord::Kill => Fault::Kill,
        FaultWord::Freeze => Fault::Freeze,
        FaultWord::Thaw => Fault::Thaw,
        FaultWord::Stop => Fault::Stop,
        FaultWord::Start => Fault::Start,
        FaultWord::FillDisk => Fault::FillDisk,
        FaultWord::FreeDisk => Fault::FreeDisk,
        FaultWord::DamageArtifact => {
            let text = args.release.as_deref().ok_or_else(|| {
                Problem::new(LAB, "whose binary shall be damaged was not said")
                    .hint("add `--release RELEASE`")
            })?;
            Fault::DamageArtifact { release: release(text)?, damage: Damage::Truncate }
        }
        FaultWord::Cut => Fault::Cut { from: args.from },
        FaultWord::Drop => {
            let percent = args.share.ok_or_else(|| {
                Problem::new(LAB, "how many packets shall be dropped was not said")
                    .hint("add `--share PERCENT`")
            })?;
            Fault::Drop { from: args.from, percent }
        }
        FaultWord::Heal => Fault::Heal,
        FaultWord::HangSsh => Fault::HangSsh,
        FaultWord::MendSsh => Fault::MendSsh,
        FaultWord::JumpClock | FaultWord::MendClock => {
            let mend = args.fault == FaultWord::MendClock;
            let (Some(program), Some(by_secs)) = (args.program, args.by.or(mend.then_some(0)))
            else {
                return Err(Problem::new(LAB, "whose clock, and by how much, was not said")
                    .hint("add `--program NAME --by SECS`; `mend-clock` needs the name alone"));
            };
            Fault::JumpClock { program, by_secs: if mend { 0 } else { by_secs } }
        }
    };
    print::say(&lab::fault(&args.name, &args.node, &fault).await?);
    Ok(0)
}
