//! Jumps the wall clock of one program of a machine.
//!
//! Machines share the clock of this machine, and no namespace shifts it. Programs ask for the time through functions that
//! the kernel maps into each of them (the vDSO), so those functions are written anew in the memory of the program: they
//! ask the kernel and add the jump. That also works for programs that no preloaded library reaches, Go's among them.
//! The monotonic clock, by which timers run, stays. A program that asks the kernel itself, or is started again, sees the
//! true time. Invariants: a function is changed only while no thread is inside it; what is written is put back from the
//! kernel's own code.

use super::{LabError, group::Group};
use object::{Object as _, ObjectSymbol as _};
use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
    time::Duration,
};
use tokio::time::sleep;

/// A thread is inside a clock function for less than a millionth of its time: a second try is already rare.
const TRIES: u32 = 20;
/// Between two tries, long enough for every thread to have gone on.
const PAUSE: Duration = Duration::from_millis(5);

/// Sets the wall clock of every process of a program off by this much; by nothing puts it right. Gives their number.
pub(super) async fn jump(group: &Group, program: &str, by_secs: i64) -> Result<usize, LabError> {
    let pids: Vec<i32> = group
        .processes()
        .into_iter()
        .filter(|pid| names(*pid).contains(&program.to_owned()))
        .collect();
    if pids.is_empty() {
        return Err(LabError::Input(format!("no process `{program}` runs there")));
    }
    let failed = |because: String| LabError::Setup {
        what: format!("change the clock of {program}"),
        because,
    };
    let was_frozen = group.frozen();
    for _ in 0..TRIES {
        // Frozen, so that no thread comes into a function between the look and the change.
        group.freeze(true).await?;
        let changed = change_all(&pids, by_secs);
        if !was_frozen {
            group.freeze(false).await?;
        }
        if changed.map_err(|error| failed(error.to_string()))? {
            return Ok(pids.len());
        }
        if was_frozen {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(failed("one of its threads was asking for the time at every look".to_owned()))
}

/// What a process may be called: its own name, and the file that it was started from.
fn names(pid: i32) -> Vec<String> {
    let own = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = words.split(|byte| *byte == 0).next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    let file = Path::new(&first).file_name().unwrap_or_default().to_string_lossy().into_owned();
    vec![own.trim().to_owned(), file]
}

/// False when a thread is inside one of the functions; then nothing was changed.
fn change_all(pids: &[i32], by_secs: i64) -> io::Result<bool> {
    let mut all = Vec::new();
    for pid in pids {
        let vdso = Vdso::of(&pid.to_string())?;
        if vdso.is_busy(*pid)? {
            return Ok(false);
        }
        all.push((pid, vdso));
    }
    // The kernel maps the same code into everybody: this program's is the original.
    let original = Vdso::of("self")?;
    for (pid, vdso) in all {
        let memory = OpenOptions::new().write(true).open(format!("/proc/{pid}/mem"))?;
        for (function, code) in original.changes(by_secs)? {
            memory.write_all_at(&code, vdso.start + function.start)?;
        }
    }
    Ok(true)
}

/// The code that the kernel maps into a process.
struct Vdso {
    start: u64,
    code: Vec<u8>,
}

impl Vdso {
    fn of(process: &str) -> io::Result<Self> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
        let missing =
            || io::Error::other(format!("process {process} has no clock functions of the kernel"));
        let range = maps
            .lines()
            .find_map(|line| line.strip_suffix("[vdso]")?.split_whitespace().next())
            .and_then(|range| range.split_once('-'))
            .ok_or_else(missing)?;
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| missing());
        let (start, end) = (number(range.0)?, number(range.1)?);
        let mut code = vec![0; usize::try_from(end - start).map_err(|_| missing())?];
        File::open(format!("/proc/{process}/mem"))?.read_exact_at(&mut code, start)?;
        Ok(Self { start, code })
    }

    /// The clock functions, with the kind of each and where its code lies.
    fn functions(&self) -> io::Result<Vec<(Function, Range<u64>)>> {
        let file = object::File::parse(&*self.code).map_err(io::Error::other)?;
        if file.architecture() != object::Architecture::X86_64 {
            return Err(io::Error::other("clocks can be changed on x86-64 only"));
        }
        let mut found = Vec::new();
        for symbol in file.dynamic_symbols() {
            let function = match symbol.name() {
                Ok("__vdso_clock_gettime") => Function::ClockGettime,
                Ok("__vdso_gettimeofday") => Function::Gettimeofday,
                Ok("__vdso_time") => Function::Time,
                Ok(_) | Err(_) => continue,
            };
            found.push((function, symbol.address()..symbol.address() + symbol.size()));
        }
        if found.is_empty() {
            return Err(io::Error::other("the kernel's clock functions have other names here"));
        }
        Ok(found)
    }

    /// Whether a thread is inside one of the functions, or was sent into the kernel by one.
    fn is_busy(&self, pid: i32) -> io::Result<bool> {
        let functions = self.functions()?;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            // The last word is the place in the code; a thread that has just ended is nowhere.
            let text = fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
            let Some(place) = text.split_whitespace().next_back() else { continue };
            let Some(place) =
                place.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok())
            else {
                // `running`: not yet where the freezer holds it.
                return Ok(true);
            };
            let offset = place.wrapping_sub(self.start);
            if functions.iter().any(|(_, range)| range.contains(&offset)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The code to write, and where; for no jump, the original.
    fn changes(&self, by_secs: i64) -> io::Result<Vec<(Range<u64>, Vec<u8>)>> {
        let mut changes = Vec::new();
        for (function, range) in self.functions()? {
            let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            let own = bounds
                .and_then(|(start, end)| self.code.get(start..end))
                .ok_or_else(|| io::Error::other("a clock function lies outside its page"))?;
            let code = if by_secs == 0 { own.to_vec() } else { function.jumped(by_secs) };
            if code.len() > own.len() {
                return Err(io::Error::other(format!("{function:?} has no room for the change")));
            }
            changes.push((range, code));
        }
        Ok(changes)
    }
}

/// A function that tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    ClockGettime,
    Gettimeofday,
    Time,
}

