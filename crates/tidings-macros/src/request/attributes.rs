//! What can be said in `#[request(…)]`.
//!
//! Each setting is checked where it is said, so that the compiler points at it. What a setting means for the members of
//! the type is checked by [`Members`](super::members::Members).

use std::time::Duration;

use syn::{
    Attribute, Error, Expr, Ident, LitInt, LitStr, Path, Result, Token, Type, ext::IdentExt as _,
    meta::ParseNestedMeta, punctuated::Punctuated,
};

use super::duration;
use crate::attributes::{checked_name, flag, once};

/// The settings of one derive.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) exchange: Option<String>,
    pub(crate) answer: Option<Answer>,
    pub(crate) lock: Option<Lock>,
    pub(crate) secrets: Option<Vec<LitStr>>,
    pub(crate) remembered: Option<Duration>,
    pub(crate) examples: Vec<Expr>,
    pub(crate) krate: Option<Path>,
    lax: Option<()>,
}

/// What comes back.
pub(crate) enum Answer {
    /// The usual model, with this as its data.
    Response(Type),
    /// A model of its own.
    Reply(Type),
}

/// By what requests exclude one another, unless it is everything.
pub(crate) enum Lock {
    Off,
    Member(LitStr),
}

/// The longest name that an exchange can have on a wire that has exchanges.
const LONGEST: usize = 255;

const SETTINGS: &str = "unknown setting: use `exchange`, `response`, `reply`, `lock`, `lax`, `secrets`, `remembered`, `example` or `crate`";

impl Attributes {
    /// Reads every `#[request(…)]` of the type.
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self::default();
        let is_ours = |found: &&Attribute| found.path().is_ident("request");
        for found in attributes.iter().filter(is_ours) {
            found.parse_nested_meta(|meta| parsed.set(&meta))?;
        }
        Ok(parsed)
    }

    /// Whether numbers and booleans may be spelled in other ways.
    pub(crate) fn is_lax(&self) -> bool {
        self.lax.is_some()
    }

    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.get_ident().map(Ident::unraw);
        let name = name.map(|name| name.to_string()).unwrap_or_default();
        match name.as_str() {
            "exchange" => once(&mut self.exchange, meta, exchange),
            "response" | "reply" => self.set_answer(meta, name == "response"),
            "lock" => once(&mut self.lock, meta, lock),
            "lax" => once(&mut self.lax, meta, flag),
            "secrets" => once(&mut self.secrets, meta, secrets),
            "remembered" => once(&mut self.remembered, meta, remembered),
            "example" => {
                self.examples.push(meta.value()?.parse()?);
                Ok(())
            }
            "crate" => once(&mut self.krate, meta, |meta| meta.value()?.parse()),
            "name" => Err(meta.error("a request is named by its exchange: use `exchange = \"…\"`")),
            "version" => Err(meta.error(
                "a request has no version: what changes in a way that breaks callers gets an exchange of its own",
            )),
            "examples" => Err(meta.error("say `example = …` once for each example")),
            "lock_attribute" => Err(meta.error("the setting is called `lock`")),
            "secret" => Err(meta.error("the setting is called `secrets(\"…\")`")),
            _ => Err(meta.error(SETTINGS)),
        }
    }

    fn set_answer(&mut self, meta: &ParseNestedMeta<'_>, is_response: bool) -> Result<()> {
        let was_response = match &self.answer {
            None => {
                let model = meta.value()?.parse()?;
                self.answer = Some(if is_response {
                    Answer::Response(model)
                } else {
                    Answer::Reply(model)
                });
                return Ok(());
            }
            Some(Answer::Response(_)) => true,
            Some(Answer::Reply(_)) => false,
        };
        Err(meta.error(if was_response == is_response {
            "said twice: keep one of the two"
        } else {
            "`response` is the data inside the usual answer, `reply` is the whole answer: keep one of the two"
        }))
    }
}

/// The name of an exchange: what no broker takes is refused here.
fn exchange(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let name = checked_name(meta, "an exchange")?;
    let text = name.value();
    if text.len() > LONGEST {
        let message = format!("the name of an exchange is at most {LONGEST} bytes long");
        return Err(Error::new(name.span(), message));
    }
    if text.starts_with("amq.") {
        let message = "names that begin with `amq.` belong to the broker: it refuses to declare such an exchange";
        return Err(Error::new(name.span(), message));
    }
    Ok(text)
}

