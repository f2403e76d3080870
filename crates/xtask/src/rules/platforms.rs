//! Differences between Python versions and between systems have one place each.

use super::Finding;
use crate::source::{Language, Source};

/// Where the Rust code may ask for the Python version.
const VERSIONS: &str = "crates/aioxide-py/src/object/compat.rs";

/// Where the crates may ask for the operating system.
const SYSTEMS: [&str; 4] = [
    "crates/aioxide/src/sys/",
    "crates/aioxide/src/sys.rs",
    "crates/aioxide/src/poller/",
    "crates/aioxide/src/poller.rs",
];

/// Finds `cfg` that stands elsewhere.
pub fn check(source: &Source) -> Vec<Finding> {
    let ours = source.path.starts_with("crates/aioxide");
    if source.language != Language::Rust || !ours || !source.path.contains("/src/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in source.numbered() {
        let code = &line.code;
        if !code.contains("cfg") {
            continue;
        }
        if code.contains("Py_3") && source.path != VERSIONS {
            let message = format!("Python versions are told apart in {VERSIONS} only");
            findings.push(Finding::new(source, number, message));
        }
        let asks_system = ["target_os", "target_family", "cfg(unix", "cfg(windows"];
        let allowed = SYSTEMS.iter().any(|place| source.path.starts_with(place));
        if asks_system.iter().any(|question| code.contains(question)) && !allowed {
            let message = "systems are told apart in sys and poller only";
            findings.push(Finding::new(source, number, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn versions_are_told_apart_in_one_file() {
        assert_eq!(lines(check, VERSIONS, "#[cfg(Py_3_12)]"), []);
        assert_eq!(
            lines(check, "crates/aioxide-py/src/tasks/mod.rs", "#[cfg(Py_3_12)]"),
            [1]
        );
        assert_eq!(lines(check, "crates/aioxide-py/src/lib.rs", "if cfg!(Py_3_12) {}"), [1]);
    }

    #[test]
    fn systems_are_told_apart_in_sys_and_poller() {
        let text = "#[cfg(target_os = \"linux\")]";
        assert_eq!(lines(check, "crates/aioxide/src/sys/linux.rs", text), []);
        assert_eq!(lines(check, "crates/aioxide/src/timers.rs", text), [1]);
    }
}
