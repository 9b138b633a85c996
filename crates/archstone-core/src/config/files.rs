//! Which files make up the configuration, and their texts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oslo_config::{Origin, Sources};

use super::report::Problem;

/// A file or folder that the command line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// `--config-file`
    File(PathBuf),
    /// `--config-dir`: its `*.conf`, sorted.
    Dir(PathBuf),
}

/// Everything that was given: texts of files, and the environment.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Parsed files and variables.
    pub sources: Sources,
    /// The files that were read, the most important last.
    pub files: Vec<PathBuf>,
    /// Files that could not be read.
    pub problems: Vec<Problem>,
    /// Where files named in the configuration are looked for, best first.
    pub search_dirs: Vec<PathBuf>,
}

impl Given {
    /// Reads what `named` says, in its order; where it names no file (or no folder), those of
    /// `OS_KEYSTONE_CONFIG_DIR` and `OS_KEYSTONE_CONFIG_FILES`, or of the usual places
    /// (`~/.keystone`, `~`, `/etc/keystone`, `/etc`: `keystone.conf`, `keystone.conf.d`), also under
    /// the name of `program`. As Keystone does it; `environment` also gives `HOME` and the options
    /// set by variables.
    pub fn read(named: &[Named], program: &str, environment: &BTreeMap<String, String>) -> Self {
        let mut given = Self::default();
        given.sources.add_environment(environment.clone());
        let usual = usual_dirs(environment);
        let mut files = Vec::new();
        if !named.iter().any(|named| matches!(named, Named::File(_))) {
            files = default_files(&usual, program, environment);
            for file in &files {
                given.read_file(file);
            }
        }
        if !named.iter().any(|named| matches!(named, Named::Dir(_))) {
            for dir in find_each(&usual, program, ".conf.d") {
                given.read_dir(&dir);
            }
        }
        let mut dirs = Vec::new();
        for named in named {
            match named {
                Named::File(file) => {
                    given.read_file(file);
                    files.push(file.clone());
                }
                Named::Dir(dir) => {
                    given.read_dir(dir);
                    dirs.push(dir.clone());
                }
            }
        }
        // oslo.config looks beside what the command line names, then in the usual places.
        let beside = files.iter().rev().filter_map(|file| file.parent()).map(Path::to_path_buf);
        given.search_dirs = dirs.into_iter().chain(beside).chain(usual).collect();
        given
    }

    /// A single text under a name, and nothing else.
    pub fn from_text(name: &str, text: &str) -> Self {
        let mut given = Self::default();
        given.sources.add_text(name, text);
        given
    }

    fn read_file(&mut self, path: &Path) {
        let name = path.display().to_string();
        match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => self.sources.add_text(&name, &text),
            Ok(Err(error)) => {
                let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = good.split(|&byte| byte == b'\n').count();
                let line = u32::try_from(line).unwrap_or(u32::MAX);
                self.problem(&name, line, "not valid UTF-8");
            }
            Err(error) => self.problem(&name, 0, &format!("can't be read: {error}")),
        }
        self.files.push(path.to_path_buf());
    }

    fn read_dir(&mut self, dir: &Path) {
        let mut files = match conf_files(dir) {
            Ok(files) => files,
            Err(error) => return self.problem(&dir.display().to_string(), 0, &format!("can't be read: {error}")),
        };
        files.sort();
        for file in &files {
            self.read_file(file);
        }
    }

    fn problem(&mut self, path: &str, line: u32, text: &str) {
        self.problems.push(Problem::new(&Origin::File { path: path.into(), line }, text));
    }
}

fn conf_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "conf") && !hidden {
            files.push(path);
        }
    }
    Ok(files)
}

fn usual_dirs(environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Some(home) = environment.get("HOME").filter(|home| !home.is_empty()) {
        dirs.push(Path::new(home).join(".keystone"));
        dirs.push(PathBuf::from(home));
    }
    dirs.extend([PathBuf::from("/etc/keystone"), PathBuf::from("/etc")]);
    dirs
}