/// `lock = "member"` or `lock = off`.
///
/// `none` is refused: where this wire comes from, a lock attribute of `None` is the strictest lock, not the absence of
/// one.
fn lock(meta: &ParseNestedMeta<'_>) -> Result<Lock> {
    let value = meta.value()?;
    if value.peek(LitStr) {
        let member: LitStr = value.parse()?;
        return if member.value().is_empty() {
            Err(Error::new(member.span(), "a member has a name"))
        } else {
            Ok(Lock::Member(member))
        };
    }
    if !value.peek(Ident::peek_any) {
        return Err(value.error(
            "name the member that requests exclude one another by, `lock = \"member\"`, or say `lock = off`",
        ));
    }
    let word = Ident::parse_any(value)?;
    let text = word.unraw().to_string();
    match text.as_str() {
        "off" => Ok(Lock::Off),
        "none" | "None" => Err(Error::new(
            word.span(),
            "`none` could mean either: leave `lock` out for one request at a time, as `None` does in Python, or say `lock = off` \
             for requests side by side",
        )),
        "whole" | "all" => Err(Error::new(
            word.span(),
            "one request at a time is what a request without `lock` means: leave it out",
        )),
        _ => Err(Error::new(
            word.span(),
            format!("the name of a member is written in quotes: `lock = \"{text}\"`"),
        )),
    }
}

/// Paths of members: `secrets("password", "database.password")`.
fn secrets(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    if !meta.input.peek(syn::token::Paren) {
        return Err(meta.error(
            "members are listed in parentheses: `secrets(\"password\", \"database.password\")`",
        ));
    }
    let listed;
    syn::parenthesized!(listed in meta.input);
    let paths = Punctuated::<LitStr, Token![,]>::parse_terminated(&listed)?;
    if paths.is_empty() {
        return Err(meta.error("name the members that are secret, or leave `secrets` out"));
    }
    let mut seen: Vec<LitStr> = Vec::with_capacity(paths.len());
    for path in paths {
        let text = path.value();
        if text.split('.').any(str::is_empty) {
            let message =
                "a path is the names of members with dots between them: `database.password`";
            return Err(Error::new(path.span(), message));
        }
        if seen.iter().any(|other| other.value() == text) {
            return Err(Error::new(path.span(), format!("`{text}` is listed twice")));
        }
        seen.push(path);
    }
    Ok(seen)
}

