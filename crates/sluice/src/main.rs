//! The program: `sluice serve` is the gateway, everything else is how people set it up and run it.
#![forbid(unsafe_code)]

mod cli;

/// Whatever is freed is wiped, whoever allocated it: buffers of TLS, HTTP and the runtime have held tokens, passwords and
/// values that were masked afterwards, and know nothing of it.
#[global_allocator]
static WIPING: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    cli::main()
}
