//! The program: `archstone serve`, `archstone dev` and the commands of `keystone-manage`.

fn main() {}