fn default_files(usual: &[PathBuf], program: &str, environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let variable = |name: &str| environment.get(name).map_or("", |value| value.trim());
    let dir = variable("OS_KEYSTONE_CONFIG_DIR");
    let mut files: Vec<&str> = variable("OS_KEYSTONE_CONFIG_FILES").split(';').map(str::trim).collect();
    files.retain(|file| !file.is_empty());
    if files.is_empty() && !dir.is_empty() {
        files.push("keystone.conf");
    }
    if files.is_empty() {
        return find_each(usual, program, ".conf");
    }
    files.into_iter().map(|file| Path::new(dir).join(file)).collect()
}

/// The first `keystone<extension>` and the first `<program><extension>` of the folders.
fn find_each(dirs: &[PathBuf], program: &str, extension: &str) -> Vec<PathBuf> {
    let names = if program == "keystone" { vec!["keystone"] } else { vec!["keystone", program] };
    let find = |name: &str| dirs.iter().map(|dir| dir.join(format!("{name}{extension}"))).find(|path| path.exists());
    names.into_iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn names(given: &Given) -> Vec<String> {
        given.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    fn environment(pairs: &[(&str, &Path)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.display().to_string())).collect()
    }

    #[test]
    fn named_files_and_folders_are_read_in_their_order() {
        let dir = tree(&[("d/b.conf", ""), ("d/a.conf", ""), ("d/.c.conf", ""), ("d/x.txt", ""), ("k.conf", "")]);
        let named = [Named::Dir(dir.path().join("d")), Named::File(dir.path().join("k.conf"))];
        let given = Given::read(&named, "archstone", &BTreeMap::new());
        assert_eq!(
            (names(&given), given.problems),
            (["a.conf", "b.conf", "k.conf"].map(str::to_owned).to_vec(), vec![])
        );
    }

    #[test]
    fn usual_places_are_searched_when_nothing_is_named() {
        let home = tree(&[
            ("keystone.conf", ""),
            (".keystone/keystone.conf", "[x]"),
            ("archstone.conf", ""),
            ("keystone.conf.d/z.conf", ""),
        ]);
        let given = Given::read(&[], "archstone", &environment(&[("HOME", home.path())]));
        assert_eq!(names(&given), ["keystone.conf", "archstone.conf", "z.conf"]);
        assert!(given.files[0].ends_with(".keystone/keystone.conf"));
    }

    #[test]
    fn variables_of_the_server_name_its_files() {
        let dir = tree(&[("keystone.conf", ""), ("b.conf", "")]);
        let mut environment = environment(&[("OS_KEYSTONE_CONFIG_DIR", dir.path())]);
        assert_eq!(names(&Given::read(&[], "archstone", &environment)), ["keystone.conf"]);
        environment.insert("OS_KEYSTONE_CONFIG_FILES".into(), "keystone.conf; b.conf".into());
        assert_eq!(names(&Given::read(&[], "archstone", &environment)), ["keystone.conf", "b.conf"]);
    }

    #[test]
    fn every_unreadable_file_is_a_problem() {
        let dir = tree(&[("bad.conf", "")]);
        let bad = dir.path().join("bad.conf");
        fs::write(&bad, b"[x]\na = \xff").unwrap();
        let named = [Named::File(bad), Named::File("/no/such.conf".into()), Named::Dir("/no/dir".into())];
        let problems = Given::read(&named, "archstone", &BTreeMap::new()).problems;
        assert_eq!(problems.len(), 3);
        assert!(problems[0].to_string().ends_with("bad.conf:2: not valid UTF-8"));
        assert!(problems[1].to_string().starts_with("/no/such.conf: can't be read"));
    }

    #[test]
    fn policy_files_are_looked_for_beside_the_configuration() {
        let dir = tree(&[("a/1.conf", ""), ("b/2.conf", "")]);
        let named = ["a/1.conf", "b/2.conf"].map(|name| Named::File(dir.path().join(name)));
        let dirs = Given::read(&named, "archstone", &BTreeMap::new()).search_dirs;
        assert_eq!(dirs[..2], [dir.path().join("b"), dir.path().join("a")]);
    }
}