impl Function {
    /// x86-64: asks the kernel and adds the jump to the seconds. Uses only registers that a callee may use.
    fn jumped(self, by_secs: i64) -> Vec<u8> {
        let jump = by_secs.to_le_bytes();
        let mut code = vec![0xf3, 0x0f, 0x1e, 0xfa]; // endbr64
        match self {
            Self::ClockGettime => {
                code.extend([0xb8, 228, 0, 0, 0, 0x0f, 0x05]); // mov eax, clock_gettime; syscall
                code.extend([0x85, 0xc0, 0x75, 22]); // test eax, eax; jnz ret
                code.extend([0x85, 0xff, 0x74, 5]); // test edi, edi (CLOCK_REALTIME); jz add
                code.extend([0x83, 0xff, 5, 0x75, 13]); // cmp edi, CLOCK_REALTIME_COARSE; jne ret
                code.extend([0x48, 0xb9]); // add: mov rcx, jump
                code.extend(jump);
                code.extend([0x48, 0x01, 0x0e]); // add [rsi], rcx
            }
            Self::Gettimeofday => {
                code.extend([0xb8, 96, 0, 0, 0, 0x0f, 0x05]); // mov eax, gettimeofday; syscall
                code.extend([0x85, 0xc0, 0x75, 18]); // test eax, eax; jnz ret
                code.extend([0x48, 0x85, 0xff, 0x74, 13]); // test rdi, rdi; jz ret
                code.extend([0x48, 0xb9]); // mov rcx, jump
                code.extend(jump);
                code.extend([0x48, 0x01, 0x0f]); // add [rdi], rcx
            }
            Self::Time => {
                code.extend([0xb8, 201, 0, 0, 0, 0x0f, 0x05]); // mov eax, time; syscall
                code.extend([0x48, 0xb9]); // mov rcx, jump
                code.extend(jump);
                code.extend([0x48, 0x01, 0xc8]); // add rax, rcx
                code.extend([0x48, 0x85, 0xff, 0x74, 3]); // test rdi, rdi; jz ret
                code.extend([0x48, 0x89, 0x07]); // mov [rdi], rax
            }
        }
        code.push(0xc3); // ret
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn this_kernels_functions_have_room_and_can_be_put_back() {
        let vdso = Vdso::of("self").unwrap();
        let functions = vdso.functions().unwrap();
        assert!(functions.iter().any(|(function, _)| *function == Function::ClockGettime));
        assert_eq!(vdso.changes(3600).unwrap().len(), functions.len());
        for (range, code) in vdso.changes(0).unwrap() {
            let (start, end) =
                (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
            assert_eq!(code, vdso.code[start..end]);
        }
    }

    #[test]
    fn jumps_land_on_whole_instructions() {
        // The distances of the jumps, counted by hand above, must end at the functions' last byte, `ret`.
        for (function, jumps) in [
            (Function::ClockGettime, vec![(13, 22), (22, 13)]),
            (Function::Gettimeofday, vec![(13, 18), (18, 13)]),
            (Function::Time, vec![(27, 3)]),
        ] {
            let code = function.jumped(1);
            for (at, distance) in jumps {
                assert!(matches!(code[at], 0x74 | 0x75), "{function:?} {at}: {code:x?}");
                assert_eq!(usize::from(code[at + 1]), distance, "{function:?} {at}");
                assert_eq!(at + 2 + distance, code.len() - 1, "{function:?} {at}");
            }
        }
    }

    #[test]
    fn a_process_is_known_by_its_name_and_its_file() {
        let mut command = Command::new("cat");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // One that has answered certainly runs its own program.
        child.stdin.as_mut().unwrap().write_all(b"x\n").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = names(pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&"cat".to_owned()), "{found:?}");
    }
}
