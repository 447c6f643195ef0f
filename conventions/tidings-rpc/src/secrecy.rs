//! Secret members on their way: decrypted where a request arrives, encrypted where it leaves.

use std::borrow::Cow;

use tidings_core::{
    Error, ErrorKind,
    contract::{Invalid, Violation},
    error::Result,
};

use crate::{
    keys::{Keys, Reading},
    members::{Change, Step, places, rewrite},
    secrets::Secrets,
};

/// A token that cannot be decrypted, in strict mode.
const UNDECRYPTABLE: &str = "secret_undecryptable";
/// A secret in the clear, in strict mode.
const NOT_ENCRYPTED: &str = "secret_not_encrypted";

/// The body with every token in it decrypted that may hold something: any text that is a member of the request itself,
/// and whatever the contract calls a secret.
///
/// What cannot be decrypted stays as it is, except in strict mode.
///
/// # Errors
/// In strict mode: [`ErrorKind::Invalid`] with every secret that is not encrypted and every token that cannot be
/// decrypted, [`ErrorKind::Decode`] if the body is not a JSON object.
pub(crate) fn decrypt<'a>(keys: &Keys, secrets: &Secrets, body: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    let mut decryption = Decryption {
        keys,
        violations: Vec::new(),
    };
    match rewrite(body, secrets, &mut decryption) {
        Ok(_) if !decryption.violations.is_empty() => Err(refused(decryption.violations)),
        Ok(Some(rewritten)) => Ok(Cow::Owned(rewritten)),
        Ok(None) => Ok(Cow::Borrowed(body)),
        // Whoever decodes it says what is wrong, unless that is more forgiving than we are: then nothing in it would
        // have been looked at.
        Err(_) if !keys.is_strict() => Ok(Cow::Borrowed(body)),
        Err(broken) => {
            let (line, column) = (broken.line(), broken.column());
            let context = format!(
                "the request is not a JSON object, or ends too soon: look at line {line}, column {column}"
            );
            Err(Error::new(ErrorKind::Decode, context))
        }
    }
}

/// The body with its secrets encrypted, as far as they are not yet.
///
/// # Errors
/// [`ErrorKind::Invalid`] if a secret is no text, so that there is no token for it.
pub(crate) fn encrypt(keys: &Keys, secrets: &[&str], body: Vec<u8>) -> Result<Vec<u8>> {
    let reached = secrets
        .iter()
        .filter(|path| keys.encrypts_nested() || !path.contains('.'));
    let secrets = Secrets::new(reached);
    if secrets.is_empty() {
        return Ok(body);
    }
    let mut encryption = Encryption { keys, other: None };
    let rewritten = rewrite(&body, &secrets, &mut encryption).map_err(|broken| {
        let context = "secrets can only be encrypted in a request that is a JSON object: derive `Request` for a struct with named members";
        Error::new(ErrorKind::Invalid, context).with_source(broken)
    })?;
    match encryption.other {
        Some(path) => {
            let context = format!(
                "the secret `{path}` is no text, and only texts can be encrypted: make it a string, or take it out of the contract's secrets"
            );
            Err(Error::new(ErrorKind::Invalid, context))
        }
        None => Ok(rewritten.unwrap_or(body)),
    }
}

struct Decryption<'k> {
    keys: &'k Keys,
    violations: Vec<Violation>,
}

impl Change for Decryption<'_> {
    fn text(&mut self, text: &str, is_secret: bool, way: &[Step<'_>]) -> Option<String> {
        match self.keys.read(text) {
            Reading::Secret(plain) => return Some(plain),
            Reading::Unreadable(why) => {
                self.refuse(
                    way,
                    format!("The token cannot be decrypted: {why}"),
                    UNDECRYPTABLE,
                );
            }
            Reading::Plain if is_secret => self.other(way),
            Reading::Plain => {}
        }
        None
    }

    fn other(&mut self, way: &[Step<'_>]) {
        self.refuse(
            way,
            "This member must be encrypted".to_owned(),
            NOT_ENCRYPTED,
        );
    }
}

impl Decryption<'_> {
    fn refuse(&mut self, way: &[Step<'_>], message: String, code: &'static str) {
        if self.keys.is_strict() {
            self.violations
                .push(Violation::new(places(way), message, code));
        }
    }
}

struct Encryption<'k> {
    keys: &'k Keys,
    other: Option<String>,
}

impl Change for Encryption<'_> {
    fn text(&mut self, text: &str, is_secret: bool, _: &[Step<'_>]) -> Option<String> {
        // What the caller has encrypted by hand is a token already.
        (is_secret && self.keys.decrypt(text).is_none()).then(|| self.keys.encrypt(text))
    }

    fn other(&mut self, way: &[Step<'_>]) {
        let path = Violation::new(places(way), "", "").path;
        self.other.get_or_insert(path);
    }
}

fn refused(violations: Vec<Violation>) -> Error {
    let invalid = Invalid::new(violations);
    let context = format!("the request breaks the rules for secrets: {invalid}");
    Error::new(ErrorKind::Invalid, context).with_source(invalid)
}
