//! Keys as a database can hold them.

use std::{borrow::Cow, fmt::Write};

use sha2::{Digest, Sha256};

/// What an index of every database takes; an exchange and a correlation id fit in.
const LONGEST: usize = 600;

/// The key itself, so that people can read it, or its digest if it is too long or a database cannot store it.
pub(crate) fn column(key: &str) -> Cow<'_, str> {
    if key.len() <= LONGEST && !key.contains('\0') {
        return Cow::Borrowed(key);
    }
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(key.as_bytes()) {
        // Writing to a text cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_readable_and_the_rest_stays_apart() {
        assert_eq!(
            column("create_site/\"example.com\""),
            "create_site/\"example.com\""
        );
        let digest = column("a\0b").into_owned();
        assert_eq!(digest.len(), "sha256:".len() + 64);
        let long = "x".repeat(LONGEST + 1);
        assert_ne!(column(&long), column(&(long.clone() + "x")));
        assert_ne!(column(&long), digest);
        assert_eq!(column(&long), column(&long));
    }
}
