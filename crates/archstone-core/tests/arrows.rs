//! Reads the source and fails on an arrow that points up: a subsystem may use only those that stand before it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The subsystems from the lowest to the highest, as the page on top of `lib.rs` names them.
fn order(lib: &str) -> Vec<String> {
    let page = lib.lines().map_while(|line| line.strip_prefix("//!")).collect::<Vec<_>>().join("\n");
    let (_, list) = page.split_once("only those named before it:").expect("lib.rs tells the order");
    let paragraph = list.trim_start().split("\n\n").next().unwrap_or_default();
    let quoted = paragraph.split('`').skip(1).step_by(2);
    quoted.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn subsystems_use_only_those_before_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = order(&fs::read_to_string(source.join("lib.rs")).expect("source is readable"));
    let rank = |subsystem: &str| order.iter().position(|name| name == subsystem);
    let mut wrong = BTreeSet::new();
    for file in rust_files(&source) {
        let path = file.strip_prefix(&source).expect("found below it").with_extension("");
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let subsystem = parts[0].as_str();
        if ["lib", "main"].contains(&subsystem) || parts.iter().any(|part| part.ends_with("tests")) {
            continue;
        }
        let Some(own) = rank(subsystem) else {
            wrong.insert(format!("{}: `{subsystem}` has no place in the order told by lib.rs", path.display()));
            continue;
        };
        let depth = if parts.last().is_some_and(|last| last == "mod") { parts.len() - 1 } else { parts.len() };
        for used in used_subsystems(&fs::read_to_string(&file).expect("source is readable"), depth) {
            if rank(&used).is_some_and(|rank| rank > own) {
                wrong.insert(format!("{}: `{subsystem}` uses `{used}`, which stands above it", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", Vec::from_iter(wrong).join("\n"));
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("source is readable").map(|entry| entry.expect("readable").path());
    entries
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The first names after `crate::`, and after as many `super::` as lead out of a file that is `depth` modules deep.
/// What stands under the file's own `#[cfg(test)]` is left out: a test may prepare its case from above.
fn used_subsystems(source: &str, depth: usize) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let code: String = code.split_whitespace().collect();
    let root = "super::".repeat(depth);
    let after = |prefix: &str| code.match_indices(prefix).map(|(at, text)| at + text.len()).collect::<Vec<_>>();
    let starts = [after("crate::"), after(&root)].concat();
    starts.into_iter().flat_map(|at| first_names(&code[at..])).collect()
}

/// `a::b` gives `a`; `{a::{b, c}, d}` gives `a` and `d`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut depth) = (vec![name(group)], 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn all_forms_of_use_are_seen() {
    let used = |source, depth| Vec::from_iter(used_subsystems(source, depth)).join(" ");
    assert_eq!(used("use crate::{\n    auth::{self, x},\n    token,\n};", 1), "auth token");
    assert_eq!(used("fn f() -> crate::revoke::Event {}", 1), "revoke");
    assert_eq!(used("// crate::auth\n#[cfg(test)]\nmod tests { use crate::token; }", 1), "");
    assert_eq!(used("use super::super::catalog::Service;", 2), "catalog");
    assert_eq!(used("use super::driver::Driver;", 2), "");
}

#[test]
fn order_is_read_from_the_page() {
    let lib = "//! Rules.\n//! Use only those named before it:\n//!\n//! `time id` │ `token` │\n//! `auth`\n//!\n//! `Not` this.\nmod x;";
    assert_eq!(order(lib), ["time", "id", "token", "auth"]);
}
