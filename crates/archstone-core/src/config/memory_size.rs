//! An amount of memory, as options name it, and how much there is.

use std::fs;
use std::path::Path;

use oslo_config::Value;

use super::field::Field;

/// `512MiB`, a number of bytes, or `10%` of what the machine or its control group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemorySize {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of all.
    Percent(u64),
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Below this, caches are a burden.
const LEAST: u64 = 16 * MIB;
const MOST_PERCENT: u64 = 90;

/// What a share that nobody has chosen comes to at least, and at most.
const DEFAULT_PERCENT: u64 = 10;
const DEFAULT_LEAST: u64 = 64 * MIB;
const DEFAULT_MOST: u64 = 4 * GIB;

impl MemorySize {
    /// Bytes on this machine.
    pub fn bytes(self) -> u64 {
        match self {
            MemorySize::Bytes(bytes) => bytes,
            MemorySize::Percent(percent) => (memory_of(Path::new("/")) / 100 * percent).max(LEAST),
        }
    }

    /// What caches take where nobody has said it: a tenth of what there is, within limits.
    pub fn default_for_caches() -> u64 {
        MemorySize::Percent(DEFAULT_PERCENT).bytes().clamp(DEFAULT_LEAST, DEFAULT_MOST)
    }

    fn parse(text: &str) -> Option<MemorySize> {
        let text = text.trim();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number: u64 = digits.parse().ok()?;
        let unit = match text[digits.len()..].trim() {
            "%" => return (1..=MOST_PERCENT).contains(&number).then_some(MemorySize::Percent(number)),
            "" | "B" => 1,
            "KiB" => KIB,
            "MiB" => MIB,
            "GiB" => GIB,
            _ => return None,
        };
        number.checked_mul(unit).filter(|bytes| *bytes >= LEAST).map(MemorySize::Bytes)
    }
}

impl Field for MemorySize {
    fn from_value(value: &Value) -> Result<Self, String> {
        let size = if let Value::String(text) = value { MemorySize::parse(text) } else { None };
        size.ok_or_else(|| {
            let least = LEAST / MIB;
            format!("must be a share of 1% to {MOST_PERCENT}%, or at least {least}MiB, as 512MiB, 2GiB or bytes")
        })
    }
}

/// Bytes of the machine, or of the smallest control group that this process is in. A gibibyte if nothing tells.
fn memory_of(root: &Path) -> u64 {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let total = read("proc/meminfo").lines().find_map(|line| {
        let kib = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        kib.trim().parse::<u64>().ok()?.checked_mul(KIB)
    });
    let mut limits = vec![total.unwrap_or(GIB)];
    for line in read("proc/self/cgroup").lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (folder, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // The limits of all groups around it count too. Within a container, its own is seen as the root.
        let mut group = group.trim_matches('/');
        loop {
            limits.extend(read(&format!("{folder}/{group}/{file}")).trim().parse::<u64>());
            match group.rsplit_once('/') {
                Some((around, _)) => group = around,
                None if group.is_empty() => break,
                None => group = "",
            }
        }
    }
    limits.into_iter().filter(|limit| *limit > 0).min().unwrap_or(GIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_limits() {
        for (text, expected) in [
            ("10%", Some(MemorySize::Percent(10))),
            ("512MiB", Some(MemorySize::Bytes(512 * MIB))),
            (" 2 GiB ", Some(MemorySize::Bytes(2 * GIB))),
            ("16777216", Some(MemorySize::Bytes(LEAST))),
            ("65536KiB", Some(MemorySize::Bytes(64 * MIB))),
            ("0%", None),
            ("91%", None),
            ("1MiB", None),
            ("10MB", None),
            ("-5%", None),
            ("%", None),
            ("", None),
            ("18446744073709551615GiB", None),
            ("ä", None),
        ] {
            assert_eq!(MemorySize::parse(text), expected, "{text}");
        }
    }

    fn machine(files: &[(&str, &str)]) -> u64 {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        memory_of(root.path())
    }

    #[test]
    fn the_smallest_limit_counts() {
        let info = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 5 kB\n");
        let v2 = ("proc/self/cgroup", "0::/system.slice/archstone.service\n");
        let v1 = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n");
        let of_group = ("sys/fs/cgroup/system.slice/archstone.service/memory.max", "max\n");
        let of_slice = ("sys/fs/cgroup/system.slice/memory.max", "1073741824\n");
        let in_container = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
        let unlimited = ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(machine(&[]), GIB);
        assert_eq!(machine(&[info]), 8 * GIB);
        assert_eq!(machine(&[info, v2, of_group]), 8 * GIB);
        assert_eq!(machine(&[info, v2, of_group, of_slice]), GIB);
        assert_eq!(machine(&[info, v1, in_container, unlimited]), 512 * MIB);
    }

    #[test]
    fn the_default_is_within_limits() {
        assert!((DEFAULT_LEAST..=DEFAULT_MOST).contains(&MemorySize::default_for_caches()));
    }
}
