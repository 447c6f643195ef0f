//! Rules about code and comments: what is unfinished, what is switched off, what waits by sleeping.

use crate::tidy::{File, Finding, Rule, source::Line};

static SKIPPED_TEST: Rule = Rule {
    name: "skipped-test",
    why: "a test that does not run, or that passes when anything at all panics, proves nothing and stays forever",
    instead: "repair it, delete it, or assert the exact outcome; if it does not work yet, assert today's result",
};
static UNFINISHED: Rule = Rule {
    name: "unfinished",
    why: "what is on the main branch is finished: no leftover may panic or print at a user",
    instead: "write it, or return an error that says what is not supported",
};
static ALLOW: Rule = Rule {
    name: "allow",
    why: "an `allow` stays when its cause is gone, and does not say what the cause was",
    instead: "use `#[expect(the_lint, reason = \"…\")]`, on the smallest item that needs it",
};
static SLEEP: Rule = Rule {
    name: "sleep-in-test",
    why: "a test that sleeps is slow on a fast machine and wrong on a slow one",
    instead: "wait for the event itself, or pause time with `#[tokio::test(start_paused = true)]`",
};
static NOTE: Rule = Rule {
    name: "note-to-self",
    why: "a note in the code has no owner and no date, and is read by everybody but the one who should act",
    instead: "do it, or open an issue and describe today's behaviour here",
};

/// Checks one file.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.numbered() {
        let mut found =
            |rule, what: String| findings.push(Finding::new(rule, &file.path, number, what));
        for attribute in ["#[ignore", "#[should_panic"] {
            if line.code.contains(attribute) {
                found(&SKIPPED_TEST, format!("`{attribute}]`"));
            }
        }
        for name in ["todo!", "unimplemented!", "dbg!"] {
            if has_word(&line.code, name) {
                found(&UNFINISHED, format!("`{name}`"));
            }
        }
        if line.code.contains("[allow(") && !line.is_quoted {
            found(&ALLOW, "`allow` where `expect` belongs".into());
        }
        for note in ["TODO", "FIXME", "XXX"] {
            if has_word(&line.comment, note) {
                found(&NOTE, format!("`{note}` in a comment"));
            }
        }
    }
    findings.extend(sleeps(file));
    findings
}

/// Sleeping in tests. With paused time, tokio's sleep takes no time and depends on no machine.
fn sleeps(file: &File) -> Vec<Finding> {
    let is_paused =
        file.text.contains("start_paused = true") || file.text.contains("time::pause()");
    let sleeps = |line: &Line| {
        line.code.contains("thread::sleep") || (!is_paused && has_word(&line.code, "sleep("))
    };
    let found = file.test_lines().filter(|(_, line)| sleeps(line));
    found
        .map(|(number, _)| Finding::new(&SLEEP, &file.path, number, "a test that sleeps"))
        .collect()
}

/// Whether a text has a word that is not the end of a longer one, nor its beginning.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let is_open = word.ends_with(is_part) && after.is_some_and(is_part);
        !before.is_some_and(is_part) && !is_open
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::broken;

    fn check_text(path: &str, text: &str, expected: &[(&str, usize)]) {
        assert_eq!(broken(&check(&File::new(path, text))), expected, "{text}");
    }

    #[test]
    fn good_code_has_no_findings() {
        for text in [
            "#[expect(clippy::panic, reason = \"it is a test\")]",
            "// The word todo!() in a comment, and `#[ignore]`.",
            "let text = \"dbg!(x)\";",
            "my_todo!(1);",
            "/// Not FIXMEs, nor XXXL.",
            "quote! { #[allow(non_snake_case)] }",
        ] {
            check_text("src/a.rs", text, &[]);
        }
    }

    #[test]
    fn bad_code_is_found() {
        check_text("src/a.rs", "#[ignore]\nfn a() {}", &[("skipped-test", 1)]);
        check_text("src/a.rs", "#[ignore = \"slow\"]", &[("skipped-test", 1)]);
        check_text(
            "src/a.rs",
            "#[should_panic(expected = \"x\")]",
            &[("skipped-test", 1)],
        );
        check_text("src/a.rs", "fn a() {\n    todo!()\n}", &[("unfinished", 2)]);
        check_text("src/a.rs", "unimplemented!(\"x\")", &[("unfinished", 1)]);
        check_text("src/a.rs", "let b = dbg!(a);", &[("unfinished", 1)]);
        check_text("src/a.rs", "#[allow(dead_code)]", &[("allow", 1)]);
        check_text(
            "src/a.rs",
            "#![allow(dead_code, reason = \"x\")]",
            &[("allow", 1)],
        );
        check_text(
            "src/a.rs",
            "let a = 1; // TODO: two",
            &[("note-to-self", 1)],
        );
    }

    #[test]
    fn tests_do_not_sleep() {
        check_text(
            "tests/it/a.rs",
            "tokio::time::sleep(x).await;",
            &[("sleep-in-test", 1)],
        );
        check_text(
            "tests/it/a.rs",
            "std::thread::sleep(x);",
            &[("sleep-in-test", 1)],
        );
        check_text(
            "src/a.rs",
            "#[cfg(test)]\nmod tests {\n    sleep(x).await;\n}",
            &[("sleep-in-test", 3)],
        );
        check_text("src/a.rs", "tokio::time::sleep(x).await;", &[]);
        check_text(
            "tests/it/a.rs",
            "#[tokio::test(start_paused = true)]\nsleep(x).await;",
            &[],
        );
        check_text(
            "tests/it/a.rs",
            "start_paused = true\nthread::sleep(x);",
            &[("sleep-in-test", 2)],
        );
    }
}
