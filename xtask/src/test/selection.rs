//! Which packages the arguments of `cargo xtask test` select: they are Cargo's, and we only look at them.

use cargo_metadata::Package;

use crate::workspace::Workspace;

/// Whether the arguments say which packages to test; otherwise it is all of them.
pub(crate) fn names_packages(arguments: &[String]) -> bool {
    !packages(arguments).is_empty()
}

/// Whether the arguments say which packages to test, if anything, and nothing else.
pub(crate) fn is_packages_only(arguments: &[String]) -> bool {
    let words = arguments.len();
    let apart = arguments.iter().filter(|word| is_flag(word)).count();
    let joined = arguments
        .iter()
        .filter(|word| word.starts_with("--package="))
        .count();
    words == 2 * apart + joined && !arguments.iter().any(|word| word == "--")
}

/// Whether one of the packages has a library, and so may have doc tests: Cargo fails if none has.
pub(crate) fn has_library(arguments: &[String], workspace: &Workspace) -> bool {
    let names = packages(arguments);
    let is_library = |package: &Package| {
        package
            .targets
            .iter()
            .any(|target| target.is_lib() || target.is_proc_macro())
    };
    let mut selected = workspace
        .packages()
        .iter()
        .filter(|package| names.is_empty() || names.iter().any(|name| package.name == *name));
    selected.any(is_library)
}

/// The arguments for cargo, and those for the tests themselves.
pub(crate) fn apart(arguments: &[String]) -> (&[String], &[String]) {
    match arguments.iter().position(|word| word == "--") {
        Some(at) => (&arguments[..at], &arguments[at + 1..]),
        None => (arguments, &[]),
    }
}

/// The names after `-p` and `--package`, up to the arguments of the tests themselves.
fn packages(arguments: &[String]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut words = arguments.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if is_flag(word) {
            names.extend(words.next().map(String::as_str));
        } else {
            names.extend(word.strip_prefix("--package="));
        }
    }
    names
}

fn is_flag(word: &str) -> bool {
    word == "-p" || word == "--package"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str], only: bool) {
        let arguments = arguments(line);
        assert_eq!(packages(&arguments), expected, "{line}");
        assert_eq!(is_packages_only(&arguments), only, "{line}");
    }

    fn arguments(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn knows_what_the_arguments_select() {
        check("", &[], true);
        check("-p tidings-core", &["tidings-core"], true);
        check(
            "--package tidings-core -p xtask",
            &["tidings-core", "xtask"],
            true,
        );
        check("--package=tidings-core", &["tidings-core"], true);
        check("-p tidings-core name", &["tidings-core"], false);
        check("-p tidings-core -- name", &["tidings-core"], false);
        check("-- -p", &[], false);
    }

    #[test]
    fn knows_what_is_for_the_tests_themselves() {
        for (line, cargo, tests) in [
            ("", "", ""),
            ("-p a", "-p a", ""),
            ("-p a -- name -- x", "-p a", "name -- x"),
            ("-- name", "", "name"),
        ] {
            let words = arguments(line);
            assert_eq!(
                apart(&words),
                (&arguments(cargo)[..], &arguments(tests)[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn knows_which_packages_have_a_library() {
        let workspace = Workspace::find().unwrap();
        for (line, expected) in [
            ("", true),
            ("-p xtask", false),
            ("-p xtask -p tidings-core", true),
        ] {
            assert_eq!(
                has_library(&arguments(line), &workspace),
                expected,
                "{line}"
            );
        }
    }
}
