//! The program: `archstone serve`, `archstone dev` and the commands of `keystone-manage`.

mod api;
mod cmd;
mod http;

use std::process::ExitCode;

fn main() -> ExitCode {
    cmd::run()
}
