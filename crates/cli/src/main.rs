//! The program `quorate`; everything is in the library beside it.

/// Plans are trees of small pieces, made and dropped on every core; the system's allocator takes a third longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Huge pages would make a controller that waits hold twice the memory that it uses. A kernel that refuses changes no more
    // than that.
    let _ = nix::sys::prctl::set_thp_disable(true);
    quorate_cli::main_with(std::env::args_os())
}
