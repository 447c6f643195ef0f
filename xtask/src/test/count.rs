//! How many tests passed and failed, read from what the test runners say.

/// Passed and failed tests. A test that was ignored is neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Count {
    /// Adds a summary line of `cargo test`; other lines count nothing.
    pub(crate) fn add_line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let number = |word: &str| {
            let before = result.split(word).next().unwrap_or_default();
            before
                .rsplit([' ', '.'])
                .find_map(|text| text.parse::<usize>().ok())
                .unwrap_or(0)
        };
        self.passed += number(" passed");
        self.failed += number(" failed");
    }

    /// Reads the totals of a JUnit report.
    pub(crate) fn from_report(report: &str) -> Option<Self> {
        let head = report.split_once("<testsuites ")?.1.split_once('>')?.0;
        let number = |name: &str| -> Option<usize> {
            let value = head.split_once(&format!(" {name}=\""))?.1;
            value.split_once('"')?.0.parse().ok()
        };
        let failed = number("failures")? + number("errors").unwrap_or(0);
        Some(Self {
            passed: number("tests")?.checked_sub(failed)?,
            failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_the_summaries_of_all_binaries() {
        let mut count = Count::default();
        for line in [
            "running 5 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test a::passed ... ok",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ] {
            count.add_line(line);
        }
        assert_eq!(
            count,
            Count {
                passed: 15,
                failed: 2
            }
        );
    }

    #[test]
    fn reads_the_totals_of_a_report() {
        let report = r#"<?xml version="1.0"?>
            <testsuites name="nextest-run" tests="7" failures="1" errors="1" time="0.1">
              <testsuite name="a" tests="3" failures="0"></testsuite></testsuites>"#;
        assert_eq!(
            Count::from_report(report),
            Some(Count {
                passed: 5,
                failed: 2
            })
        );
        assert_eq!(Count::from_report("<testsuites >"), None);
    }
}