/// `remembered = "10 min"`, or a whole number of seconds.
fn remembered(meta: &ParseNestedMeta<'_>) -> Result<Duration> {
    let value = meta.value()?;
    let (parsed, span) = if value.peek(LitInt) {
        let seconds: LitInt = value.parse()?;
        let parsed = seconds.base10_parse().map(Duration::from_secs);
        (parsed.map_err(|_| duration::EXPECTED), seconds.span())
    } else if value.peek(LitStr) {
        let text: LitStr = value.parse()?;
        (duration::parse(&text.value()), text.span())
    } else {
        (Err(duration::EXPECTED), value.span())
    };
    match parsed {
        Ok(Duration::ZERO) => Err(Error::new(
            span,
            "an answer that is remembered for no time is not remembered: leave `remembered` out",
        )),
        Ok(duration) => Ok(duration),
        Err(message) => Err(Error::new(span, message)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Attributes, Lock};

    fn parse(settings: &str) -> Result<Attributes, String> {
        let input = format!("#[request({settings})] struct Message {{}}");
        let input: syn::DeriveInput = syn::parse_str(&input).unwrap();
        Attributes::parse(&input.attrs).map_err(|error| error.to_string())
    }

    fn refuses(settings: &str, expected: &str) {
        let message = parse(settings).err().unwrap_or_default();
        assert!(message.contains(expected), "{settings}: {message}");
    }

    #[test]
    fn reads_every_setting() {
        let parsed = parse(
            "exchange = \"dx_create\", response = Vec<Created>, lock = \"name\", lax, secrets(\"a\", \"b.c\",), \
             remembered = \"10 min\", example = Create { name: \"a\".into() }, example = other(), crate = tidings_core",
        )
        .unwrap();
        assert_eq!(parsed.exchange.as_deref(), Some("dx_create"));
        assert!(matches!(parsed.answer, Some(Answer::Response(_))));
        assert!(matches!(&parsed.lock, Some(Lock::Member(name)) if name.value() == "name"));
        assert!(parsed.is_lax());
        let secrets = parsed.secrets.iter().flatten();
        let secrets: Vec<_> = secrets.map(syn::LitStr::value).collect();
        assert_eq!(secrets, ["a", "b.c"]);
        assert_eq!(parsed.remembered.map(|it| it.as_secs()), Some(600));
        assert_eq!(parsed.examples.len(), 2);
        assert!(parsed.krate.is_some());
    }

    #[test]
    fn says_nothing_about_what_was_not_said() {
        let parsed = parse("reply = Model").unwrap();
        assert!(matches!(parsed.answer, Some(Answer::Reply(_))));
        assert!(parsed.exchange.is_none() && parsed.lock.is_none() && !parsed.is_lax());
        assert!(parsed.secrets.is_none() && parsed.remembered.is_none());
    }

    #[test]
    fn off_is_the_word_for_no_lock() {
        let parsed = parse("lock = off").unwrap();
        assert!(matches!(parsed.lock, Some(Lock::Off)));
        refuses("lock = none", "could mean either");
        refuses("lock = None", "could mean either");
        refuses("lock = whole", "leave it out");
        refuses("lock = name", "written in quotes: `lock = \"name\"`");
        refuses("lock = 3", "or say `lock = off`");
        refuses("lock = \"\"", "has a name");
    }

    #[test]
    fn refuses_names_that_no_broker_takes() {
        refuses("exchange = \"\"", "needs a name");
        refuses("exchange = \"a b\"", "cannot be part");
        refuses("exchange = \"amq.direct\"", "belong to the broker");
        refuses(&format!("exchange = {:?}", "é".repeat(128)), "255 bytes");
        refuses("exchange = dx_create", "expected string literal");
    }

    #[test]
    fn a_time_is_seconds_or_a_text_with_units() {
        let seconds = |settings| parse(settings).unwrap().remembered.unwrap().as_secs();
        assert_eq!(seconds("remembered = 90"), 90);
        assert_eq!(seconds("remembered = \"2 h\""), 7_200);
        refuses("remembered = 0", "leave `remembered` out");
        refuses("remembered = \"0 s\"", "leave `remembered` out");
        refuses("remembered = 1.5", "such as `30 s`");
        refuses("remembered = \"soon\"", "such as `30 s`");
        refuses("remembered = forever", "such as `30 s`");
    }

    #[test]
    fn secrets_are_paths_of_members() {
        refuses("secrets = \"password\"", "in parentheses");
        refuses("secrets", "in parentheses");
        refuses("secrets()", "or leave `secrets` out");
        refuses("secrets(\"a..b\")", "with dots between them");
        refuses("secrets(\"\")", "with dots between them");
        refuses("secrets(\"a\", \"a\")", "`a` is listed twice");
        refuses("secrets(password)", "expected string literal");
    }

    #[test]
    fn refuses_what_is_said_twice() {
        for twice in [
            "exchange = \"a\"",
            "lock = off",
            "lax",
            "secrets(\"a\")",
            "remembered = 1",
            "response = A",
            "reply = A",
        ] {
            refuses(&format!("{twice}, {twice}"), "said twice");
        }
        refuses("response = A, reply = B", "keep one of the two");
        refuses("reply = A, response = B", "`reply` is the whole answer");
    }

    #[test]
    fn leads_from_a_wrong_setting_to_the_right_one() {
        refuses("topic = \"a\"", "unknown setting: use `exchange`");
        refuses("a::b = \"a\"", "unknown setting");
        refuses("name = \"a\"", "use `exchange");
        refuses("version = 2", "no version");
        refuses("lock_attribute = \"a\"", "called `lock`");
        refuses("secret = \"a\"", "called `secrets");
        refuses("examples = [a]", "once for each");
        refuses("lax = true", "no value");
    }
}
