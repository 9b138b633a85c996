//! The program: `archstone serve`, `archstone dev` and the commands of `keystone-manage`.

mod api;
mod cmd;
mod http;

use std::process::ExitCode;

/// A request makes some sixty small allocations, on whatever thread it meets; glibc's allocator spends twice as long on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cmd::run()
}
