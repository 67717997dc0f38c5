//! Tells from a file's bytes whether it is a program that a host can run: whole, and made for its processor.
//!
//! Why: a download cut short, an error page saved under a binary's name and a build for another processor all start
//! as a file with the right name, and end as a member that does not come back.

use std::{fs::File, io::Read, path::Path};

/// What a file is, as far as its head tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A Linux program for this ELF machine number.
    Elf {
        /// `e_machine`.
        machine: u16,
        /// Smallest size that its own tables allow.
        size_min: u64,
    },
    /// A script with an interpreter line.
    Script,
    /// A program for another system: `Windows`, `macOS`.
    Foreign(&'static str),
    /// Nothing that could be run.
    Nothing,
}

/// Names of machines: ELF number, `uname -m`.
const MACHINES: [(u16, &str); 8] = [
    (62, "x86_64"),
    (183, "aarch64"),
    (3, "i686"),
    (40, "armv7l"),
    (243, "riscv64"),
    (21, "ppc64le"),
    (22, "s390x"),
    (258, "loongarch64"),
];

/// Longest head that is needed: the ELF header is 64 bytes.
const HEAD_BYTES: u64 = 64;

/// Reads what a file is.
pub fn look(path: &Path) -> std::io::Result<(Program, u64)> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok((judge(&head), size))
}

/// Tells what a file is from its first bytes.
pub fn judge(head: &[u8]) -> Program {
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(b"\x7fELF") {
        return elf(head).unwrap_or(Program::Nothing);
    }
    if starts(b"#!") {
        return Program::Script;
    }
    if starts(b"MZ") {
        return Program::Foreign("Windows");
    }
    let mac: [&[u8]; 3] = [b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];
    if mac.iter().any(|magic| starts(magic)) {
        return Program::Foreign("macOS");
    }
    Program::Nothing
}

fn elf(head: &[u8]) -> Option<Program> {
    let wide = match head.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let big = match head.get(5)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let number = |at: usize, len: usize| -> Option<u64> {
        let bytes = head.get(at..at + len)?;
        let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(if big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    };
    // Both tables must lie inside the file; linkers put the section table at its end, so a cut file lacks it.
    let table = |offset: (usize, usize), size: usize, count: usize| -> Option<u64> {
        let bytes = number(size, 2)?.saturating_mul(number(count, 2)?);
        Some(number(offset.0, offset.1)?.saturating_add(bytes))
    };
    let (programs, sections) = if wide {
        (table((32, 8), 54, 56)?, table((40, 8), 58, 60)?)
    } else {
        (table((28, 4), 42, 44)?, table((32, 4), 46, 48)?)
    };
    let machine = u16::try_from(number(18, 2)?).ok()?;
    Some(Program::Elf { machine, size_min: programs.max(sections) })
}

/// Says why a host of this machine (`uname -m`) cannot run the file, or nothing when it can.
pub fn objection(program: &Program, size: u64, machine: &str) -> Option<String> {
    match program {
        Program::Script => None,
        Program::Foreign(system) => Some(format!("is a program for {system}, not for Linux")),
        Program::Nothing if size == 0 => Some("is empty".to_owned()),
        Program::Nothing => {
            Some("is no program: it begins neither as an ELF file nor as a script".to_owned())
        }
        Program::Elf { size_min, .. } if size < *size_min => Some(format!(
            "is cut short: its own header asks for at least {size_min} bytes, it has {size}"
        )),
        Program::Elf { machine: made_for, .. } => {
            let name =
                MACHINES.iter().find(|(number, _)| number == made_for).map(|(_, name)| *name);
            let runs = name.is_some_and(|name| same_machine(name, machine));
            let made_for = name.map_or_else(|| format!("machine {made_for}"), str::to_owned);
            (!runs).then(|| format!("is made for {made_for}, the host is {machine}"))
        }
    }
}

fn same_machine(made_for: &str, host: &str) -> bool {
    let short_x86 = |name: &str| matches!(name, "i386" | "i486" | "i586" | "i686");
    made_for == host
        || (made_for == "i686" && (short_x86(host) || host == "x86_64"))
        || (made_for == "armv7l" && host.starts_with("arm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(machine: u16, sections_at: u64) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[40..48].copy_from_slice(&sections_at.to_le_bytes());
        head[58..60].copy_from_slice(&64_u16.to_le_bytes());
        head[60..62].copy_from_slice(&10_u16.to_le_bytes());
        head
    }

    fn objects(head: &[u8], size: u64, machine: &str) -> String {
        objection(&judge(head), size, machine).unwrap_or_default()
    }

    #[test]
    fn accepts_what_the_host_can_run() {
        assert_eq!(objects(&header(62, 1000), 1640, "x86_64"), "");
        assert_eq!(objects(&header(183, 1000), 1640, "aarch64"), "");
        assert_eq!(objects(b"#!/bin/sh\n", 10, "x86_64"), "");
    }

    #[test]
    fn refuses_what_it_cannot_with_the_reason() {
        let cases = [
            (header(62, 1000), 1639, "is cut short"),
            (header(183, 1000), 1640, "is made for aarch64, the host is x86_64"),
            (header(9999, 1000), 1640, "is made for machine 9999"),
            (header(62, 1000)[..30].to_vec(), 30, "is no program"),
            (b"MZ\x90".to_vec(), 3, "for Windows"),
            (b"\xcf\xfa\xed\xfe".to_vec(), 4, "for macOS"),
            (b"<html>404".to_vec(), 9, "is no program"),
            (Vec::new(), 0, "is empty"),
        ];
        for (head, size, reason) in cases {
            let said = objects(&head, size, "x86_64");
            assert!(said.contains(reason), "{reason}: {said}");
        }
    }

    #[test]
    fn the_running_test_program_is_whole() {
        let own = std::env::current_exe().unwrap();
        let (program, size) = look(&own).unwrap();
        assert_eq!(objection(&program, size, std::env::consts::ARCH), None);
        assert!(objection(&program, size / 2, std::env::consts::ARCH).is_some());
    }
}
